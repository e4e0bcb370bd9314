#!/bin/sh
# Builds the images and runs the tests of the stack in containers; leaves nothing of them behind but the images.
set -eu
cd "$(dirname "$0")/.."
project=gauntlet-test

main() {
    docker info >/dev/null 2>&1 || {
        echo "A Docker engine must run for these tests; 'docker info' does not find one. Start it, then try again." >&2
        exit 1
    }
    trap forget EXIT
    forget
    build
    .venv/bin/pytest --stack compose tests/both tests/compose "$@"
}

# Compose wants every variable, although a build uses none of the secrets.
build() {
    began=$(date +%s)
    names=$(sed -n 's/.*\${\([A-Z_]*\):?.*/\1/p' docker-compose.yml)
    for name in $names; do export "$name=unused"; done
    for service in minio databases; do
        started=$(date +%s)
        docker compose --progress quiet build "$service"
        echo "image of $service: built in $(($(date +%s) - started)) s"
    done
    for name in $names; do unset "$name"; done
    echo "images: $(($(date +%s) - began)) s"
    docker image ls --format '{{.Repository}}:{{.Tag}}  {{.Size}}' | grep gauntlet || true
}

# by label: it needs no .env
forget() {
    for kind in container volume network; do
        found=$(docker $kind ls --quiet --filter "label=com.docker.compose.project=$project" $([ $kind = container ] && echo --all))
        # shellcheck disable=SC2086 - these are several names
        [ -z "$found" ] || docker $kind rm $([ $kind = network ] || echo --force) $found >/dev/null
    done
}

main "$@"
