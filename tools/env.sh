#!/bin/sh
# Fills .env: makes it from .env.example where there is none, and a fresh secret for each that is missing or empty.
# What stands in it is never changed. Needs a POSIX shell and /dev/urandom, so that a bare container can run it, too.
set -eu
cd "$(dirname "$0")/.."
umask 077

SECRETS="POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD MLFLOW_DB_PASSWORD GAUNTLET_DB_PASSWORD GAUNTLET_APP_DB_PASSWORD
ROUTER_DB_PASSWORD AIRFLOW_ADMIN_PASSWORD AIRFLOW_JWT_SECRET AIRFLOW_API_SECRET_KEY AIRFLOW_FERNET_KEY
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY VALKEY_PASSWORD"

main() {
    if [ -e .env ] && ! { [ -f .env ] && [ -r .env ]; }; then
        echo ".env must be a file that you may read; it is not. Move it away, or give yourself access." >&2
        exit 1
    fi
    work=$(mktemp .env.XXXXXX)
    trap 'rm -f "$work" "$work.next"' EXIT
    if [ -e .env ]; then cat .env; else cat .env.example; fi >"$work"
    made=''
    for name in $SECRETS; do
        if [ -z "$(value_of "$name")" ]; then
            fill "$name" "$(secret_for "$name")"
            made="$made $name"
        fi
    done
    if [ -z "$made" ] && [ -e .env ]; then
        echo ".env is complete: nothing changed"
        return
    fi
    mv "$work" .env
    echo ".env: made$made"
    echo "keep it: the databases open with these passwords only"
}

# The last line counts, as it does for Compose; quotes around nothing are nothing.
value_of() {
    sed -n "s/^[[:space:]]*\(export[[:space:]][[:space:]]*\)\{0,1\}$1[[:space:]]*=[[:space:]]*//p" "$work" |
        tail -n 1 | tr -d '\r' | sed "s/^\"\"\$//; s/^''\$//; s/^#.*//"
}

# Puts the value where the name stands empty, or at the end.
fill() {
    awk -v name="$1" -v value="$2" '
        $0 ~ "^[ \t]*(export[ \t]+)?" name "[ \t]*=" { $0 = name "=" value; found = 1 }
        { print }
        END { if (!found) print name "=" value }
    ' "$work" >"$work.next"
    mv "$work.next" "$work"
}

secret_for() {
    case $1 in
    AIRFLOW_FERNET_KEY) random 32 ;; # exactly 32 bytes in URL-safe base64, padding and all
    AIRFLOW_JWT_SECRET) random 64 | tr -d '=' ;;
    AIRFLOW_ADMIN_PASSWORD | AWS_ACCESS_KEY_ID) random 12 | tr -d '=' ;;
    *) random 24 | tr -d '=' ;;
    esac
}

random() {
    head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'
}

main
