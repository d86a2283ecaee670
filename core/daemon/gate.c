/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/gate.h"

#include <gio/gunixfdlist.h>
#include <glib/gi18n-lib.h>
#include <hypha-api.h>

#include "dbus/errors.h"

/* GDBus takes whatever comes and queues a call for the main thread, and an answer for the socket,
 * without a bound. A filter sees each call come and each answer go, the latter when its turn to be
 * written has come: so the difference is what is under way, here and in either queue. Filters run
 * in GDBus's thread. */

/* A call weighs 1, and 1 for each 4 KiB that came with it. */
#define WEIGHT_BYTES 4096
/* One that asks for all objects there are: the answer is what costs memory, and time. */
#define WEIGHT_OF_ALL 16
#define MAX_LOAD 1024
#define MAX_LOAD_IN_ALL 16384
/* Of it, what each caller has for itself, however much the others have under way. */
#define SURE_LOAD 16
#define MAX_SIZE (1024 * 1024)
/* Refusals that are not written yet. */
#define MAX_REFUSED 1024

#define NO_REPLY G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED

typedef struct {
  guint weight; /* 0: it was refused */
  gboolean no_reply;
} Call;

typedef struct {
  GHashTable *calls; /* serial to Call */
  guint load, refused;
} Sender;

/* What the filter holds: it may still be running when the gate has gone. */
typedef struct {
  GMutex mutex;
  GHashTable *senders; /* name, empty on a private connection, to Sender */
  guint load;
  guint32 written; /* the last serial of ours whose turn came */
  gboolean private;
} State;

struct _HyphaGate {
  GDBusConnection *connection;
  State *state;
  guint filter;
};

static void
sender_free (gpointer data)
{
  Sender *sender = data;

  g_hash_table_unref (sender->calls);
  g_free (sender);
}

static void
state_clear (gpointer data)
{
  State *state = data;

  g_hash_table_unref (state->senders);
  g_mutex_clear (&state->mutex);
}

static void
state_unref (gpointer state)
{
  g_atomic_rc_box_release_full (state, state_clear);
}

/* NAME: of a caller, nullable. On a private connection it says itself what that is, and there is
 * one only. */
static const char *
key_of (const State *state, const char *name)
{
  return name == NULL || state->private ? "" : name;
}

static Sender *
get_sender (State *state, const char *name)
{
  Sender *sender = g_hash_table_lookup (state->senders, name);

  if (sender == NULL) {
    sender = g_new0 (Sender, 1);
    sender->calls = g_hash_table_new_full (NULL, NULL, NULL, g_free);
    g_hash_table_insert (state->senders, g_strdup (name), sender);
  }
  return sender;
}

/* A path may be as long as a body. */
static gsize
size_of (GDBusMessage *message)
{
  g_autofree guchar *fields = g_dbus_message_get_header_fields (message);
  GVariant *body = g_dbus_message_get_body (message);
  gsize size = body ? g_variant_get_size (body) : 0;

  for (const guchar *field = fields; *field != G_DBUS_MESSAGE_HEADER_FIELD_INVALID; field++)
    size +=
        g_variant_get_size (g_dbus_message_get_header (message, (GDBusMessageHeaderField) *field));
  return size;
}

static guint
weigh (GDBusMessage *message, gsize size)
{
  guint weight = 1 + (guint) (MIN (size, G_MAXINT) / WEIGHT_BYTES);
  gboolean all = g_strcmp0 (g_dbus_message_get_member (message), "GetManagedObjects") == 0;

  return all ? MAX (weight, WEIGHT_OF_ALL) : weight;
}

typedef enum { PASS, REFUSE, IGNORE, CUT } Verdict;

/* No method takes any. Those of calls that wait would use up this process's, and a bus hangs up on
 * whoever has none left. */
static gboolean
has_descriptors (GDBusMessage *message)
{
  GUnixFDList *fds = g_dbus_message_get_unix_fd_list (message);

  return fds && g_unix_fd_list_get_length (fds) > 0;
}

static Verdict
judge (const State *state, const Sender *sender, GDBusMessage *message, gsize size, guint weight)
{
  gpointer serial = GUINT_TO_POINTER (g_dbus_message_get_serial (message));

  /* Two answers to one number could not be told apart. */
  if (g_hash_table_contains (sender->calls, serial))
    return IGNORE;
  if (size <= MAX_SIZE && !has_descriptors (message) && sender->load + weight <= MAX_LOAD &&
      (state->load + weight <= MAX_LOAD_IN_ALL || sender->load + weight <= SURE_LOAD))
    return PASS;
  if (sender->refused < MAX_REFUSED)
    return REFUSE;
  return state->private ? CUT : IGNORE;
}

static Verdict
enter (State *state, GDBusMessage *message)
{
  const char *name = key_of (state, g_dbus_message_get_sender (message));
  gsize size = size_of (message);
  guint weight = weigh (message, size);
  gpointer serial = GUINT_TO_POINTER (g_dbus_message_get_serial (message));
  GDBusMessageFlags flags = g_dbus_message_get_flags (message);
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&state->mutex);
  Sender *sender = get_sender (state, name);
  Verdict verdict = judge (state, sender, message, size, weight);
  Call *call;

  if (verdict == IGNORE || verdict == CUT)
    return verdict;
  call = g_new0 (Call, 1);
  call->weight = verdict == PASS ? weight : 0;
  call->no_reply = (flags & NO_REPLY) != 0;
  g_hash_table_insert (sender->calls, serial, call);
  sender->load += call->weight;
  state->load += call->weight;
  if (verdict == REFUSE)
    sender->refused++;
  return verdict;
}

/* Returns whether the caller wants the answer. */
static gboolean
leave (State *state, GDBusMessage *message)
{
  const char *name = key_of (state, g_dbus_message_get_destination (message));
  gpointer serial = GUINT_TO_POINTER (g_dbus_message_get_reply_serial (message));
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&state->mutex);
  Sender *sender = g_hash_table_lookup (state->senders, name);
  Call *call = sender ? g_hash_table_lookup (sender->calls, serial) : NULL;
  gboolean wanted;

  if (call == NULL)
    return TRUE;
  wanted = !call->no_reply;
  sender->load -= call->weight;
  state->load -= call->weight;
  if (call->weight == 0)
    sender->refused--;
  g_hash_table_remove (sender->calls, serial);
  if (g_hash_table_size (sender->calls) == 0)
    g_hash_table_remove (state->senders, name);
  return wanted;
}

static void
refuse (GDBusConnection *connection, GDBusMessage *message)
{
  g_autoptr (GDBusMessage) reply = NULL;

  if (has_descriptors (message))
    reply = g_dbus_message_new_method_error_literal (
        message, hypha_dbus_error_get_name (HYPHA_ERROR_INVALID_ARGUMENT),
        _ ("no method of a node takes descriptors: call without them"));
  else
    reply = g_dbus_message_new_method_error_literal (
        message, hypha_dbus_error_get_name (HYPHA_ERROR_BUSY),
        _ ("too much of this caller's is under way: take some answers first, and send at most a "
           "megabyte at a time"));

  g_dbus_connection_send_message (connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* A call that wants no answer is answered all the same, that its end be seen; leave() keeps the
 * answer here. */
static GDBusMessage *
make_answerable (GDBusMessage *message)
{
  GDBusMessageFlags flags = g_dbus_message_get_flags (message);
  g_autoptr (GError) error = NULL;
  GDBusMessage *copy;

  if ((flags & NO_REPLY) == 0)
    return g_object_ref (message);
  /* It was locked when it came. There is one way to fail: no descriptors for those in it. */
  copy = g_dbus_message_copy (message, &error);
  if (copy)
    g_dbus_message_set_flags (copy, flags & ~NO_REPLY);
  return copy;
}

static GDBusMessage *
let_in (State *state, GDBusConnection *connection, GDBusMessage *message)
{
  g_autoptr (GDBusMessage) answerable = NULL;

  if (g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return g_object_ref (message);
  answerable = make_answerable (message);
  if (answerable == NULL)
    return NULL;
  switch (enter (state, message)) {
  case PASS:
    return g_steal_pointer (&answerable);
  case REFUSE:
    refuse (connection, answerable);
    return NULL;
  case CUT:
    hypha_gate_cut (connection);
    return NULL;
  case IGNORE:
  default:
    return NULL;
  }
}

static GDBusMessage *
let_out (State *state, GDBusMessage *message)
{
  GDBusMessageType type = g_dbus_message_get_message_type (message);
  gboolean answer = type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN || type == G_DBUS_MESSAGE_TYPE_ERROR;

  g_mutex_lock (&state->mutex);
  state->written = g_dbus_message_get_serial (message);
  g_mutex_unlock (&state->mutex);
  return !answer || leave (state, message) ? g_object_ref (message) : NULL;
}

static GDBusMessage *
filter (GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
  State *state = user_data;
  G_GNUC_UNUSED g_autoptr (GDBusMessage) owned = message;

  return incoming ? let_in (state, connection, message) : let_out (state, message);
}

/**
 * hypha_gate_new:
 * @connection: a message bus, or a private connection
 *
 * Bounds what comes over @connection from now on. A caller with too much under way is answered with
 * %HYPHA_ERROR_BUSY; one that does not even take those answers is not answered any more, and loses
 * its connection where that is its own.
 *
 * Returns: (transfer full): the gate; without it, everything passes again
 */
HyphaGate *
hypha_gate_new (GDBusConnection *connection)
{
  HyphaGate *self = g_new0 (HyphaGate, 1);

  self->connection = g_object_ref (connection);
  self->state = g_atomic_rc_box_new0 (State);
  g_mutex_init (&self->state->mutex);
  self->state->senders = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, sender_free);
  self->state->private = g_dbus_connection_get_unique_name (connection) == NULL;
  self->filter = g_dbus_connection_add_filter (connection, filter,
                                               g_atomic_rc_box_acquire (self->state), state_unref);
  return self;
}

/**
 * hypha_gate_free:
 * @self: (transfer full): a gate
 *
 * Takes the gate away.
 */
void
hypha_gate_free (HyphaGate *self)
{
  g_dbus_connection_remove_filter (self->connection, self->filter);
  state_unref (self->state);
  g_object_unref (self->connection);
  g_free (self);
}

/**
 * hypha_gate_get_backlog:
 * @self: a gate
 *
 * For the main thread, where signals come from: nobody asks for those, so that nothing else bounds
 * them.
 *
 * Returns: how many messages of this thread's wait to be written
 */
guint
hypha_gate_get_backlog (HyphaGate *self)
{
  guint32 last = g_dbus_connection_get_last_serial (self->connection);
  gint32 backlog;

  g_mutex_lock (&self->state->mutex);
  backlog = (gint32) (last - self->state->written);
  g_mutex_unlock (&self->state->mutex);
  return backlog > 0 ? (guint) backlog : 0;
}

/**
 * hypha_gate_cut:
 * @connection: a private connection
 *
 * Closes @connection at once: closing it properly would wait for what is being written. In any
 * thread.
 */
void
hypha_gate_cut (GDBusConnection *connection)
{
  GIOStream *stream = g_dbus_connection_get_stream (connection);

  if (G_IS_SOCKET_CONNECTION (stream))
    g_socket_shutdown (g_socket_connection_get_socket (G_SOCKET_CONNECTION (stream)), TRUE, TRUE,
                       NULL);
}
