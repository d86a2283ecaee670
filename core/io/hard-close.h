/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Towards a program that does not know Hypha, a reset has to be one of its own kind. A Unix socket
 * knows none: there only a program that we left something of unread learns of it. */
void hypha_hard_close (int fd);       /* now; FD is taken */
void hypha_hard_close_later (int fd); /* when FD is closed, also by the end of the process */
void hypha_soft_close (int fd);       /* now, and not so after all; FD is taken */

G_END_DECLS
