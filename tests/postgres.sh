#!/usr/bin/env bash
# Runs a command with DATABASE_URL naming a PostgreSQL of its own:  tests/postgres.sh COMMAND [ARGUMENT ...]
# The cluster lives in a temporary folder, listens on a unix socket only, and goes when the command ends.
set -euo pipefail

[ $# -gt 0 ] || { echo "Say which command to run: tests/postgres.sh COMMAND [ARGUMENT ...]" >&2; exit 2; }
programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$programs" ] || { echo "PostgreSQL is not installed; run: script/setup test" >&2; exit 1; }

folder=$(mktemp -d /tmp/pg.XXXX)
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
stop() {
  [ ! -e "$folder/data/postmaster.pid" ] || as_postgres "$programs/pg_ctl" stop -D "$folder/data" -m immediate -s || true
  rm -rf "$folder"
}
trap stop EXIT
[ "$(id -u)" != 0 ] || chown postgres "$folder"
cd /
as_postgres "$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --no-sync >"$folder/log" 2>&1 ||
  { cat "$folder/log" >&2; exit 1; }
# What a crash of the machine could cost is no matter here; a deadlock is to be seen, not waited for.
options="-c listen_addresses='' -c unix_socket_directories=$folder -c fsync=off -c synchronous_commit=off"
options="$options -c full_page_writes=off -c deadlock_timeout=200ms -c max_connections=60"
as_postgres "$programs/pg_ctl" start -D "$folder/data" -l "$folder/server.log" -o "$options" -w -t 60 -s ||
  { cat "$folder/server.log" >&2; exit 1; }
cd "$OLDPWD"
DATABASE_URL="postgres://postgres@${folder//\//%2F}/postgres" "$@"
