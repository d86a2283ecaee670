/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/attaching.h"

#include <gio/gunixfdlist.h>

#include "daemon/call-options.h"
#include "daemon/descriptors.h"
#include "daemon/sender.h"
#include "dbus/errors.h"

/* Whoever has an account has one share of the handshakes, however many connections. */
static char *
share_of (GDBusMethodInvocation *invocation)
{
  guint32 uid;

  return hypha_sender_get_uid (hypha_sender_of (invocation), &uid)
             ? g_strdup_printf ("attached uid %u", uid)
             : g_strdup ("attached");
}

/**
 * hypha_attaching_answer:
 * @object: the interface
 * @invocation: (transfer full): a call of its method Attach
 * @node: the node
 * @from: where the connection comes from, as the caller says
 * @options: a{sv}: none so far
 *
 * The descriptor is made here and handed out, not taken from the caller: whoever shares a socket
 * with the node could make it block, and the node with it.
 */
void
hypha_attaching_answer (HyphaDBusNode1 *object, GDBusMethodInvocation *invocation, HyphaNode *node,
                        const char *from, GVariant *options)
{
  static const HyphaCallOption known[] = { { NULL, NULL } };
  g_autofree char *share = share_of (invocation);
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GError) error = NULL;
  int fd = -1;

  if (hypha_call_options_check (options, known, &error) &&
      hypha_descriptors_check (invocation, &error))
    fd = hypha_node_attach (node, from, share, &error);
  if (fd < 0) {
    hypha_dbus_return_error (invocation, error);
    return;
  }
  fds = g_unix_fd_list_new_from_array (&fd, 1);
  hypha_dbus_node1_complete_attach (object, invocation, fds, g_variant_new_handle (0));
}
