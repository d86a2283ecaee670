/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/polkit.h"

#include <glib/gi18n-lib.h>
#include <hypha-api.h>
#include <pwd.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
/* The user it runs as, where it is not root. */
#define POLKIT_USER "polkitd"

#define ALLOW_USER_INTERACTION 1

/* A machine answers at once, a person types a password. */
#define DEADLINE_MS 10000
#define INTERACTIVE_DEADLINE_MS 120000
#define BUS_TIMEOUT_MS 10000

typedef struct {
  GDBusConnection *connection;
  char *action;
  char *cancellation; /* names the question to polkit */
} Question;

static void
question_free (gpointer data)
{
  Question *question = data;

  g_object_unref (question->connection);
  g_free (question->action);
  g_free (question->cancellation);
  g_free (question);
}

static void
deny (GTask *task, const char *why)
{
  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED, "%s", why);
}

/* Whoever holds polkit's name decides what others may do: a bus may let anybody hold it. */
static gboolean
is_polkit (guint32 uid)
{
  struct passwd entry, *found = NULL;
  char buffer[4096];

  if (uid == 0)
    return TRUE;
  return getpwnam_r (POLKIT_USER, &entry, buffer, sizeof buffer, &found) == 0 && found != NULL &&
         found->pw_uid == uid;
}

static void
on_who (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  guint32 uid;

  if (reply == NULL) {
    g_dbus_error_strip_remote_error (error);
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                             _ ("the bus does not say who answered for polkit: %s"),
                             error->message);
    return;
  }
  g_variant_get (reply, "(u)", &uid);
  if (is_polkit (uid))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                             _ ("whoever holds the name %s on this bus is user %u, not polkit"),
                             POLKIT, uid);
}

static void
take_answer (GTask *task, GDBusMessage *reply)
{
  Question *question = g_task_get_task_data (task);
  GVariant *body = g_dbus_message_get_body (reply);
  const char *sender = g_dbus_message_get_sender (reply);
  gboolean authorized, challenge;

  if (body == NULL || sender == NULL ||
      !g_variant_is_of_type (body, G_VARIANT_TYPE ("((bba{ss}))"))) {
    deny (task, _ ("polkit's answer was not understood"));
    return;
  }
  g_variant_get (body, "((bba{ss}))", &authorized, &challenge, NULL);
  if (authorized)
    g_dbus_connection_call (question->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                            "org.freedesktop.DBus", "GetConnectionUnixUser",
                            g_variant_new ("(s)", sender), G_VARIANT_TYPE ("(u)"),
                            G_DBUS_CALL_FLAGS_NONE, BUS_TIMEOUT_MS, NULL, on_who,
                            g_object_ref (task));
  else if (challenge)
    deny (task,
          _ ("polkit wants a password, and there was nobody to be asked for it: use sudo, or start "
             "an agent for this terminal first, with pkttyagent"));
  else
    deny (task, _ ("polkit says no"));
}

static void
take_error (GTask *task, const GError *error)
{
  Question *question = g_task_get_task_data (task);

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_dbus_connection_call (question->connection, POLKIT, POLKIT_PATH, POLKIT_INTERFACE,
                            "CancelCheckAuthorization",
                            g_variant_new ("(s)", question->cancellation), NULL,
                            G_DBUS_CALL_FLAGS_NO_AUTO_START, BUS_TIMEOUT_MS, NULL, NULL, NULL);
    deny (task, _ ("the caller has left"));
  } else if (g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
             g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER)) {
    deny (task, _ ("there is no polkit on this bus to be asked"));
  } else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
    deny (task, _ ("polkit did not answer in time"));
  } else {
    g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                             _ ("polkit did not answer: %s"), error->message);
  }
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusMessage) reply =
      g_dbus_connection_send_message_with_reply_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply && !g_dbus_message_to_gerror (reply, &error))
    take_answer (task, reply);
  if (error) {
    g_dbus_error_strip_remote_error (error);
    take_error (task, error);
  }
}

/**
 * hypha_polkit_check_async:
 * @caller: on a message bus
 * @action: one of polkit's actions
 * @interactive: may a person be asked for a password?
 * @callback: called with the answer
 * @user_data: for @callback
 *
 * Asks polkit whether @caller may. The question is taken back when the caller leaves, and given up
 * after 10 s, or 2 min where a person may be asked.
 */
void
hypha_polkit_check_async (HyphaSender *caller, const char *action, gboolean interactive,
                          GAsyncReadyCallback callback, gpointer user_data)
{
  static guint serial;
  GTask *task = g_task_new (NULL, NULL, callback, user_data);
  g_autoptr (GDBusMessage) message =
      g_dbus_message_new_method_call (POLKIT, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
  Question *question;
  g_auto (GVariantBuilder) subject = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE_VARDICT);
  g_auto (GVariantBuilder) details = G_VARIANT_BUILDER_INIT (G_VARIANT_TYPE ("a{ss}"));

  g_task_set_source_tag (task, hypha_polkit_check_async);
  if (hypha_sender_get_name (caller) == NULL) {
    deny (task, _ ("this is no message bus, where polkit could be asked"));
    g_object_unref (task);
    return;
  }
  question = g_new0 (Question, 1);
  question->connection = g_object_ref (hypha_sender_get_connection (caller));
  question->action = g_strdup (action);
  question->cancellation = g_strdup_printf ("hypha-%u", ++serial);
  g_task_set_task_data (task, question, question_free);
  g_variant_builder_add (&subject, "{sv}", "name",
                         g_variant_new_string (hypha_sender_get_name (caller)));
  g_dbus_message_set_body (
      message, g_variant_new ("((sa{sv})sa{ss}us)", "system-bus-name", &subject, action, &details,
                              interactive ? ALLOW_USER_INTERACTION : 0, question->cancellation));
  g_dbus_connection_send_message_with_reply (question->connection, message,
                                             G_DBUS_SEND_MESSAGE_FLAGS_NONE,
                                             interactive ? INTERACTIVE_DEADLINE_MS : DEADLINE_MS,
                                             NULL, hypha_sender_get_gone (caller), on_answer, task);
}

/**
 * hypha_polkit_check_finish:
 * @result: of hypha_polkit_check_async()
 * @error: return location for an error: %HYPHA_ERROR_PERMISSION_DENIED and why
 *
 * Returns: %TRUE if the caller may
 */
gboolean
hypha_polkit_check_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
