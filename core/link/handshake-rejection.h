/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/handshake.h"

G_BEGIN_DECLS

/* The codes of REJECT, and what is told of them at either end. */
gboolean hypha_rejection_is_known (guint32 code);
/* PEER is NULL where none is proven. */
GError *hypha_rejection_of_ours (HyphaRejectCode code, const HyphaNodeId *peer);
GError *hypha_rejection_of_theirs (HyphaRejectCode code, const HyphaNodeId *peer,
                                   const HyphaNodeId *own);

G_END_DECLS
