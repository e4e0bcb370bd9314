#!/bin/sh
# Starts Valkey. Its configuration comes by a pipe, so that no process list and no file shows the password. Nothing is
# written to disk: the queue is short, and Airflow's database knows every task that waits in it.
set -eu
exec valkey-server - <<EOF
bind *
requirepass $VALKEY_PASSWORD
save ""
maxmemory 64mb
maxmemory-policy noeviction
EOF
