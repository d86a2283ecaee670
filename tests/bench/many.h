/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* Many connections at once in one thread, on epoll. */
G_NORETURN void many_serve (int listener);
double many_send (const int *fds, guint n, guint64 bytes);
