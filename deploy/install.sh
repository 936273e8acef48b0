#!/usr/bin/env bash
# Makes the platform a set of systemd services.
#   deploy/install.sh [--env FILE] [--units DIRECTORY] [--no-start]
# Settings are read from FILE (default /etc/paas/paas.env), which is made with the commented defaults when missing.
# Safe to repeat: after an upgrade it writes the units again and restarts what changed.
set -euo pipefail
root="$(readlink -f "$(dirname "$(readlink -f "$0")")/..")"
env_file=/etc/paas/paas.env units=/etc/systemd/system start=yes

fail() { printf '%s\n' "$*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case "$1" in
    --env) env_file="${2:?--env needs a file}"; shift ;;
    --units) units="${2:?--units needs a directory}"; shift ;;
    --no-start) start=no ;;
    *) fail "Unknown argument '$1'. Usage: deploy/install.sh [--env FILE] [--units DIRECTORY] [--no-start]" ;;
  esac
  shift
done

[ "$(id -u)" = 0 ] || fail "This writes system services and needs root. Run: sudo $0"
case "$root" in
  /root/* | /home/*) fail "The services cannot reach $root (ProtectHome). Move the checkout, for example to /opt/paas." ;;
esac
if [ "$start" = yes ] && [ ! -d /run/systemd/system ]; then
  fail "systemd does not run on this machine. Use script/up, or write the units only: $0 --no-start"
fi

"$root/script/setup"

if [ ! -e "$env_file" ]; then
  install -d -m 0755 "$(dirname "$env_file")"
  install -m 0600 "$root/deploy/paas.env" "$env_file"
  echo "Settings: $env_file (the defaults; edit it and run this again)"
fi

install -d -m 0755 "$units"
changed=()
for template in "$root"/deploy/systemd/paas*; do
  name=$(basename "$template")
  written=$(sed "s|@ROOT@|$root|g; s|@ENV@|$env_file|g" "$template")
  if [ "$(cat "$units/$name" 2>/dev/null)" != "$written" ]; then
    printf '%s\n' "$written" >"$units/$name"
    changed+=("$name")
  fi
done
echo "Units in $units: ${#changed[@]} written."
[ "$start" = yes ] || exit 0

systemctl daemon-reload
systemctl enable --quiet paas.target "$units"/paas-*.service
systemctl restart paas-setup.service
# Agent and router last: the apps answer all the while.
systemctl restart paas-web.service paas-git.service paas-worker.service paas-beat.service paas-gateway.service \
  paas-agent.service paas-router.service
systemctl start paas.target
home=$(sed -n 's/^PAAS_HOME=//p' "$env_file")
echo "The platform runs. The first account is in ${home:-/var/lib/paas}/credentials.json (root only)."
