#!/bin/sh
# Removes .venv and all state, also a database folder that had to lie outside the state folder.
set -eu
cd "$(dirname "$0")/.."

home=${GAUNTLET_HOME:-}
if [ -z "$home" ] && [ -f .env ]; then home=$(sed -n 's/^GAUNTLET_HOME=//p' .env | tail -n 1 | tr -d "\"'"); fi
home=${home:-.gauntlet}
if [ -d "$home" ]; then home=$(cd "$home" && pwd -P); fi

# What we remove must be what we made: a state folder has a lock, a database folder the name of its state folder.
if [ -f "$home/postgres-place" ]; then
    place=$(sed -n 's/^ *"folder": "\(.*\)",*$/\1/p' "$home/postgres-place")
    if [ -f "$place/gauntlet-home" ] && [ "$(cat "$place/gauntlet-home")" = "$home" ]; then
        rm -rf "$place"
        rmdir /var/lib/gauntlet 2>/dev/null || true
        echo "removed $place"
    fi
fi
if [ -f "$home/lock" ] && [ -d "$home/secrets" ]; then
    rm -rf "$home"
    echo "removed $home"
fi
rm -rf .venv
echo "removed .venv"
