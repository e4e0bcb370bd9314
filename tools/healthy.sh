#!/bin/bash
# Asks a service whether it is well: `healthy HOST PORT PATH [TEXT]`, where TEXT must be in the answer.
# In plain bash, since it runs every few seconds: an interpreter for each question would keep a core busy.
exec 3<>"/dev/tcp/$1/$2" || exit 1
printf 'GET %s HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n' "$3" "$2" >&3
answer=$(timeout 5 cat <&3)
[[ $answer == HTTP/1.?" 200"* && $answer == *"${4:-}"* ]]
