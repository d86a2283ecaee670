/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>
#include "hypha-macros.h"

G_BEGIN_DECLS

/**
 * HyphaEndpoint:
 *
 * An immutable URI that a transport can listen on or connect to: `SCHEME:REST[?OPTION=VALUE&...]`.
 *
 * [func@Hypha.Endpoint.parse] splits it; the transport alone knows what the rest means. The rest is
 * held decoded; in print, `%`, `?`, `#`, space and control characters of it are `%XX`.
 */
typedef struct _HyphaEndpoint HyphaEndpoint;

#define HYPHA_TYPE_ENDPOINT (hypha_endpoint_get_type ())
HYPHA_EXTERN
GType hypha_endpoint_get_type (void);

/* "tcp://[::1]:80" has the scheme "tcp" and the rest "//[::1]:80"; "unix:@x" has the rest "@x".
 * The scheme keeps its case here ("VSOCK-CONNECT"); the transport's parse makes it canonical. */
HYPHA_EXTERN
HyphaEndpoint *hypha_endpoint_parse (const char *uri, GError **error);
/* For transports: the same options as OPTIONS_OF (nullable), other scheme and rest; never fails. */
HYPHA_EXTERN
HyphaEndpoint *hypha_endpoint_new (const char *scheme, const char *rest, HyphaEndpoint *options_of);
HYPHA_EXTERN
HyphaEndpoint *hypha_endpoint_ref (HyphaEndpoint *self);
HYPHA_EXTERN
void hypha_endpoint_unref (HyphaEndpoint *self);
HYPHA_EXTERN
const char *hypha_endpoint_get_scheme (HyphaEndpoint *self);
HYPHA_EXTERN
const char *hypha_endpoint_get_rest (HyphaEndpoint *self);
HYPHA_EXTERN
const char *hypha_endpoint_get_option (HyphaEndpoint *self, const char *name); /* nullable */
/* VALUE NULL takes the option away; checks the value as parse does. */
HYPHA_EXTERN
HyphaEndpoint *hypha_endpoint_with_option (HyphaEndpoint *self, const char *name, const char *value,
                                           GError **error);
HYPHA_EXTERN
HyphaEndpoint *hypha_endpoint_without_options (HyphaEndpoint *self);
HYPHA_EXTERN
const char *hypha_endpoint_to_string (HyphaEndpoint *self); /* owned by self; options sorted */
HYPHA_EXTERN
gboolean hypha_endpoint_equal (gconstpointer a, gconstpointer b);
HYPHA_EXTERN
guint hypha_endpoint_hash (gconstpointer endpoint);

/* For transports with ports: splits "//HOST:PORT" strictly. HOST loses its brackets; both must be
 * there; PORT is decimal, 0 to MAX_PORT, or "any" (0). The error names the part that is wrong. */
HYPHA_EXTERN
gboolean hypha_endpoint_split_host_port (HyphaEndpoint *self, guint32 max_port, char **host,
                                         guint32 *port, GError **error);

/* For transports: INVALID_ENDPOINT with the endpoint and why it is none of theirs. FALSE, always.
 */
HYPHA_EXTERN
gboolean hypha_endpoint_refuse (HyphaEndpoint *self, GError **error, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaEndpoint, hypha_endpoint_unref)

G_END_DECLS
