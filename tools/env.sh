#!/bin/sh
# Fills .env: makes it from .env.example where there is none, and a fresh secret for each that is missing or empty.
# What stands in it is never changed. Needs a POSIX shell and /dev/urandom, so that a bare container can run it, too.
set -eu
cd "$(dirname "$0")/.."
umask 077

SECRETS="POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD MLFLOW_DB_PASSWORD GAUNTLET_DB_PASSWORD GAUNTLET_APP_DB_PASSWORD
ROUTER_DB_PASSWORD AIRFLOW_ADMIN_PASSWORD AIRFLOW_JWT_SECRET AIRFLOW_API_SECRET_KEY AIRFLOW_FERNET_KEY
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY VALKEY_PASSWORD"

BLANK=$(printf ' \t\r')
# nothing, or quotes around nothing; a comment may follow
EMPTY="[$BLANK]*(\"\"|'')?[$BLANK]*(#.*)?\$"

main() {
    if [ -e .env ] && ! { [ -f .env ] && [ -r .env ]; }; then
        echo ".env must be a file that you may read; it is not. Move it away, or give yourself access." >&2
        exit 1
    fi
    work=$(mktemp .env.XXXXXX)
    trap 'rm -f "$work" "$work.next"' EXIT
    # the last line may lack its end
    if [ -e .env ]; then awk 1 .env; else cat .env.example; fi >"$work"
    made=''
    for name in $SECRETS; do
        if is_empty "$name"; then
            fill "$name" "$(secret_for "$name")"
            made="$made $name"
        fi
    done
    if [ -z "$made" ] && [ -e .env ]; then
        echo ".env is complete: nothing changed"
        return
    fi
    keep
    echo ".env: made$made"
    echo "keep it: the databases open with these passwords only"
}

# Of several at once the first one's secrets stay: somebody may have started the stack with them already.
keep() {
    if [ -L .env ]; then
        cat "$work" >.env
    elif [ -e .env ]; then
        mv "$work" .env
    elif ! ln "$work" .env 2>/dev/null; then
        echo ".env was made by somebody else meanwhile; run this again" >&2
        exit 1
    fi
}

# As for Compose, the last line of a name counts.
is_empty() {
    ! grep -Eq "$(line_of "$1")" "$work" || grep -E "$(line_of "$1")" "$work" | tail -n 1 | grep -Eq "$(line_of "$1")$EMPTY"
}

# Puts the value where the name stands empty, or at the end.
fill() {
    if grep -Eq "$(line_of "$1")$EMPTY" "$work"; then
        awk -v name="$1" -v value="$2" -v empty="$(line_of "$1")$EMPTY" '
            $0 ~ empty { $0 = name "=" value }
            { print }
        ' "$work" >"$work.next"
        mv "$work.next" "$work"
    else
        echo "$1=$2" >>"$work"
    fi
}

line_of() {
    echo "^[$BLANK]*(export[$BLANK]+)?$1[$BLANK]*="
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
