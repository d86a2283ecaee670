#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh BUILD SECONDS: lets every fuzzer of BUILD (-Dfuzzers=true) search for SECONDS. What it finds stays in BUILD/fuzz, and is named.
set -eu
build=$1
seconds=$2
here=$(dirname "$0")
for target in endpoint frame handshake; do
  mkdir -p "$build/fuzz/$target"
  echo "== fuzz-$target, $seconds s"
  if ! "$build/tests/fuzz/fuzz-$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$build/fuzz/$target-" "$build/fuzz/$target" "$here/corpus/$target" 2>"$build/fuzz/$target.log"; then
    tail -n 40 "$build/fuzz/$target.log" >&2
    echo "fuzz-$target found something: $build/fuzz/$target-*" >&2
    exit 1
  fi
  grep -E 'stat::number_of_executed_units|DONE' "$build/fuzz/$target.log"
done
