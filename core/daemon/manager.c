/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/manager.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#include "daemon/notify.h"

struct _HyphaManager {
  HyphaNode *node;
  gboolean ready, stopping;
  guint watchdog;  /* timer; 0: nobody asked for it */
  gboolean asked;  /* the workers, who have not all answered yet */
  guint telling;   /* idle source: the status has changed */
  char *last_told; /* of the status */
};

/* ---- status ---- */

static char *
describe (HyphaManager *self)
{
  g_auto (GStrv) listening = hypha_node_dup_listening (self->node);
  guint links = g_list_model_get_n_items (hypha_node_get_links (self->node));
  guint peers = g_list_model_get_n_items (hypha_node_get_peers (self->node));

  if (self->stopping)
    return g_strdup (_ ("Stopping: open streams may end first."));
  return g_strdup_printf (_ ("Peers: %u, links: %u, endpoints listened on: %u."), peers, links,
                          g_strv_length (listening));
}

/* With STATE (nullable), a line that goes first. */
static void
tell (HyphaManager *self, const char *state)
{
  g_autofree char *status = describe (self);
  g_autofree char *lines =
      g_strconcat (state != NULL ? state : "", state != NULL ? "\n" : "", "STATUS=", status, NULL);

  if (state == NULL && g_strcmp0 (status, self->last_told) == 0)
    return;
  g_free (self->last_told);
  self->last_told = g_steal_pointer (&status);
  hypha_notify (lines);
}

static gboolean
tell_status (gpointer user_data)
{
  HyphaManager *self = user_data;

  self->telling = 0;
  if (self->ready || self->stopping) {
    tell (self, NULL);
  } else if (hypha_node_is_settled (self->node)) {
    self->ready = TRUE;
    tell (self, "READY=1");
  }
  return G_SOURCE_REMOVE;
}

/* Of many changes at once, the last is told. */
static void
on_changed (HyphaManager *self)
{
  if (self->telling == 0)
    self->telling = g_idle_add (tell_status, self);
}

/* ---- watchdog ---- */

static void
on_pulse (HyphaNode *node, gpointer user_data)
{
  HyphaManager *self = user_data;

  self->asked = FALSE;
  hypha_notify ("WATCHDOG=1");
}

/* That this is called at all shows that the main loop turns. */
static gboolean
on_watchdog (gpointer user_data)
{
  HyphaManager *self = user_data;

  if (!self->asked) {
    self->asked = TRUE;
    hypha_node_take_pulse (self->node, on_pulse, self);
  }
  return G_SOURCE_CONTINUE;
}

/* Milliseconds between two signs of life, half of what may pass; 0: nobody waits for them. */
static guint
get_interval (void)
{
  const char *usec = g_getenv ("WATCHDOG_USEC");
  const char *pid = g_getenv ("WATCHDOG_PID");
  guint64 number;

  if (pid != NULL && (!g_ascii_string_to_unsigned (pid, 10, 1, G_MAXINT, &number, NULL) ||
                      number != (guint64) getpid ()))
    return 0;
  if (usec == NULL || !g_ascii_string_to_unsigned (usec, 10, 1, G_MAXUINT64 - 1, &number, NULL))
    return 0;
  return (guint) CLAMP (number / 2000, 1, G_MAXINT);
}

/* ---- life ---- */

/**
 * hypha_manager_new:
 * @node: a node that does its work, which outlives the manager
 *
 * Tells READY=1 with a STATUS as soon as @node listens wherever it can, and from then on every
 * change of the status. Where a watchdog waits
 * for signs of life (WATCHDOG_USEC), gives them while the main loop turns and every worker of
 * @node answers.
 *
 * Returns: (transfer full): the manager
 */
HyphaManager *
hypha_manager_new (HyphaNode *node)
{
  HyphaManager *self = g_new0 (HyphaManager, 1);
  guint interval = get_interval ();

  self->node = node;
  g_signal_connect_swapped (node, "notify::listening", G_CALLBACK (on_changed), self);
  g_signal_connect_swapped (hypha_node_get_links (node), "items-changed", G_CALLBACK (on_changed),
                            self);
  g_signal_connect_swapped (hypha_node_get_peers (node), "items-changed", G_CALLBACK (on_changed),
                            self);
  if (interval > 0)
    self->watchdog = g_timeout_add_full (G_PRIORITY_HIGH, interval, on_watchdog, self, NULL);
  on_changed (self);
  return self;
}

/**
 * hypha_manager_free:
 * @self: (transfer full): a manager
 *
 * Tells nothing more.
 */
void
hypha_manager_free (HyphaManager *self)
{
  g_signal_handlers_disconnect_by_data (self->node, self);
  g_signal_handlers_disconnect_by_data (hypha_node_get_links (self->node), self);
  g_signal_handlers_disconnect_by_data (hypha_node_get_peers (self->node), self);
  g_clear_handle_id (&self->watchdog, g_source_remove);
  g_clear_handle_id (&self->telling, g_source_remove);
  g_free (self->last_told);
  g_free (self);
}

/**
 * hypha_manager_reloading:
 * @self: a manager
 *
 * Tells that settings are about to be read anew; hypha_manager_reloaded() has to follow.
 */
void
hypha_manager_reloading (HyphaManager *self)
{
  g_autofree char *lines =
      g_strdup_printf ("RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time ());

  if (self->ready && !self->stopping)
    hypha_notify (lines);
}

/**
 * hypha_manager_reloaded:
 * @self: a manager
 *
 * Tells that they are in force.
 */
void
hypha_manager_reloaded (HyphaManager *self)
{
  if (self->ready && !self->stopping)
    tell (self, "READY=1");
}

/**
 * hypha_manager_stopping:
 * @self: a manager
 *
 * Tells that the end has begun. The signs of life go on.
 */
void
hypha_manager_stopping (HyphaManager *self)
{
  self->stopping = TRUE;
  tell (self, "STOPPING=1");
}
