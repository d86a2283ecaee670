#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds every fuzzer as OSS-Fuzz wants it: with $CC and $CFLAGS, linked by $CXX with $LIB_FUZZING_ENGINE, into $OUT, each with its seeds
# (FUZZER_seed_corpus.zip) and its dictionary (FUZZER.dict). $SRC/hypha is this tree; without $SRC, the tree that this file is in.
#
#     CC=clang CXX=clang++ CFLAGS='-O1 -g -fsanitize=address,fuzzer-no-link' CXXFLAGS="$CFLAGS" LIB_FUZZING_ENGINE=-fsanitize=fuzzer \
#       OUT=/tmp/out tests/fuzz/oss-fuzz-build.sh
set -eu
: "${CC:?}" "${CXX:?}" "${OUT:?}" "${LIB_FUZZING_ENGINE:?}"
source=$(cd "$(dirname "$0")/../.." && pwd)
[ -z "${SRC:-}" ] || source=$SRC/hypha
build=${WORK:-$source}/_build-oss-fuzz
mkdir -p "$OUT/lib"

# The sanitizer and its coverage are in CFLAGS. What the fuzzers need beside the C library goes with them, into lib.
export LDFLAGS="${LDFLAGS:-} -Wl,--disable-new-dtags,-rpath,\$ORIGIN/lib"
if [ ! -f "$build/build.ninja" ]; then
  meson setup "$build" "$source" -Dbuildtype=plain -Db_lundef=false -Dinvariants=true -Dtests=true \
    -Dfuzzing-engine="$LIB_FUZZING_ENGINE"
fi
names=$(find "$source/tests/fuzz" -name 'fuzz-*.c' -exec basename {} .c \; | sort)
for name in $names; do
  set -- "$@" "tests/fuzz/$name"
done
ninja -C "$build" "$@" schemas/gschemas.compiled

for name in $names; do
  target=${name#fuzz-}
  cp "$build/tests/fuzz/$name" "$OUT/"
  ldd "$build/tests/fuzz/$name" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | grep -vE '/(libc|libm|libpthread|libdl|librt|libgcc_s)\.so' |
    xargs -r cp -Lt "$OUT/lib"
  python3 -m zipfile -c "$OUT/${name}_seed_corpus.zip" "$source/tests/fuzz/corpus/$target"/*
  if [ -f "$source/tests/fuzz/$target.dict" ]; then
    cp "$source/tests/fuzz/$target.dict" "$OUT/$name.dict"
  fi
done
# Those that have settings look for the schema beside themselves.
cp "$build/schemas/gschemas.compiled" "$OUT/"
