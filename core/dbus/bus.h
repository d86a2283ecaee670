/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib/gi18n-lib.h>
#include <hypha-api.h>

G_BEGIN_DECLS

/* Whose node, and by that which bus: of --system, --user and --address at most one; without any,
 * the system bus for root and the session bus for everybody else. */
typedef struct {
  gboolean system;
  gboolean user;
  char *address;
} HyphaBus;

/* For a table of GOptionEntry. */
#define HYPHA_BUS_OPTIONS(bus)                                                             \
  { "system", 0, 0, G_OPTION_ARG_NONE, &(bus)->system, N_ ("Use the system bus"), NULL },  \
      { "user", 0, 0, G_OPTION_ARG_NONE, &(bus)->user, N_ ("Use the session bus"), NULL }, \
  {                                                                                        \
    "address", 0, 0, G_OPTION_ARG_STRING, &(bus)->address, N_ ("Use the bus at ADDRESS"),  \
        N_ ("ADDRESS")                                                                     \
  }

gboolean hypha_bus_check (const HyphaBus *self, GError **error);
gboolean hypha_bus_is_system (const HyphaBus *self);
const char *hypha_bus_describe (const HyphaBus *self);
GDBusConnection *hypha_bus_connect (const HyphaBus *self, GCancellable *cancellable,
                                    GError **error);
/* Where there is no message bus: the daemon's own socket, and a connection to it without one in
 * between, on which nobody has a name. */
char *hypha_bus_dup_socket (const HyphaBus *self);
GDBusConnection *hypha_bus_connect_private (const HyphaBus *self, GCancellable *cancellable,
                                            GError **error);
/* What a client is called there that takes it for a message bus, and says hello. */
#define HYPHA_BUS_GUEST ":hypha.1"
gboolean hypha_bus_is_private (GDBusConnection *connection);
void hypha_bus_clear (HyphaBus *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaBus, hypha_bus_clear)

G_END_DECLS
