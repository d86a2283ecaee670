/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/caller.h"

struct _HyphaCaller {
  GDBusConnection *connection;
  char *sender;
  guint watch;   /* of the name */
  gulong closed; /* signal handler of the connection */
  HyphaCallerGone gone;
  gpointer user_data;
};

static void
on_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  HyphaCaller *self = user_data;

  self->gone (self, self->user_data);
}

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *error, gpointer user_data)
{
  HyphaCaller *self = user_data;

  self->gone (self, self->user_data);
}

/**
 * hypha_caller_watch:
 * @connection: where the call came from
 * @sender: (nullable): the caller's unique name; %NULL where @connection leads to no bus
 * @gone: told when the caller has left
 * @user_data: for @gone
 *
 * Returns: (transfer full): the caller
 */
HyphaCaller *
hypha_caller_watch (GDBusConnection *connection, const char *sender, HyphaCallerGone gone,
                    gpointer user_data)
{
  HyphaCaller *self = g_new0 (HyphaCaller, 1);

  self->connection = g_object_ref (connection);
  self->sender = g_strdup (sender);
  self->gone = gone;
  self->user_data = user_data;
  if (sender)
    self->watch = g_bus_watch_name_on_connection (connection, sender, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                  NULL, on_vanished, self, NULL);
  else
    self->closed = g_signal_connect (connection, "closed", G_CALLBACK (on_closed), self);
  return self;
}

/**
 * hypha_caller_unwatch:
 * @self: (transfer full): a caller
 *
 * Whether it is there does not matter any more.
 */
void
hypha_caller_unwatch (HyphaCaller *self)
{
  g_clear_handle_id (&self->watch, g_bus_unwatch_name);
  g_clear_signal_handler (&self->closed, self->connection);
  g_object_unref (self->connection);
  g_free (self->sender);
  g_free (self);
}

/**
 * hypha_caller_is:
 * @self: a caller
 * @invocation: a call
 *
 * Returns: whether @invocation is by the same caller
 */
gboolean
hypha_caller_is (HyphaCaller *self, GDBusMethodInvocation *invocation)
{
  return self->connection == g_dbus_method_invocation_get_connection (invocation) &&
         g_strcmp0 (self->sender, g_dbus_method_invocation_get_sender (invocation)) == 0;
}

/**
 * hypha_caller_get_connection:
 * @self: a caller
 *
 * Returns: (transfer none): where it is called back
 */
GDBusConnection *
hypha_caller_get_connection (HyphaCaller *self)
{
  return self->connection;
}

/**
 * hypha_caller_get_sender:
 * @self: a caller
 *
 * Returns: (transfer none) (nullable): its unique name
 */
const char *
hypha_caller_get_sender (HyphaCaller *self)
{
  return self->sender;
}
