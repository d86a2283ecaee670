#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What sim cannot carry out it refuses, with exit 2 and a reason, rather than run something else.
sim=$1
n=0

refuses() {
  n=$((n + 1))
  reason=$("$sim" "$@" 2>&1 >/dev/null)
  if [ $? -eq 2 ] && [ -n "$reason" ]; then
    echo "ok $n - refuses $*"
  else
    echo "not ok $n - refuses $*"
  fi
}

refuses junk
refuses --seed 1 junk
refuses --no-such-option
refuses --faults -5
refuses --faults 0
refuses --faults many
refuses --seed -1
refuses --seed 99999999999999999999
refuses --seeds 5
refuses --seeds 5:5
refuses --seeds -1:5
refuses --seeds 1:2:3
refuses --jobs 0
refuses --jobs 65
refuses --only no-such-fault
refuses --lives 5
echo "1..$n"
