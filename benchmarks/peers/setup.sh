#!/bin/sh
# Makes .venv-peers what benchmarks/peers/requirements.txt says: other tools' dependencies stay out of .venv.
# `setup.sh lock` writes that file anew from requirements.in.
set -eu
cd "$(dirname "$0")/../.."

lock=benchmarks/peers/requirements.txt
stamp=.venv-peers/gauntlet-setup
uv=uv
command -v uv >/dev/null 2>&1 || uv=.venv/bin/uv

if [ "${1:-}" = lock ]; then
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes --no-emit-index-url \
        --no-emit-find-links benchmarks/peers/requirements.in --output-file "$lock"
    exit
fi
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(cksum <"$lock")" ] && exit
if [ ! -x "$uv" ] && ! command -v "$uv" >/dev/null 2>&1; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement tools/uv-requirements.txt
fi
# the same Python as .venv, which tools/setup.sh found
echo "set-up: making .venv-peers with $(.venv/bin/python -V)"
rm -rf .venv-peers
"$uv" venv --quiet --python "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" .venv-peers
"$uv" pip sync --quiet --python .venv-peers/bin/python --require-hashes --compile-bytecode "$lock"
cksum <"$lock" >"$stamp"
