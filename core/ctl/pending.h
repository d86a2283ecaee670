/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

/* Those who proved an id and are not trusted. */
GPtrArray *hypha_ctl_list_pending (HyphaCtl *ctl, GError **error); /* HyphaDBusPeer1 */
GVariant *hypha_ctl_describe_pending (GPtrArray *pending);         /* aa{sv}, floating */

G_END_DECLS
