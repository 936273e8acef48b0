#!/usr/bin/env bash
# Proves on a fresh Debian machine that the platform comes up from a clean clone, and removes the machine again.
#   deploy/fresh-machine.sh bookworm|trixie [--stack NAME] [--directory DIR] [-- COMMAND ARGUMENTS...]
# The machine: a minimal Debian with apt, ca-certificates and git, own processes, mounts, network and host name; the
# kernel and the control groups are this machine's. It gets the committed state of this checkout, not what is edited.
#   --stack NAME      as in script/up (default: debian-13)
#   --directory DIR   make the machine there, or use the one that is there, and keep it
#   -- COMMAND …      run this in the clone instead of the proof, for example: script/test unit, or bash
set -euo pipefail

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# ---- Inside: PID 1 of the machine -----------------------------------------------------------------------------

READY=/root/ready.json
LOG=/root/up.log
FIRST_START=900 NEXT_START=60 STOP=30 # seconds

mount_all() { # ROOT: gives it what a kernel and an init give, and makes it /
  mount --make-rprivate /
  mount --bind "$1" "$1"
  cd "$1"
  mount -t proc -o nosuid,nodev,noexec proc proc
  mount -t sysfs -o nosuid,nodev,noexec sysfs sys
  mount --rbind /sys/fs/cgroup sys/fs/cgroup
  mount -t devtmpfs -o nosuid,mode=755 devtmpfs dev
  mkdir -p dev/pts dev/shm
  mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
  mount -t tmpfs -o nosuid,nodev tmpfs dev/shm
  mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
  mkdir -p run/lock
  pivot_root . mnt
  cd /
  umount --lazy /mnt
}

inside() { # ROOT NAME STACK [COMMAND...]
  local name="$2" stack="$3"
  mount_all "$1"
  shift 3
  echo "$name" >/proc/sys/kernel/hostname
  cd /opt/paas
  if [ $# -gt 0 ]; then "$@"; else prove "$stack"; fi
}

prove() { # STACK
  local mounts
  . /etc/os-release
  say "$PRETTY_NAME, commit $(git log -1 --format='%h %s')"
  mounts=$(mount_points)

  say "First start, with the sample app"
  start "$FIRST_START" --stack "$1"
  check_answers
  say "Ctrl-C"
  stop
  check_nothing_left "$mounts"

  say "Second start"
  start "$NEXT_START" --stack "$1" --no-sample
  check_answers
  say "Ctrl-C"
  stop
  check_nothing_left "$mounts"
}

start() { # SECONDS ARGUMENTS...: script/up in a process group of its own, as a terminal would start it
  local began=$SECONDS deadline=$((SECONDS + $1))
  shift
  : >"$LOG"
  set -m
  script/up "$@" --ready-file "$READY" > >(tee -ai "$LOG") 2>&1 </dev/null &
  up=$!
  set +m
  until [ -s "$READY" ]; do
    kill -0 "$up" 2>/dev/null || fail "script/up ended before all was up."
    [ $SECONDS -lt $deadline ] || fail "script/up was not ready in time."
    sleep 0.2
  done
  echo "script/up was ready after $((SECONDS - began)) s."
}

check_answers() { # with the standard library only, from outside of the platform
  /usr/bin/python3 - "$READY" <<'PYTHON'
import http.client, json, sys, urllib.request
from urllib.parse import urlsplit

ready = json.load(open(sys.argv[1]))

def answer(url, host=None, **headers):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", parts.path or "/", headers={"Host": host or parts.netloc, **headers})
    reply = connection.getresponse()
    return reply.status, reply.read()

router = urlsplit(ready["router_url"])
status, body = answer(f"http://127.0.0.1:{router.port}/", f"sample.{ready['domain']}")
print(f"sample.{ready['domain']} answers {status}: {body[:60]!r}")
assert status == 200, body
status, body = answer(ready["api_url"] + "/account", Authorization=f"Bearer {ready['token']}",
                      Accept="application/vnd.heroku+json; version=3")
print(f"/account answers {status}: {json.loads(body).get('email')}")
assert status == 200 and json.loads(body)["email"] == ready["admin_email"], body
status, _ = answer(ready["dashboard_url"])
print(f"the dashboard answers {status}")
assert status in (200, 302), status
PYTHON
}

stop() {
  local deadline=$((SECONDS + STOP)) code=0
  kill -INT -- "-$up"
  while kill -0 "$up" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || fail "script/up did not end within $STOP s of Ctrl-C."
    sleep 0.1
  done
  wait "$up" || code=$?
  [ "$code" = 0 ] || fail "script/up ended with exit status $code after Ctrl-C."
  [ ! -e "$READY" ] || fail "The ready file is still there."
}

check_nothing_left() { # MOUNTS: processes, mounts, namespaces, control groups, interfaces, firewall, claims
  local left attempt
  for attempt in 1 2 3 4 5 6 7 8 9 10; do # the kernel takes a moment to let go of a namespace
    left=$(what_is_left "$1")
    [ -n "$left" ] || { echo "Nothing is left but $PAAS_HOME."; return; }
    sleep 0.5
  done
  fail "Left behind: $left"
}

what_is_left() {
  comm -13 <(echo "$1") <(mount_points)
  .venv/bin/python -c 'from tests import leftovers as of
for line in sorted({*of.processes(), *of.namespaces(), *of.tables(), *of.claims()}): print(line)' ||
    echo "(the look for leftovers failed)"
  find /sys/class/net -mindepth 1 ! -name lo ! -name eth0
  control_groups
}

control_groups() { # of the platform in PAAS_HOME; its name is a hash of the path (paas/supervisor/subnets.py)
  find /sys/fs/cgroup -depth -type d -path "*/paas-p$(printf %s "$PAAS_HOME" | sha256sum | cut -c 1-6)*"
}

mount_points() { cut -d ' ' -f 5 /proc/self/mountinfo | sort; }

# ---- Outside: makes the machine and takes it down ---------------------------------------------------------------

make_root() { # SUITE ROOT
  [ ! -e "$2/etc/debian_version" ] || { say "Using the machine in $2"; return; }
  say "Making a minimal Debian ($1) in $2"
  mkdir -p "$2"
  env -i PATH="$PATH" LC_ALL=C.UTF-8 TMPDIR="${TMPDIR:-/var/tmp}" mmdebstrap --quiet --mode=root --variant=minbase \
    --include=ca-certificates,git "$1" "$2" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  # It trusts whom this machine trusts.
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$2/usr/local/share/ca-certificates/" \; 2>/dev/null || true
  chroot "$2" update-ca-certificates >/dev/null 2>&1
}

name_servers() {
  local file=/etc/resolv.conf
  if grep -qE '^nameserver (127|::1)' $file; then file=/run/systemd/resolve/resolv.conf; fi
  grep -sE '^(nameserver|search|options)' $file | grep -vE '^nameserver (127|::1)' ||
    fail "No name server that another network namespace could reach is in /etc/resolv.conf."
}

clone() { # ROOT: the committed state, through a bare repository, as from a server
  rm -rf "$1/srv/paas.git" "$1/opt/paas"
  git clone --quiet --bare --no-local "$source" "$1/srv/paas.git"
  chown -R 0:0 "$1/srv/paas.git"
  chroot "$1" git clone --quiet /srv/paas.git /opt/paas
  [ -z "$(git -C "$source" status --porcelain)" ] || echo "Edited files of $source are not in the clone."
}

free_network() { # the first 192.168.X.0/30 that this machine does not know, X being 100 to 199
  local number
  for number in $(seq 100 199); do
    ip -4 route show table all | grep -q "192\.168\.$number\." || { echo "192.168.$number"; return; }
  done
  fail "No free network for the machine in 192.168.100.0 to 192.168.199.0."
}

make_network() {
  local net
  net=$(free_network)
  ip netns add "$name"
  ip link add "$name" type veth peer name eth0 netns "$name"
  ip addr add "$net.1/30" dev "$name"
  ip link set "$name" up
  ip -n "$name" link set lo up
  ip -n "$name" addr add "$net.2/30" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" route add default via "$net.1"
  forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
  echo 1 >/proc/sys/net/ipv4/ip_forward
  nft "table ip $name { chain leaving { type nat hook postrouting priority srcnat; ip saddr $net.0/30 masquerade; }; }"
}

remove_machine() {
  trap - EXIT
  [ -z "${machine:-}" ] || kill -KILL "$machine" 2>/dev/null || true # with it go its processes and mounts
  [ -z "${machine:-}" ] || wait "$machine" 2>/dev/null || true
  control_groups | xargs -r rmdir || true
  nft delete table ip "$name" 2>/dev/null || true
  ip link delete "$name" 2>/dev/null || true
  ip netns delete "$name" 2>/dev/null || true
  if [ "${forwarding:-1}" = 0 ]; then echo 0 >/proc/sys/net/ipv4/ip_forward; fi
  if [ "$keep" = no ]; then rm -rf --one-file-system "$root"; fi
}

# The data folder has a name of its own: control groups are seen by every platform on this kernel, and bear its hash.
outside() {
  local suite="${1:-}" stack=debian-13 root="" keep=no name="fresh$$" source PAAS_HOME="/var/lib/paas-fresh$$" machine="" forwarding=1 code=0
  case "$suite" in
    bookworm | trixie) shift ;;
    *) fail "Which Debian? Usage: $0 bookworm|trixie [--stack NAME] [--directory DIR] [-- COMMAND ARGUMENTS...]" ;;
  esac
  while [ $# -gt 0 ]; do
    case "$1" in
      --stack) stack="${2:?--stack needs a name}"; shift 2 ;;
      --directory) root="$(readlink -f "${2:?--directory needs a folder}")" keep=yes; shift 2 ;;
      --) shift; break ;;
      *) fail "Unknown argument '$1'; a command to run in the machine comes after --." ;;
    esac
  done
  [ "$(id -u)" = 0 ] || fail "This makes namespaces and mounts and needs root. Run it as root: sudo $0"
  for program in mmdebstrap git nft ip unshare nsenter pivot_root; do
    command -v "$program" >/dev/null || fail "$program is missing: apt install mmdebstrap git nftables iproute2 util-linux"
  done
  source="$(readlink -f "$(dirname "$(readlink -f "$0")")/..")"
  root="${root:-$(mktemp -d /var/tmp/fresh.XXXX)}"
  trap remove_machine EXIT
  trap 'exit 130' INT TERM HUP

  make_root "$suite" "$root"
  name_servers >"$root/etc/resolv.conf"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$suite" >"$root/etc/hosts" # as the installer writes it
  clone "$root"
  make_network
  modprobe -qa overlay squashfs loop veth nf_tables 2>/dev/null || true # the machine has no modules of its own
  cp "$(readlink -f "$0")" "$root/srv/fresh-machine.sh"
  env -i --default-signal=INT HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 PAAS_HOME="$PAAS_HOME" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    nsenter --net="/run/netns/$name" unshare --mount --pid --uts --ipc --fork --kill-child \
    bash "$root/srv/fresh-machine.sh" --inside "$root" "$suite" "$stack" "$@" <&0 &
  machine=$!
  wait "$machine" || code=$?
  machine=""
  remove_machine
  [ "$code" = 0 ] || fail "Failed on $suite (exit status $code)."
  [ $# -gt 0 ] || say "The platform comes up on a fresh Debian $suite."
}

if [ "${1:-}" = --inside ]; then shift; inside "$@"; else outside "$@"; fi
