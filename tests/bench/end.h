/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

/* What the programs at the ends have in common: where to connect to, and what they say to whoever
 * has started them. A mistake ends the process. */
G_NORETURN void die (const char *format, ...) G_GNUC_PRINTF (1, 2);

gboolean write_all (int fd, const void *data, gsize length);
gboolean read_all (int fd, void *data, gsize length);

/* unix:PATH, tcp:[ADDRESS:]PORT (127.0.0.1 without one), hypha:BUS-ADDRESS;PEER-PATH;SERVICE,
 * machine:PATH:PORT (a machine by the socket of its VMM).
 * Blocking descriptors. */
int end_listen (const char *where);
int end_accept (int listener);
int end_open (const char *where);
void end_open_many (const char *where, int *fds, guint n);

/* Prints LINE, and waits for another: whoever started this looks at the processes meanwhile. */
void end_say (const char *line);
void end_report (double result);
guint64 end_number (const char *text);
