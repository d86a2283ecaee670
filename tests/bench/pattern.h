/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Content that tells where it belongs, for whoever verifies: what is lost, repeated or moved does
 * not compare equal. */
#define PATTERN_BLOCK (256 * 1024)

const guint8 *pattern_at (guint64 offset);
