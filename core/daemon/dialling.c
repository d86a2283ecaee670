/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/dialling.h"

#include <gio/gunixfdlist.h>

#include "daemon/call-options.h"
#include "daemon/descriptors.h"
#include "daemon/sender.h"
#include "dbus/errors.h"
#include "loader/dial.h"

typedef struct {
  HyphaDBusNode1 *object;
  GDBusMethodInvocation *invocation;
} Dialling;

static void
dialling_free (Dialling *self)
{
  g_object_unref (self->invocation);
  g_object_unref (self->object);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dialling, dialling_free)

/* The channel's descriptor is all there is of it: what pumps one ends with it. */
static void
on_dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Dialling) self = user_data;
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_loader_dial_finish (HYPHA_LOADER (source), result, &error);
  int fd;

  if (channel == NULL) {
    hypha_dbus_return_error (g_object_ref (self->invocation), error);
    return;
  }
  fd = hypha_channel_steal_fd (channel);
  fds = g_unix_fd_list_new_from_array (&fd, 1);
  hypha_dbus_node1_complete_dial (self->object, g_object_ref (self->invocation), fds,
                                  g_variant_new_handle (0));
}

/**
 * hypha_dialling_start:
 * @object: the interface
 * @invocation: (transfer full): a call of its method Dial
 * @loader: of the node
 * @endpoint: where to connect
 * @options: a{sv}: timeout u (ms)
 *
 * Connects, and answers the call with the descriptor or with what went wrong. Nobody waits for an
 * answer any more when the caller has gone: then it is given up.
 */
void
hypha_dialling_start (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation,
                      HyphaLoader *loader, const char *endpoint, GVariant *options)
{
  static const HyphaCallOption known[] = { { "timeout", "u" }, { NULL, NULL } };
  g_autoptr (GError) error = NULL;
  guint timeout = 0;
  Dialling *self;

  if (!hypha_call_options_check (options, known, &error) ||
      !hypha_descriptors_check (invocation, &error)) {
    hypha_dbus_return_error (invocation, error);
    return;
  }
  g_variant_lookup (options, "timeout", "u", &timeout);
  self = g_new0 (Dialling, 1);
  self->object = g_object_ref (object);
  self->invocation = invocation;
  hypha_loader_dial_async (loader, endpoint, timeout, hypha_sender_cancellable (invocation),
                           on_dialled, self);
}
