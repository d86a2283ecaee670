/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The one place that says whether a caller may. Reading is open to everybody who can call, every
 * change to root and the daemon's own user, and to whom polkit allows it. */

/* From now on, no method of an interface of this class is called for somebody who may not. For the
 * class_init of direct descendants of what gdbus-codegen made. */
void hypha_authority_guard (GDBusInterfaceSkeletonClass *klass);

G_END_DECLS
