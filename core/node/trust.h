/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* Whom this node talks to: ids with their names and what they are bound to. Default deny. */
typedef struct _HyphaTrust HyphaTrust;

/* What this node is called where a peer is named, and so no peer's name. */
#define HYPHA_TRUST_SELF "self"

typedef enum { HYPHA_TRUST_TLS_AUTO, HYPHA_TRUST_TLS_NEVER, HYPHA_TRUST_TLS_ALWAYS } HyphaTrustTls;

HyphaTrust *hypha_trust_new (void);
void hypha_trust_free (HyphaTrust *self);
/* a{sa{sv}}: id to name s, endpoints as, tls s (never, always), rule s (the trust rule that let it
 * in). Checked whole; INVALID_SETTING
 * names the id, the entry and the reason. */
gboolean hypha_trust_set (HyphaTrust *self, GVariant *trusted, GError **error);
GVariant *hypha_trust_dup (HyphaTrust *self); /* floating no more; as set takes it */
gboolean hypha_trust_add (HyphaTrust *self, const HyphaNodeId *id, const char *name,
                          GError **error);
/* Likewise, bound to ENDPOINT, by RULE. */
gboolean hypha_trust_add_by_rule (HyphaTrust *self, const HyphaNodeId *id, const char *name,
                                  const char *rule, const char *endpoint, GError **error);
void hypha_trust_set_rule (HyphaTrust *self, const HyphaNodeId *id, const char *rule);
gboolean hypha_trust_remove (HyphaTrust *self, const HyphaNodeId *id);

gboolean hypha_trust_knows (HyphaTrust *self, const HyphaNodeId *id);
const char *hypha_trust_get_name (HyphaTrust *self, const HyphaNodeId *id); /* NULL: not trusted */
const char *hypha_trust_get_rule (HyphaTrust *self, const HyphaNodeId *id); /* NULL: none */
const HyphaNodeId *hypha_trust_find_by_rule (HyphaTrust *self, const char *rule); /* NULL: nobody */
const HyphaNodeId *hypha_trust_find_by_name (HyphaTrust *self, const char *name); /* likewise */
HyphaTrustTls hypha_trust_get_tls (HyphaTrust *self, const HyphaNodeId *id);
gboolean hypha_trust_any_plain (HyphaTrust *self); /* some peer has tls=never */
/* Is CHANNEL one of the endpoints that ID is bound to (if it is bound)? DIALLED: what we dialled,
 * NULL when they did. */
gboolean hypha_trust_admits (HyphaTrust *self, const HyphaNodeId *id, HyphaChannel *channel,
                             HyphaEndpoint *dialled);
/* Of what is about to be dialled: whether ID, whom we trust, may be there. */
gboolean hypha_trust_may_dial (HyphaTrust *self, const HyphaNodeId *id, HyphaEndpoint *endpoint);
GList *hypha_trust_list (HyphaTrust *self); /* (transfer container) of HyphaNodeId */

/* A name a person can type and a terminal can print: 1 to 64 bytes of UTF-8 without control
 * characters or white space, and no id. */
gboolean hypha_trust_check_name (const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaTrust, hypha_trust_free)

G_END_DECLS
