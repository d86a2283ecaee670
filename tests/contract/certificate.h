/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A certificate for localhost, 127.0.0.1 and ::1, which has signed itself, and its key: as the
 * files PATH.crt and PATH.key. */
gboolean certificate_write (const char *path, GError **error);

G_END_DECLS
