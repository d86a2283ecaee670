#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# demonstration.sh BUILD [--keep]: shows the main job with two real daemons, and exits 0 only if all of it held. Needs no terminal and no
# network but the loopback. With --keep both nodes stay, and commands to try are printed.
set -eu
build=$(cd "$1" && pwd)
keep=${2:-}
root=$(cd "$(dirname "$0")/../.." && pwd)
size=$((256 * 1024 * 1024))
cut_at=$((size / 4))
hold_back=$((size / 8))

dir=$(mktemp -d "${TMPDIR:-/tmp}/hypha-run-XXXXXX")
pids=  # everything that was started
nodes= # of that, what --keep leaves
end () {
  status=$?
  trap - EXIT
  [ "$keep" = --keep ] && [ "$status" -eq 0 ] && exit 0
  for pid in $pids; do
    kill "$pid" 2>/dev/null || :
  done
  for pid in $pids; do
    wait "$pid" 2>/dev/null || :
  done
  if [ "$status" -ne 0 ]; then
    echo "It did not hold. What the daemons said:" >&2
    tail -n 20 "$dir"/*/log >&2 || :
  fi
  rm -rf "$dir"
  exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail () {
  echo "FAILED: $*" >&2
  exit 1
}
step () { printf '\n== %s\n' "$*"; }
now () { date +%s%N; }
since () { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f s", (b - a) / 1e9 }'; }

# until_true SECONDS COMMAND...: as soon as COMMAND holds.
until_true () {
  deadline=$(($(date +%s) + $1))
  shift
  until "$@"; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

ctl () {
  node=$1
  shift
  "$build/core/ctl/hyphactl" --address "unix:path=$dir/$node/bus" "$@"
}

# json EXPRESSION: what a Python expression makes of the JSON on stdin, bound to d.
json () { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

start_node () {
  mkdir -m 700 "$dir/$1" "$dir/$1/plugins"
  cp "$build/plugins/tcp/tcp.so" "$build/plugins/unix/unix.so" "$dir/$1/plugins"
  dbus-daemon --session --nofork --nopidfile --address="unix:path=$dir/$1/bus" >/dev/null 2>&1 &
  nodes="$nodes $!"
  pids="$pids $!"
  until_true 5 test -S "$dir/$1/bus" || fail "no message bus for $1"
  printf '[org/hypha/node]\nname='"'%s'"'\n%s\n' "$1" "$2" >"$dir/$1/node.conf"
  HYPHA_PLUGIN_PATH="$dir/$1/plugins" GSETTINGS_SCHEMA_DIR="$build/schemas" "$build/tests/daemon/sever" --allow \
    "$build/core/daemon/hyphad" --address "unix:path=$dir/$1/bus" --config "$dir/$1/node.conf" \
    --identity "$dir/$1/identity/key.pem" >"$dir/$1/log" 2>&1 &
  eval "$1_pid=$!"
  nodes="$nodes $!"
  pids="$pids $!"
  until_true 10 sh -c "'$build/core/ctl/hyphactl' --address 'unix:path=$dir/$1/bus' id >'$dir/$1/id' 2>/dev/null" || fail "$1 does not start"
  echo "$1 is $(cat "$dir/$1/id")"
}

active () { ctl near links far --json | json 'next((l["transport"] for l in d if l["active"]), "none")'; }
is_active () { [ "$(active)" = "$1" ]; }

step 'Two nodes, each with an identity and a bus of its own'
start_node far "listen=['unix://$dir/far.sock', 'tcp://127.0.0.1:0']"
start_node near ''
ctl near trust "$(cat "$dir/far/id")" far
ctl far trust "$(cat "$dir/near/id")" near

step 'Links over a Unix socket and over TCP with TLS'
tcp=$(ctl far status --json | json 'next(e for e in d["listening"] if e.startswith("tcp:"))')
began=$(now)
ctl near connect "$tcp" >/dev/null
echo "TCP: up after $(since "$began")"
began=$(now)
ctl near connect "unix://$dir/far.sock" >/dev/null
echo "Unix: up after $(since "$began")"
until_true 10 is_active unix || fail "the cheapest link is not used: $(active)"
ctl near links
ctl near explain far
[ "$(ctl near links far --json | json 'all(l["encrypted"] for l in d if l["transport"] == "tcp")')" = True ] ||
  fail 'the TCP link is not encrypted'

step 'A plug-in, built apart, is copied into the directory of a running node'
# shellcheck disable=SC2016
sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '/^```/d' >"$dir/exec.c"
# shellcheck disable=SC2046
cc -shared -fPIC -I "$root/core/api" -o "$dir/exec.so" "$dir/exec.c" \
  $(PKG_CONFIG_PATH="$build/meson-uninstalled" pkg-config --cflags --libs hypha-1)
began=$(now)
cp "$dir/exec.so" "$dir/near/plugins/"
has_exec () { ctl near plugins --json | json 'any(p["name"] == "exec" and p["state"] == "ready" for p in d)' | grep -q True; }
until_true 5 has_exec || fail "the plug-in does not appear: $(ctl near plugins)"
echo "there after $(since "$began")"
ctl near plugins

step "$((size / 1024 / 1024)) MiB to echo and back, and the Unix link is cut in the middle"
head -c "$size" /dev/urandom >"$dir/sent"
"$build/core/ctl/hyphactl" --address "unix:path=$dir/near/bus" monitor >"$dir/monitor" &
monitor_pid=$!
pids="$pids $monitor_pid"
until_true 5 test -s "$dir/monitor" || :
mkfifo "$dir/feed"
"$build/core/ctl/hyphactl" --address "unix:path=$dir/near/bus" open far echo <"$dir/feed" >"$dir/received" &
open_pid=$!
pids="$pids $open_pid"
began=$(now)
# The last part waits until the link has been cut, so the stream is certain to go on afterwards.
{
  head -c $((size - hold_back)) "$dir/sent"
  until [ -e "$dir/cut" ]; do sleep 0.01; done
  tail -c "$hold_back" "$dir/sent"
} >"$dir/feed" &
pids="$pids $!"
received () { [ "$(stat -c %s "$dir/received")" -ge "$cut_at" ]; }
deadline=$(($(date +%s) + 30))
until received; do
  [ "$(date +%s)" -lt "$deadline" ] || fail 'the stream does not move'
done
# shellcheck disable=SC2154
"$build/tests/daemon/sever" "$far_pid" "$dir/far.sock" || fail 'the socket could not be cut'
echo "cut after $(since "$began"), with $(($(stat -c %s "$dir/received") / 1024 / 1024)) MiB back"
touch "$dir/cut"
cut=$(now)
until_true 5 is_active tcp || fail "the stream does not go over TCP: $(active)"
echo "on TCP $(since "$cut") later, as hyphactl sees it"
wait "$open_pid" || fail 'hyphactl open did not end well'
echo "all back after $(since "$began")"
sent_sum=$(sha256sum <"$dir/sent")
received_sum=$(sha256sum <"$dir/received")
[ "$sent_sum" = "$received_sum" ] || fail 'the SHA-256 differs'
echo "SHA-256 of both: ${sent_sum%% *}"

step 'The transport that was cut comes back'
until_true 15 is_active unix || fail "the Unix link is not used again: $(active)"
echo "used again $(since "$cut") after the cut"
sleep 0.2
echo 'What hyphactl monitor saw:'
grep -E 'from .* to |link [0-9]+ (added|removed)' "$dir/monitor" || fail 'monitor has seen nothing'
[ "$(grep -cE 'peer far: from .* to ' "$dir/monitor")" -ge 2 ] || fail 'monitor did not see the link change twice'
kill "$monitor_pid"
ctl near links

step 'All of it held'
if [ "$keep" = --keep ]; then
  # shellcheck disable=SC2154
  cat <<EOF
Both nodes stay. To try:
  alias near='$build/core/ctl/hyphactl --address unix:path=$dir/near/bus'
  near status; near links; near explain far; near ping far; near monitor
  echo hello | near open far echo
  $build/tests/daemon/sever $far_pid $dir/far.sock     # cut the Unix link again
To end them: kill$nodes; rm -r $dir
EOF
fi
