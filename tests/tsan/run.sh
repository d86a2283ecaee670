#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh BUILD [TEST...]: the suite unit of BUILD (-Db_sanitize=thread), or some of it; a race fails the test that it is in.
set -eu
build=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
TSAN_OPTIONS="suppressions=$here/suppressions:report_mutex_bugs=0:second_deadlock_stack=1:history_size=4"
export TSAN_OPTIONS G_SLICE=always-malloc
# Builds what these tests need, and no more.
exec meson test -C "$build" --print-errorlogs --suite unit "$@"
