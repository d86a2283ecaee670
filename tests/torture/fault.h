/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* The system calls of libhypha-1.so, counted, and one of them made to fail. The calls of everybody
 * else - GLib, GnuTLS, this program, plug-ins - go through untouched. */

/* The NTH call of NAME from now on (1: the next) does nothing and fails with ERRNO, once. Returns
 * FALSE if there is no call of that name. */
gboolean fault_set (const char *name, guint nth, int errno_value);
void fault_clear (void);
gboolean fault_has_happened (void);

/* How often each was called so far: a line "NAME COUNT ERRNO..." for each on the standard output,
 * with the errors that it is worth to fail with. */
void fault_print_counts (void);
