/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For transports: the options that `configure` is given. Only hypha-plugin.h includes it. */

#include "hypha-transport.h"

G_BEGIN_DECLS

typedef struct _HyphaOptions HyphaOptions;

/* Each option is read once, by its name and with what it is when it is left out; then
 * hypha_options_finish() tells whether all of them were right. Since ABI 1.2 */
HYPHA_EXTERN
HyphaOptions *hypha_options_new (HyphaTransport *transport, GVariant *values);
HYPHA_EXTERN
void hypha_options_free (HyphaOptions *self);
HYPHA_EXTERN
gboolean hypha_options_get_boolean (HyphaOptions *self, const char *name, gboolean fallback);
HYPHA_EXTERN
guint hypha_options_get_uint (HyphaOptions *self, const char *name, guint minimum, guint maximum,
                              guint fallback);
HYPHA_EXTERN
const char *hypha_options_get_string (HyphaOptions *self, const char *name, const char *fallback);
HYPHA_EXTERN
GVariant *hypha_options_get_value (HyphaOptions *self, const char *name, const char *type);
/* What is wrong with it beyond that. */
HYPHA_EXTERN
void hypha_options_refuse (HyphaOptions *self, const char *name, const char *format, ...)
    G_GNUC_PRINTF (3, 4);
HYPHA_EXTERN
gboolean hypha_options_finish (HyphaOptions *self, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaOptions, hypha_options_free)

G_END_DECLS
