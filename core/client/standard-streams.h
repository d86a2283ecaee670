/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

void hypha_client_open_standard_streams (void);

G_END_DECLS
