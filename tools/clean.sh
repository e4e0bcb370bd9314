#!/bin/sh
# Stops the stack, and removes .venv and all state, also a database folder that had to lie outside the state folder.
set -eu
cd "$(dirname "$0")/.."

main() {
    home=$(state_folder)
    place=''
    # What we end and remove must be what we made: a state folder has a lock, a database folder the name of its state folder.
    if [ -f "$home/lock" ] && [ -d "$home/secrets" ]; then
        place=$(database_folder)
        stop
        if [ -n "$place" ]; then remove "$place"; fi
        rmdir /var/lib/gauntlet 2>/dev/null || true
        remove "$home"
    fi
    remove .venv
    [ ! -d .venv-peers ] || remove .venv-peers
}

remove() {
    rm -rf "$1"
    echo "removed $1"
}

state_folder() {
    for python in ${PYTHON:-} python3 python3.13 python3.12 python3.11 .venv/bin/python; do
        folder=$("$python" tools/preflight.py --home 2>/dev/null) || continue
        if [ -d "$folder" ]; then folder=$(cd "$folder" && pwd -P); fi
        echo "$folder"
        return
    done
    echo "clean: a Python 3.6 or newer must be there, to read the settings; found none. Name it: make PYTHON=/path/to/python clean" >&2
    return 1
}

database_folder() {
    [ -f "$home/postgres-place" ] || return 0
    folder=$(sed -n 's/^ *"folder": "\(.*\)",*$/\1/p' "$home/postgres-place")
    if [ -f "$folder/gauntlet-home" ] && [ "$(cat "$folder/gauntlet-home")" = "$home" ]; then echo "$folder"; fi
}

stop() {
    if [ -f .venv/gauntlet-setup ] && .venv/bin/python -c 'import gauntlet.cli, gauntlet.embedded.stack' 2>/dev/null; then
        GAUNTLET_STACK=embedded .venv/bin/gauntlet down
    elif [ -d /proc/self ]; then
        echo "clean: .venv is not complete, so 'gauntlet down' cannot stop the stack; ending what works in $home"
        end_leftovers
    elif [ -f "$home/run/supervisord.pid" ] && kill -0 "$(cat "$home/run/supervisord.pid")" 2>/dev/null; then
        echo "clean: .venv is not complete, so 'gauntlet down' cannot stop the stack." \
            "End its supervisor, process $(cat "$home/run/supervisord.pid"), then make clean again." >&2
        return 1
    fi
}

# The supervisor among them stops the others; what is still there after ten seconds is killed.
end_leftovers() {
    for signal in TERM KILL; do
        found=$(leftovers)
        # shellcheck disable=SC2086 - these are several numbers
        [ -z "$found" ] || kill -s "$signal" $found 2>/dev/null || true
        tries=0
        while [ -n "$(leftovers)" ] && [ $tries -lt 10 ]; do
            sleep 1
            tries=$((tries + 1))
        done
    done
}

# The processes that work in a folder of the stack; what has a terminal is a shell of a person.
leftovers() {
    for process in /proc/[0-9]*; do
        where=$(readlink "$process/cwd" 2>/dev/null) || continue
        case "$where/" in
        "$home/run/"* | "${place:-$home/run}/"*)
            terminal=$(ps -o tty= -p "${process#/proc/}" 2>/dev/null || true)
            case "$terminal" in *[a-z]*) ;; *) echo "${process#/proc/}" ;; esac
            ;;
        esac
    done
}

main
