/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node/node.h"
#include "service/builtin.h"

G_BEGIN_DECLS

/* One service: its name, its target, and who may use it. Where both end in ":*", it is one for each
 * port, which stands for '*'. */
typedef struct {
  char *name;
  char *target;  /* an endpoint, "echo", "discard", "ports", "forward", "transport", "off" or
                    "handler" */
  char **peers;  /* names and ids; NULL: every trusted peer */
  char **roots;  /* directories, for the program that serves it; NULL: none are named */
  char **listen; /* of "forward": patterns of what they may have listened on; else NULL */
} HyphaService;

/* ITEMS: a{sv}. The error names the entry and the reason. */
HyphaService *hypha_service_new (HyphaLoader *loader, const char *name, GVariant *items,
                                 GError **error);
void hypha_service_free (HyphaService *self);
/* Its streams go to a program that registers for them. */
gboolean hypha_service_is_handler (HyphaService *self);
/* Its streams go to the transport that offers it, if one does, for whose channels this node is in
 * the middle. */
gboolean hypha_service_is_transport (HyphaService *self);
/* "kind:*" for "kind:7"; NULL: what follows the last colon is no port, 1 to 4294967295. */
char *hypha_service_dup_pattern (const char *name);
/* For a stream to NAME, which the service has or covers. */
char *hypha_service_dup_target (HyphaService *self, const char *name);
/* CODE: of the error. */
gboolean hypha_service_check_name (const char *name, HyphaError code, GError **error);
gboolean hypha_service_admits (HyphaService *self, HyphaNodePeer *peer);

/* Answers INCOMING with a channel to TARGET, or refuses when there is none. */
void hypha_service_connect (HyphaIncoming *incoming, HyphaLoader *loader, HyphaBuiltins *builtins,
                            const char *target);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaService, hypha_service_free)

G_END_DECLS
