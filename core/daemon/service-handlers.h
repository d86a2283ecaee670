/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dbus/interfaces.h"
#include "service/services.h"

G_BEGIN_DECLS

/* The programs that serve streams over D-Bus: each is asked by org.hypha.ServiceHandler1.Accept,
 * and dies with its bus name. Main thread. */
typedef struct _HyphaServiceHandlers HyphaServiceHandlers;

#define HYPHA_SERVICE_HANDLERS_MAX_PER_CALLER 64
#define HYPHA_SERVICE_HANDLERS_MAX_PENDING 64 /* calls of Accept, for each handler */

HyphaServiceHandlers *hypha_service_handlers_new (HyphaServices *services);
void hypha_service_handlers_free (HyphaServiceHandlers *self); /* unregisters all */
/* PATH: of an object of the caller of INVOCATION. */
gboolean hypha_service_handlers_register (HyphaServiceHandlers *self,
                                          GDBusMethodInvocation *invocation, const char *name,
                                          const char *path, GError **error);
gboolean hypha_service_handlers_unregister (HyphaServiceHandlers *self,
                                            GDBusMethodInvocation *invocation, const char *name,
                                            GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaServiceHandlers, hypha_service_handlers_free)

G_END_DECLS
