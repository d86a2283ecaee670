/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/mailbox.h"

#include "io/inbox.h"

/* The mailbox is its source: so it lives on while it is being dispatched, even if a closure frees
 * it. */
struct _HyphaMailbox {
  GSource source;
  HyphaInbox inbox;
};

static gboolean
mailbox_dispatch (GSource *source, GSourceFunc callback, gpointer user_data)
{
  HyphaMailbox *self = (HyphaMailbox *) source;

  hypha_inbox_run (&self->inbox);
  return G_SOURCE_CONTINUE;
}

static void
mailbox_finalize (GSource *source)
{
  HyphaMailbox *self = (HyphaMailbox *) source;

  if (self->inbox.fd >= 0)
    hypha_inbox_clear (&self->inbox);
}

static GSourceFuncs mailbox_funcs = {
  .dispatch = mailbox_dispatch,
  .finalize = mailbox_finalize,
};

/**
 * hypha_mailbox_new: (skip)
 * @error: return location for a #GError
 *
 * Makes a mailbox whose closures are carried out on the thread-default main context of the caller.
 *
 * Returns: (transfer full) (nullable): the mailbox, or %NULL with %HYPHA_ERROR_FAILED where the
 * system has no descriptor left
 */
HyphaMailbox *
hypha_mailbox_new (GError **error)
{
  GSource *source = g_source_new (&mailbox_funcs, sizeof (HyphaMailbox));
  HyphaMailbox *self = (HyphaMailbox *) source;

  self->inbox.fd = -1;
  if (!hypha_inbox_init (&self->inbox, error)) {
    g_source_unref (source);
    return NULL;
  }
  g_source_set_static_name (source, "hypha-mailbox");
  /* Or GLib takes the descriptor out of the poll while closures run and puts it back afterwards,
   * each time with a wake-up of the loop that is running already. */
  g_source_set_can_recurse (source, TRUE);
  g_source_add_unix_fd (source, self->inbox.fd, G_IO_IN);
  g_source_attach (source, g_main_context_get_thread_default ());
  return self;
}

/**
 * hypha_mailbox_free: (skip)
 * @self: (transfer full): a mailbox
 *
 * Carries out what is still there, in order. On the mailbox's own thread, from within one of its
 * closures if need be; nobody may post any more.
 */
void
hypha_mailbox_free (HyphaMailbox *self)
{
  g_source_destroy (&self->source);
  hypha_inbox_drain (&self->inbox);
  g_source_unref (&self->source);
}

/**
 * hypha_mailbox_post: (skip)
 * @self: a mailbox
 * @func: what to carry out on the mailbox's thread
 * @data: for @func
 *
 * From any thread.
 */
void
hypha_mailbox_post (HyphaMailbox *self, HyphaWorkFunc func, gpointer data)
{
  hypha_inbox_post (&self->inbox, func, data);
}
