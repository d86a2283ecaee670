/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells whoever started this process, if it wants to know: lines such as "READY=1" (sd_notify). */
void hypha_notify (const char *state);
