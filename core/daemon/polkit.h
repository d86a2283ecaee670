/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/sender.h"

G_BEGIN_DECLS

/* Asks polkit, over its interface on the bus the caller is on. */
void hypha_polkit_check_async (HyphaSender *caller, const char *action, gboolean interactive,
                               GAsyncReadyCallback callback, gpointer user_data);
gboolean hypha_polkit_check_finish (GAsyncResult *result, GError **error);

G_END_DECLS
