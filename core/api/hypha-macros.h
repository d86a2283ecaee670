/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Everything is hidden unless a header says otherwise; hypha.map says so to the linker too. */
#define HYPHA_EXTERN __attribute__ ((visibility ("default"))) extern

/**
 * HYPHA_DEFAULT_PORT:
 *
 * The port of every transport that has ports: "HYPH" on a telephone's keys.
 */
#define HYPHA_DEFAULT_PORT 4974
