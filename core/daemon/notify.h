/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tells whoever started this process, if it wants to know: "READY=1", "STOPPING=1" (sd_notify). */
void hypha_notify (const char *state);
