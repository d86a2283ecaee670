/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/flood-gate.h"

#include <stdatomic.h>

/* Signals that may wait for the main thread; each takes about two kilobytes. */
#define MAX_WAITING 5000
/* How many go by from one mark to the next. */
#define MARK_EVERY 500

typedef struct {
  atomic_uint ref_count; /* the gate, the filter, and each mark under way */
  atomic_uint_fast64_t passed, taken, dropped;
} Counters;

struct _HyphaFloodGate {
  GDBusConnection *connection;
  guint filter;
  Counters *counters;
};

static Counters *
counters_ref (Counters *self)
{
  atomic_fetch_add (&self->ref_count, 1);
  return self;
}

static void
counters_unref (gpointer data)
{
  Counters *self = data;

  if (atomic_fetch_sub (&self->ref_count, 1) == 1)
    g_free (self);
}

/* Goes through the same queue as the signals, so what was before it has been taken. */
typedef struct {
  Counters *counters;
  guint64 number;
} Mark;

static void
mark_free (gpointer data)
{
  Mark *mark = data;

  counters_unref (mark->counters);
  g_free (mark);
}

static gboolean
on_mark (gpointer data)
{
  Mark *mark = data;

  atomic_store (&mark->counters->taken, mark->number);
  return G_SOURCE_REMOVE;
}

static gboolean
is_news (GDBusMessage *message)
{
  return g_dbus_message_get_message_type (message) == G_DBUS_MESSAGE_TYPE_SIGNAL &&
         g_strcmp0 (g_dbus_message_get_interface (message), "org.freedesktop.DBus.ObjectManager") !=
             0 &&
         g_strcmp0 (g_dbus_message_get_interface (message), "org.freedesktop.DBus") != 0;
}

/* On the connection's thread. */
static GDBusMessage *
on_message (GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer data)
{
  Counters *counters = data;
  guint64 passed;

  if (!incoming || !is_news (message))
    return message;
  passed = atomic_load (&counters->passed);
  if (passed - atomic_load (&counters->taken) >= MAX_WAITING) {
    atomic_fetch_add (&counters->dropped, 1);
    g_object_unref (message);
    return NULL;
  }
  atomic_store (&counters->passed, passed + 1);
  if (passed % MARK_EVERY == 0) {
    g_autoptr (GSource) source = g_idle_source_new ();
    Mark *mark = g_new (Mark, 1);

    mark->counters = counters_ref (counters);
    mark->number = passed;
    g_source_set_priority (source, G_PRIORITY_DEFAULT);
    g_source_set_callback (source, on_mark, mark, mark_free);
    g_source_attach (source, NULL);
  }
  return message;
}

/**
 * hypha_flood_gate_new:
 * @connection: to a node or a bus
 *
 * Returns: (transfer full): a gate that works until it is freed
 */
HyphaFloodGate *
hypha_flood_gate_new (GDBusConnection *connection)
{
  HyphaFloodGate *self = g_new0 (HyphaFloodGate, 1);

  self->connection = g_object_ref (connection);
  self->counters = g_new0 (Counters, 1);
  atomic_init (&self->counters->ref_count, 1);
  self->filter = g_dbus_connection_add_filter (connection, on_message,
                                               counters_ref (self->counters), counters_unref);
  return self;
}

/**
 * hypha_flood_gate_free:
 * @self: (transfer full): a gate
 *
 * Lets everything through again.
 */
void
hypha_flood_gate_free (HyphaFloodGate *self)
{
  g_dbus_connection_remove_filter (self->connection, self->filter);
  g_object_unref (self->connection);
  counters_unref (self->counters);
  g_free (self);
}

/**
 * hypha_flood_gate_take_dropped:
 * @self: a gate
 *
 * Returns: how many signals were dropped since the last call
 */
guint64
hypha_flood_gate_take_dropped (HyphaFloodGate *self)
{
  return atomic_exchange (&self->counters->dropped, 0);
}
