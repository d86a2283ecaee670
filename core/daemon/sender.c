/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/sender.h"

#include <glib/gi18n-lib.h>
#include <hypha-api.h>

#define BUS "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
#define BUS_TIMEOUT_MS 10000
/* Whom nobody holds at the moment: so many are known on when they call again. */
#define MAX_KEPT 64
/* Match rules that are for one sender each. A bus allows a connection only so many (512 on a system
 * bus), and GDBus does not tell that one was refused: senders beyond these share a rule. */
#define MAX_OWN_RULES 128
#define RULES_KEY "hypha-sender-rules" /* of the connection */

struct _HyphaSender {
  GObject parent_instance;
  GDBusConnection *connection;
  char *name; /* NULL: the one at the other end of the connection */
  char *key;
  GCancellable *gone;
  guint watch;     /* a match rule of its own */
  gboolean shares; /* or the one for all names */
  gboolean identified;
  guint32 uid;
  GList kept; /* of the queue, which holds it; data: itself while it is there */
};

/* What tells of leaving, on one bus. */
typedef struct {
  guint own, sharing; /* senders */
  guint watch;        /* for all names; 0: nobody shares it */
} Rules;

enum { LEFT, N_SIGNALS };
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaSender, hypha_sender, G_TYPE_OBJECT)

static GHashTable *senders; /* key to HyphaSender, which is not held */
static GQueue kept;         /* of those, who called last comes last */

/* On a private connection nobody sees to it that a caller's name is its own. */
static const char *
get_name (GDBusMethodInvocation *invocation)
{
  GDBusConnection *connection = g_dbus_method_invocation_get_connection (invocation);

  return g_dbus_connection_get_unique_name (connection)
             ? g_dbus_method_invocation_get_sender (invocation)
             : NULL;
}

/* NAME: nullable. */
static char *
key_of (GDBusConnection *connection, const char *name)
{
  return g_strdup_printf ("%p %s", (gpointer) connection, name ? name : "");
}

static char *
make_key (GDBusMethodInvocation *invocation)
{
  return key_of (g_dbus_method_invocation_get_connection (invocation), get_name (invocation));
}

static void
stop_keeping (HyphaSender *self)
{
  if (self->kept.data == NULL)
    return;
  g_queue_unlink (&kept, &self->kept);
  self->kept.data = NULL;
  g_object_unref (self);
}

/* Who calls often is asked about once, and watched once: only somebody who is certain to be heard
 * leaving, though, or a name that had gone before would stay here. */
static void
keep (HyphaSender *self)
{
  if (!self->identified || g_cancellable_is_cancelled (self->gone))
    return;
  g_object_ref (self);
  stop_keeping (self);
  self->kept.data = self;
  g_queue_push_tail_link (&kept, &self->kept);
  if (g_queue_get_length (&kept) > MAX_KEPT)
    stop_keeping (g_queue_peek_head (&kept));
}

/* Unique names and connections never come back; a pointer might. */
static void
leave (HyphaSender *self)
{
  if (g_cancellable_is_cancelled (self->gone))
    return;
  g_hash_table_remove (senders, self->key);
  g_cancellable_cancel (self->gone);
  g_signal_emit (self, signals[LEFT], 0);
  stop_keeping (self);
}

/* Of one sender, or of whoever is on the bus. */
static void
on_owner_changed (GDBusConnection *connection, const char *bus, const char *path,
                  const char *interface, const char *signal, GVariant *parameters,
                  gpointer user_data)
{
  g_autoptr (HyphaSender) self = NULL;
  g_autofree char *key = NULL;
  const char *name, *owner;

  if (!g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(sss)")))
    return;
  g_variant_get (parameters, "(&s&s&s)", &name, NULL, &owner);
  if (*owner != '\0')
    return;
  key = key_of (connection, name);
  self = g_hash_table_lookup (senders, key);
  if (self == NULL)
    return;
  g_object_ref (self);
  leave (self);
}

/* NAME: NULL for all. */
static guint
add_rule (GDBusConnection *connection, const char *name)
{
  return g_dbus_connection_signal_subscribe (connection, BUS, BUS, "NameOwnerChanged", BUS_PATH,
                                             name, G_DBUS_SIGNAL_FLAGS_NONE, on_owner_changed, NULL,
                                             NULL);
}

static Rules *
rules_of (GDBusConnection *connection)
{
  Rules *rules = g_object_get_data (G_OBJECT (connection), RULES_KEY);

  if (rules == NULL) {
    rules = g_new0 (Rules, 1);
    g_object_set_data_full (G_OBJECT (connection), RULES_KEY, rules, g_free);
  }
  return rules;
}

static void
watch (HyphaSender *self)
{
  Rules *rules = rules_of (self->connection);

  if (rules->own < MAX_OWN_RULES) {
    rules->own++;
    self->watch = add_rule (self->connection, self->name);
    return;
  }
  self->shares = TRUE;
  if (rules->sharing++ == 0)
    rules->watch = add_rule (self->connection, NULL);
}

static void
stop_watching (HyphaSender *self)
{
  Rules *rules = rules_of (self->connection);

  if (self->watch != 0) {
    rules->own--;
    g_dbus_connection_signal_unsubscribe (self->connection, self->watch);
  } else if (self->shares && --rules->sharing == 0) {
    g_dbus_connection_signal_unsubscribe (self->connection, rules->watch);
    rules->watch = 0;
  }
}

static void
on_closed (GDBusConnection *connection, gboolean vanished, GError *error, HyphaSender *self)
{
  g_autoptr (HyphaSender) held = g_object_ref (self);

  leave (held);
}

static HyphaSender *
sender_new (GDBusMethodInvocation *invocation, char *key)
{
  HyphaSender *self = g_object_new (HYPHA_TYPE_SENDER, NULL);

  self->connection = g_object_ref (g_dbus_method_invocation_get_connection (invocation));
  self->name = g_strdup (get_name (invocation));
  self->key = key;
  g_hash_table_insert (senders, self->key, self);
  g_signal_connect_object (self->connection, "closed", G_CALLBACK (on_closed), self, 0);
  /* Asked before the bus is asked who it is: whoever has left by then is found out there. */
  if (self->name)
    watch (self);
  if (g_dbus_connection_is_closed (self->connection))
    leave (self);
  return self;
}

/**
 * hypha_sender_peek:
 * @invocation: a call
 *
 * Returns: (transfer none) (nullable): who made it, if that sender is known already
 */
HyphaSender *
hypha_sender_peek (GDBusMethodInvocation *invocation)
{
  g_autofree char *key = make_key (invocation);

  return senders ? g_hash_table_lookup (senders, key) : NULL;
}

/**
 * hypha_sender_of:
 * @invocation: a call
 *
 * Returns: (transfer none): who made it; lives at least as long as @invocation
 */
HyphaSender *
hypha_sender_of (GDBusMethodInvocation *invocation)
{
  HyphaSender *self = g_object_get_data (G_OBJECT (invocation), "hypha-sender");

  if (self != NULL)
    return self;
  if (senders == NULL)
    senders = g_hash_table_new (g_str_hash, g_str_equal);
  self = hypha_sender_peek (invocation);
  self = self ? g_object_ref (self) : sender_new (invocation, make_key (invocation));
  g_object_set_data_full (G_OBJECT (invocation), "hypha-sender", self, g_object_unref);
  keep (self);
  return self;
}

/**
 * hypha_sender_get_connection:
 * @self: a sender
 *
 * Returns: (transfer none): where it calls from
 */
GDBusConnection *
hypha_sender_get_connection (HyphaSender *self)
{
  return self->connection;
}

/**
 * hypha_sender_get_name:
 * @self: a sender
 *
 * Returns: (transfer none) (nullable): its unique name on the bus; %NULL on a private connection
 */
const char *
hypha_sender_get_name (HyphaSender *self)
{
  return self->name;
}

/**
 * hypha_sender_get_gone:
 * @self: a sender
 *
 * Returns: (transfer none): cancelled when the caller leaves
 */
GCancellable *
hypha_sender_get_gone (HyphaSender *self)
{
  return self->gone;
}

static void
on_uid (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (HyphaSender) self = g_object_ref (g_task_get_source_object (task));
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply) {
    g_variant_get (reply, "(u)", &self->uid);
    self->identified = TRUE;
    keep (self);
    g_task_return_boolean (task, TRUE);
    return;
  }
  if (g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
    leave (self);
  g_dbus_error_strip_remote_error (error);
  g_task_return_error (task, g_steal_pointer (&error));
}

/* The kernel told when the connection was made. */
static void
identify_private (HyphaSender *self, GTask *task)
{
  GCredentials *credentials = g_dbus_connection_get_peer_credentials (self->connection);
  g_autoptr (GError) error = NULL;
  uid_t uid = credentials ? g_credentials_get_unix_user (credentials, &error) : (uid_t) -1;

  if (uid == (uid_t) -1) {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                             _ ("the kernel did not say who is connected"));
    return;
  }
  self->uid = uid;
  self->identified = TRUE;
  keep (self);
  g_task_return_boolean (task, TRUE);
}

/**
 * hypha_sender_get_uid:
 * @self: a sender
 * @uid: (out): which user it is
 *
 * Returns: %TRUE if that is known already: else ask by hypha_sender_identify_async()
 */
gboolean
hypha_sender_get_uid (HyphaSender *self, guint32 *uid)
{
  *uid = self->uid;
  return self->identified;
}

/**
 * hypha_sender_identify_async:
 * @self: a sender
 * @callback: called with who it is
 * @user_data: for @callback
 *
 * Finds out which user calls: the kernel told the bus who connected, the bus tells us. It is asked
 * once.
 */
void
hypha_sender_identify_async (HyphaSender *self, GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (self, NULL, callback, user_data);

  g_task_set_source_tag (task, hypha_sender_identify_async);
  if (self->identified)
    g_task_return_boolean (task, TRUE);
  else if (self->name == NULL)
    identify_private (self, task);
  else
    g_dbus_connection_call (self->connection, BUS, BUS_PATH, BUS, "GetConnectionUnixUser",
                            g_variant_new ("(s)", self->name), G_VARIANT_TYPE ("(u)"),
                            G_DBUS_CALL_FLAGS_NONE, BUS_TIMEOUT_MS, NULL, on_uid,
                            g_steal_pointer (&task));
}

/**
 * hypha_sender_identify_finish:
 * @self: a sender
 * @result: of hypha_sender_identify_async()
 * @uid: (out): which user it is
 * @error: return location for an error: of the bus
 *
 * Returns: %TRUE if that is known
 */
gboolean
hypha_sender_identify_finish (HyphaSender *self, GAsyncResult *result, guint32 *uid, GError **error)
{
  if (!g_task_propagate_boolean (G_TASK (result), error))
    return FALSE;
  *uid = self->uid;
  return TRUE;
}

/**
 * hypha_sender_cancellable:
 * @invocation: a call
 *
 * For handlers that wait for something: whatever they began for a caller who leaves is to end.
 *
 * Returns: (transfer none): cancelled when the caller leaves; lives as long as @invocation
 */
GCancellable *
hypha_sender_cancellable (GDBusMethodInvocation *invocation)
{
  return hypha_sender_of (invocation)->gone;
}

static void
hypha_sender_finalize (GObject *object)
{
  HyphaSender *self = HYPHA_SENDER (object);

  if (!g_cancellable_is_cancelled (self->gone))
    g_hash_table_remove (senders, self->key);
  stop_watching (self);
  g_object_unref (self->gone);
  g_object_unref (self->connection);
  g_free (self->name);
  g_free (self->key);
  G_OBJECT_CLASS (hypha_sender_parent_class)->finalize (object);
}

static void
hypha_sender_class_init (HyphaSenderClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = hypha_sender_finalize;

  /* Once, and after the cancellable: for what belongs to a sender and outlives its calls. */
  signals[LEFT] = g_signal_new ("left", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                NULL, G_TYPE_NONE, 0);
}

static void
hypha_sender_init (HyphaSender *self)
{
  self->gone = g_cancellable_new ();
}
