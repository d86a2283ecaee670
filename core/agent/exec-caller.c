/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/exec-private.h"

#include <glib/gi18n-lib.h>

#include "agent/pty.h"

static gboolean
refuse (GError **error, const char *what)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
               _ ("what came for the service exec is wrong: %s"), what);
  return FALSE;
}

static gboolean
start (HyphaAgentExec *self, const HyphaParcel *parcel, GError **error)
{
  HyphaAgentLaunch launch;

  g_clear_handle_id (&self->timer, g_source_remove);
  self->request = hypha_agent_request_parse (parcel->data, parcel->length, error);
  if (self->request == NULL)
    return FALSE;
  if (hypha_agent_child_count () >= HYPHA_AGENT_MAX_COMMANDS) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%d commands and copies run on this node already, and no more may: try again "
                    "when one has ended"),
                 HYPHA_AGENT_MAX_COMMANDS);
    return FALSE;
  }
  self->account = hypha_agent_account_find (self->request->user, error);
  if (self->account == NULL ||
      !hypha_agent_launch (self->request, self->account, self->peer, -1, &launch, error))
    return FALSE;
  for (gsize i = 0; i < N_PIPES; i++)
    self->pipes[i].fd = launch.fds[i];
  self->child = hypha_agent_child_new (&launch, &hypha_agent_exec_child_events, self, error);
  if (self->child == NULL)
    return FALSE;
  g_message ("exec of %s as %s: process %d", self->peer_name, self->account->name, launch.pid);
  return TRUE;
}

static gboolean
take_input (HyphaAgentExec *self, const HyphaParcel *parcel, GError **error)
{
  if (self->input_end)
    return refuse (error, _ ("input after its end"));
  if (parcel->length > self->credit)
    return refuse (error, _ ("more input than was asked for"));
  self->credit -= (guint32) parcel->length;
  if (self->pipes[TO_COMMAND].fd >= 0)
    g_byte_array_append (self->input, parcel->data, (guint) parcel->length);
  if (parcel->length > 0)
    self->within_line =
        parcel->data[parcel->length - 1] != '\n' && parcel->data[parcel->length - 1] != '\r';
  return TRUE;
}

/* What people type for it, where there is a terminal: it cannot be closed one way. Within a line
 * the first one only hands over what there is of it. */
static void
take_input_end (HyphaAgentExec *self)
{
  char end = 0;

  if (self->input_end)
    return;
  self->input_end = TRUE;
  if (self->request->pty && self->pipes[TO_COMMAND].fd >= 0)
    end = hypha_agent_pty_get_end (self->pipes[TO_COMMAND].fd);
  for (int times = 0; end && times <= self->within_line; times++)
    g_byte_array_append (self->input, (const guint8 *) &end, 1);
}

static gboolean
take_resize (HyphaAgentExec *self, const HyphaParcel *parcel, GError **error)
{
  guint32 size;

  if (!self->request->pty || !hypha_parcel_read_u32 (parcel, &size))
    return refuse (error, _ ("a size, and no terminal to have it"));
  if (self->pipes[FROM_OUTPUT].fd >= 0)
    hypha_agent_pty_resize (self->pipes[FROM_OUTPUT].fd, (guint16) (size >> 16), (guint16) size);
  return TRUE;
}

static gboolean
take_signal (HyphaAgentExec *self, const HyphaParcel *parcel, GError **error)
{
  int number = hypha_exec_signal_from_name (parcel->data, parcel->length);

  if (number == 0)
    return refuse (error, _ ("a signal that this node does not know"));
  if (self->child)
    hypha_agent_child_signal (self->child, number);
  return TRUE;
}

/**
 * hypha_agent_exec_take:
 * @self: a stream, whose caller was not told yet how the command did
 * @parcel: what the caller said
 * @error: return location for an error: what is wrong with it, or why nothing can be run
 *
 * Does it.
 *
 * Returns: %TRUE unless this is the end
 */
gboolean
hypha_agent_exec_take (HyphaAgentExec *self, const HyphaParcel *parcel, GError **error)
{
  if (self->request == NULL)
    return parcel->type == HYPHA_EXEC_REQUEST
               ? start (self, parcel, error)
               : refuse (error, _ ("it does not begin with a request"));
  switch (parcel->type) {
  case HYPHA_EXEC_INPUT:
    return take_input (self, parcel, error);
  case HYPHA_EXEC_INPUT_END:
    take_input_end (self);
    return TRUE;
  case HYPHA_EXEC_RESIZE:
    return take_resize (self, parcel, error);
  case HYPHA_EXEC_SIGNAL:
    return take_signal (self, parcel, error);
  case HYPHA_EXEC_REQUEST:
    return refuse (error, _ ("a second request"));
  default:
    return refuse (error, _ ("a message of an unknown kind"));
  }
}
