/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

/* Joins standard input and output to a bare channel until both directions have ended. FALSE with an
 * error: it broke, there or here; the other end then is to see a reset, where its kind knows one.
 * INTERRUPTED is that of hypha_ctl_catch_signals(). */
gboolean hypha_bare_join (HyphaStream *stream, const gboolean *interrupted, GError **error);

G_END_DECLS
