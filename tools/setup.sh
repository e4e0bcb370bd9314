#!/bin/sh
# Makes .venv what the lock says: `setup.sh run [--ports]` for running the product, `setup.sh dev` for testing it too.
# Everything that could go wrong is looked at before anything is changed; a run that was cut short is completed by the next.
set -eu
cd "$(dirname "$0")/.."

want=$1
ports=${2:-}
stamp=.venv/gauntlet-setup
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX

main() {
    if is_done; then
        [ -z "$ports" ] || .venv/bin/python tools/preflight.py --ports
        return
    fi
    python=$(find_python)
    keep_dev
    make_environment
    find_uv
    install
    lock_digest >"$stamp.new"
    mv "$stamp.new" "$stamp"
    echo "set-up: done"
}

# The stamp's lines are what .venv was made from, "dev" or "run" first. Everything for dev is good for run as well.
is_done() {
    [ -x .venv/bin/gauntlet ] && [ -f "$stamp" ] || return 1
    [ -z "${PYTHON:-}" ] || [ "$(version "$PYTHON")" = "$(version .venv/bin/python)" ] || return 1
    made=$(head -n 1 "$stamp")
    [ "$made" = "$want" ] || [ "$made" = dev ] || return 1
    want_now=$want
    want=$made
    if [ "$(lock_digest)" = "$(cat "$stamp")" ]; then return 0; fi
    want=$want_now
    return 1
}

keep_dev() {
    if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = dev ]; then want=dev; fi
}

lock_digest() {
    echo "$want"
    cat "$(lock_file)" pyproject.toml tools/uv-requirements.txt | cksum
    pwd
    .venv/bin/python -c 'import platform; print(platform.python_version())'
}

lock_file() {
    if [ "$want" = dev ]; then echo requirements-dev.txt; else echo requirements.txt; fi
}

# The first Python with which nothing is wrong; else what is wrong with the first one that runs at all.
find_python() {
    first=''
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        # found is not enough: a version manager's shim may stand for a version that is not there
        found=$(command -v "$name") && "$found" -c '' >/dev/null 2>&1 || continue
        if "$found" tools/preflight.py --install $ports >/dev/null 2>&1; then
            echo "$found"
            return
        fi
        first=${first:-$found}
    done
    if [ -z "$first" ]; then
        echo "Gauntlet needs Python 3.11 to 3.13; found none (looked for ${PYTHON:-python3.13, python3.12, python3.11, python3})." \
            "Install one, or name it: make PYTHON=/path/to/python ..." >&2
        return 1
    fi
    "$first" tools/preflight.py --install $ports
}

make_environment() {
    if [ -x .venv/bin/python ] && [ "$(version .venv/bin/python)" = "$(version "$python")" ] && can_install; then return; fi
    echo "set-up: making .venv with $("$python" -V 2>&1)"
    rm -rf .venv
    "$python" -m venv .venv
}

can_install() {
    command -v uv >/dev/null 2>&1 || .venv/bin/python -c 'import pip' 2>/dev/null
}

version() {
    "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo none
}

find_uv() {
    if command -v uv >/dev/null 2>&1; then
        uv=uv
        return
    fi
    uv=.venv/bin/uv
    if [ ! -x "$uv" ]; then
        echo "set-up: fetching uv"
        # a user's own pip configuration may say --user or name a target, neither of which fits here
        PIP_USER=0 PIP_TARGET='' PIP_PREFIX='' PIP_REQUIRE_VIRTUALENV=0 .venv/bin/python -m pip install \
            --quiet --disable-pip-version-check --require-hashes --requirement tools/uv-requirements.txt
    fi
}

install() {
    echo "set-up: installing $(grep -c '^[a-z0-9]' "$(lock_file)") packages from $(lock_file) (about 2 GB; a minute or two the first time)"
    # what .venv holds is no longer what the stamp says
    rm -f "$stamp"
    unset UV_TARGET UV_PREFIX UV_SYSTEM_PYTHON UV_PYTHON UV_NO_BINARY UV_PROJECT_ENVIRONMENT
    "$uv" pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode "$(lock_file)"
    "$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
}

main
