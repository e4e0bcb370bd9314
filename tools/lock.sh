#!/bin/sh
# Writes the lock: every version and hash, for every platform and Python, without the name of any registry.
set -eu
cd "$(dirname "$0")/.."

uv=uv
command -v uv >/dev/null 2>&1 || uv=.venv/bin/uv

compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --generate-hashes --no-emit-index-url --no-emit-find-links "$@"
}

compile --group build pyproject.toml --output-file requirements.txt
compile --group dev pyproject.toml --output-file requirements-dev.txt
# the image's own packages must not move what all three share
compile --group image pyproject.toml --constraint requirements.txt --output-file requirements-image.txt
echo "wrote requirements.txt, requirements-dev.txt and requirements-image.txt"
