/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loader/loader.h"
#include "node/place.h"

G_BEGIN_DECLS

/* Addresses that kernel or hypervisor vouches for, and the name under which the first id seen there
 * is trusted. */
typedef struct _HyphaTrustRules HyphaTrustRules;

typedef struct {
  HyphaPlace *place;
  char *name;
  guint index;        /* among the rules as they were set: whoever wrote them finds them so again */
  gboolean suspended; /* whom it let in was forgotten: */
  HyphaNodeId forgotten;
} HyphaTrustRule;

HyphaTrustRules *hypha_trust_rules_new (void);
void hypha_trust_rules_free (HyphaTrustRules *self);
/* a{ss}: pattern to "NAME", or to "NAME suspended ID". Checked whole; INVALID_SETTING names the
 * rule and the reason. */
gboolean hypha_trust_rules_set (HyphaTrustRules *self, HyphaLoader *loader, GVariant *rules,
                                GError **error);
GVariant *hypha_trust_rules_dup (HyphaTrustRules *self); /* floating no more; as set takes it */
guint hypha_trust_rules_n (HyphaTrustRules *self);
HyphaTrustRule *hypha_trust_rules_get (HyphaTrustRules *self,
                                       guint index); /* in order of patterns */
const HyphaTrustRule *hypha_trust_rules_find_forgotten (
    HyphaTrustRules *self, const HyphaNodeId *id); /* NULL: it was not */
/* Whether a rule has NAME for somebody else than ID. */
gboolean hypha_trust_rules_give (HyphaTrustRules *self, const char *name, const HyphaNodeId *id);
HyphaTrustRule *hypha_trust_rules_lookup (HyphaTrustRules *self,
                                          const char *pattern); /* nullable */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaTrustRules, hypha_trust_rules_free)

G_END_DECLS
