#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# check-exports.sh NM MODULE SYMBOL: MODULE exports SYMBOL, as data, and nothing else.
set -eu

# Sanitizers and their coverage add symbols of their own, with names that are the compiler's.
exported=$("$1" -D --defined-only "$2" | awk '{ print $2, $3 }' | grep -v ' __' || true)
case $exported in
[RD]" $3") ;;
*)
  echo "$2 exports, in place of $3 alone:" >&2
  echo "$exported" >&2
  exit 1
  ;;
esac
