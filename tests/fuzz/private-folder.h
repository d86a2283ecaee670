/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A folder of mode 0700, in $TMPDIR, or else in memory where that can be had. It goes when this
 * process ends by exit(), which libFuzzer does not. */
const char *private_folder (void);
