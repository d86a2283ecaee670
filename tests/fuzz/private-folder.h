/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A folder of mode 0700 for as long as this process lives, in memory where that can be had. */
const char *private_folder (void);
