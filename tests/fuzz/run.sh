#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh BUILD SECONDS [TARGET...]: lets every fuzzer of BUILD (-Dfuzzers=true), or those that are named, search for SECONDS, two at a
# time. What they find stays in BUILD/fuzz, and is named.
set -eu
build=$1
seconds=$2
shift 2
here=$(dirname "$0")
# For the files that some of them need; libFuzzer leaves without taking them away.
TMPDIR=$(mktemp -d -p /dev/shm hypha-fuzz-XXXXXX 2>/dev/null || mktemp -d)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 1' INT TERM
if [ $# -eq 0 ]; then
  for source in "$here"/fuzz-*.c; do
    target=${source##*/fuzz-}
    set -- "$@" "${target%.c}"
  done
fi

# one TARGET
one () {
  target=$1
  log=$build/fuzz/$target.log
  dictionary=
  if [ -f "$here/$target.dict" ]; then
    dictionary=-dict=$here/$target.dict
  fi
  # GLib's threads and caches make every run look as if it might have lost something, and to make sure takes as long as a hundred runs: there
  # all inputs are looked at together, afterwards.
  leaks=1
  case $target in
  config | dbus) leaks=0 ;;
  esac
  mkdir -p "$build/fuzz/$target"
  # ${dictionary:+...}: an empty word would be one more corpus.
  if ! GSETTINGS_SCHEMA_DIR=$build/schemas G_SLICE=always-malloc UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    "$build/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 -detect_leaks=$leaks \
    ${dictionary:+"$dictionary"} -artifact_prefix="$build/fuzz/$target-" "$build/fuzz/$target" "$here/corpus/$target" 2>"$log"; then
    tail -n 40 "$log" >&2
    echo "fuzz-$target found something: $build/fuzz/$target-*" >&2
    return 1
  fi
  if [ "$leaks" -eq 0 ] && ! GSETTINGS_SCHEMA_DIR=$build/schemas G_SLICE=always-malloc \
    "$build/tests/fuzz/replay-$target" "$build/fuzz/$target" >"$log.leaks" 2>&1; then
    tail -n 60 "$log.leaks" >&2
    echo "fuzz-$target lost something by one of $build/fuzz/$target" >&2
    return 1
  fi
  echo "fuzz-$target, $seconds s: $(sed -n 's/.*number_of_executed_units: *//p' "$log") runs, $(sed -n 's/.*DONE *//p' "$log")"
}

failed=0
while [ $# -gt 0 ]; do
  one "$1" &
  first=$!
  second=
  shift
  if [ $# -gt 0 ]; then
    one "$1" &
    second=$!
    shift
  fi
  wait "$first" || failed=1
  [ -z "$second" ] || wait "$second" || failed=1
done
exit "$failed"
