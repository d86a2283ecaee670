/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/authority.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#include "dbus/errors.h"

/* GDBus has a signal for this, but handles it on a pool of threads, where one caller's calls
 * overtake each other: Trust and Connect would arrive as Connect and Trust. Hence a function of
 * ours before the one that gdbus-codegen made, and a queue for each caller. */

#define BUS_TIMEOUT_MS 10000

/* Methods that change nothing. Whatever is not here is a change: a method that somebody forgets to
 * enter is shut, not open. */
static const struct {
  const char *interface;
  const char *method;
} open_methods[] = {
  { "org.hypha.Node1", "Explain" },
  { "org.hypha.Peer1", "Streams" },
};

typedef struct {
  GDBusInterfaceSkeleton *skeleton;
  GDBusMethodInvocation *invocation;
} Call;

/* Whoever has calls that wait for the bus to say who that is. */
typedef struct {
  char *name; /* unique on the bus */
  GQueue calls;
} Caller;

static GHashTable *callers; /* name to Caller */

static const GDBusInterfaceVTable *
get_generated (GDBusInterfaceSkeleton *skeleton)
{
  GDBusInterfaceSkeletonClass *generated = g_type_class_peek_parent (G_OBJECT_GET_CLASS (skeleton));

  return generated->get_vtable (skeleton);
}

static void
pass_on (GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *invocation)
{
  get_generated (skeleton)->method_call (g_dbus_method_invocation_get_connection (invocation),
                                         g_dbus_method_invocation_get_sender (invocation),
                                         g_dbus_method_invocation_get_object_path (invocation),
                                         g_dbus_method_invocation_get_interface_name (invocation),
                                         g_dbus_method_invocation_get_method_name (invocation),
                                         g_dbus_method_invocation_get_parameters (invocation),
                                         invocation, skeleton);
}

static gboolean
is_open (GDBusMethodInvocation *invocation)
{
  for (gsize i = 0; i < G_N_ELEMENTS (open_methods); i++) {
    if (g_str_equal (g_dbus_method_invocation_get_interface_name (invocation),
                     open_methods[i].interface) &&
        g_str_equal (g_dbus_method_invocation_get_method_name (invocation), open_methods[i].method))
      return TRUE;
  }
  return FALSE;
}

/* UID NULL: nobody knows who it is, for the reason WHY. */
static void
decide (const Call *call, const guint32 *uid, const GError *why)
{
  const char *method = g_dbus_method_invocation_get_method_name (call->invocation);
  g_autoptr (GError) error = NULL;

  if (is_open (call->invocation) || (uid && (*uid == 0 || *uid == geteuid ()))) {
    pass_on (call->skeleton, call->invocation);
    return;
  }
  if (uid)
    g_set_error (
        &error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
        _ ("user %u may not call %s here: only root and the user that hyphad runs as (%u) may"),
        *uid, method, geteuid ());
  else
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("the bus does not say who calls %s: %s"), method, why->message);
  hypha_dbus_return_error (call->invocation, error);
}

static void
on_caller_known (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Caller *caller = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply =
      g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);
  Call *call;
  guint32 uid;

  if (reply)
    g_variant_get (reply, "(u)", &uid);
  g_hash_table_remove (callers, caller->name);
  while ((call = g_queue_pop_head (&caller->calls))) {
    decide (call, reply ? &uid : NULL, error);
    g_object_unref (call->skeleton);
    g_free (call);
  }
  g_free (caller->name);
  g_free (caller);
}

/* The kernel told the bus who connected; the bus tells us. */
static Caller *
caller_new (GDBusConnection *connection, const char *name)
{
  Caller *caller = g_new0 (Caller, 1);

  caller->name = g_strdup (name);
  g_queue_init (&caller->calls);
  g_hash_table_insert (callers, caller->name, caller);
  g_dbus_connection_call (connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                          "org.freedesktop.DBus", "GetConnectionUnixUser",
                          g_variant_new ("(s)", name), G_VARIANT_TYPE ("(u)"),
                          G_DBUS_CALL_FLAGS_NONE, BUS_TIMEOUT_MS, NULL, on_caller_known, caller);
  return caller;
}

static void
on_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface,
         const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
         gpointer user_data)
{
  Caller *caller = g_hash_table_lookup (callers, sender);
  Call *call;

  if (caller == NULL && is_open (invocation)) {
    pass_on (user_data, invocation);
    return;
  }
  if (caller == NULL)
    caller = caller_new (connection, sender);
  call = g_new0 (Call, 1);
  call->skeleton = g_object_ref (user_data);
  call->invocation = invocation;
  g_queue_push_tail (&caller->calls, call);
}

/* What gdbus-codegen made, but for method_call; one for each class. */
static GDBusInterfaceVTable *
get_guarded (GDBusInterfaceSkeleton *skeleton)
{
  GQuark quark = g_quark_from_static_string ("hypha-authority-vtable");
  GDBusInterfaceVTable *guarded = g_type_get_qdata (G_OBJECT_TYPE (skeleton), quark);

  if (guarded == NULL) {
    guarded = g_memdup2 (get_generated (skeleton), sizeof *guarded);
    guarded->method_call = on_call;
    g_type_set_qdata (G_OBJECT_TYPE (skeleton), quark, guarded);
  }
  return guarded;
}

/**
 * hypha_authority_guard:
 * @klass: of an interface
 *
 * From now on, no method of an interface of this class is called for somebody who may not. Calls of
 * one caller keep their order.
 */
void
hypha_authority_guard (GDBusInterfaceSkeletonClass *klass)
{
  if (callers == NULL)
    callers = g_hash_table_new (g_str_hash, g_str_equal);
  klass->get_vtable = get_guarded;
}
