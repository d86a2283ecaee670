/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

typedef struct {
  HyphaCtl *ctl;
  gboolean interrupted;
  gboolean bus_gone;
} Monitor;

/* ---- one line each ---- */

/* WHAT is one word; DETAILS a{sv} for programs, taken; TEXT the same for people, from whomever. */
static void
print_event (Monitor *self, const char *what, GVariant *details, const char *text)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autoptr (GVariant) owned = g_variant_ref_sink (details);

  if (self->ctl->json) {
    g_autofree char *time = g_date_time_format_iso8601 (now);

    hypha_ctl_print_json_line (g_variant_new_parsed (
        "{'time': <%s>, 'event': <%s>, 'details': <%@a{sv}>}", time, what, owned));
  } else {
    g_autofree char *time = g_date_time_format (now, "%H:%M:%S.%f");
    g_autofree char *safe = hypha_ctl_escape (text);

    /* To the millisecond. */
    printf ("%.12s %s\n", time, safe);
    fflush (stdout);
  }
}

/* "peer/3kq..." as people know it. */
static char *
describe_path (Monitor *self, const char *path)
{
  if (g_str_has_prefix (path, HYPHA_DBUS_ROOT "/" HYPHA_DBUS_PEER "/")) {
    g_autofree char *name = hypha_ctl_dup_peer_name (self->ctl, path);

    return g_strconcat (_ ("peer "), name, NULL);
  }
  if (g_str_equal (path, HYPHA_DBUS_ROOT))
    return g_strdup ("node");
  if (g_str_has_prefix (path, HYPHA_DBUS_ROOT "/"))
    return g_strdelimit (g_strdup (path + strlen (HYPHA_DBUS_ROOT "/")), "/", ' ');
  return g_strdup (g_str_equal (path, "/") ? "none" : path);
}

static void
print_object (Monitor *self, const char *what, GDBusObject *object)
{
  const char *path = g_dbus_object_get_object_path (object);
  HyphaDBusLink1 *link = hypha_dbus_object_peek_link1 (HYPHA_DBUS_OBJECT (object));
  const char *peer = link ? hypha_dbus_link1_get_peer (link) : NULL;
  g_autofree char *name = describe_path (self, path);
  g_autofree char *text = g_strdup_printf ("%s %s", name, what);

  if (peer) {
    g_autofree char *peer_name = describe_path (self, peer);
    g_autofree char *longer =
        g_strdup_printf ("%s: %s, %s %s", text, peer_name, hypha_dbus_link1_get_transport (link),
                         hypha_dbus_link1_get_remote (link));

    print_event (self, what, g_variant_new_parsed ("{'path': <%o>, 'peer': <%o>}", path, peer),
                 longer);
  } else {
    print_event (self, what, g_variant_new_parsed ("{'path': <%o>}", path), text);
  }
}

static void
on_object_added (GDBusObjectManager *objects, GDBusObject *object, Monitor *self)
{
  print_object (self, "added", object);
}

static void
on_object_removed (GDBusObjectManager *objects, GDBusObject *object, Monitor *self)
{
  print_object (self, "removed", object);
}

/* A value for people: plain text, and of a cost that there is none. */
static char *
describe_value (const char *property, GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return g_variant_dup_string (value, NULL);
  if (g_str_has_suffix (property, "Cost") && g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32) &&
      g_variant_get_uint32 (value) == G_MAXUINT32)
    return g_strdup ("none");
  return g_variant_print (value, FALSE);
}

static void
print_properties (Monitor *self, const char *path, GVariant *changed)
{
  g_autofree char *name = describe_path (self, path);
  GVariantIter iter;
  const char *property;
  GVariant *value;

  g_variant_iter_init (&iter, changed);
  while (g_variant_iter_loop (&iter, "{&sv}", &property, &value)) {
    g_autofree char *printed = describe_value (property, value);
    g_autofree char *text = g_strdup_printf (_ ("%s: %s is %s"), name, property, printed);

    print_event (self, "changed",
                 g_variant_new_parsed ("{'path': <%o>, 'property': <%s>, 'value': %v}", path,
                                       property, value),
                 text);
  }
}

static void
print_link_changed (Monitor *self, const char *path, GVariant *parameters)
{
  const char *from, *to, *reason;
  g_autofree char *name = describe_path (self, path);
  g_autofree char *from_name = NULL;
  g_autofree char *to_name = NULL;
  g_autofree char *text = NULL;

  g_variant_get (parameters, "(&o&o&s)", &from, &to, &reason);
  from_name = describe_path (self, from);
  to_name = describe_path (self, to);
  text = g_strdup_printf (_ ("%s: from %s to %s: %s"), name, from_name, to_name, reason);
  print_event (self, "link-changed",
               g_variant_new_parsed ("{'path': <%o>, 'from': <%o>, 'to': <%o>, 'reason': <%s>}",
                                     path, from, to, reason),
               text);
}

static void
print_stream_closed (Monitor *self, const char *path, GVariant *parameters)
{
  const char *stream_error;
  guint64 id, received, sent;
  g_autofree char *name = describe_path (self, path);
  g_autofree char *text = NULL;

  g_variant_get (parameters, "(t&stt)", &id, &stream_error, &received, &sent);
  text = g_strdup_printf (
      _ ("%s: stream %" PRIu64 " closed (%s), %" PRIu64 " bytes received, %" PRIu64 " sent"), name,
      id, *stream_error ? stream_error : "finished", received, sent);
  print_event (self, "stream-closed",
               g_variant_new_parsed (
                   "{'path': <%o>, 'id': <%t>, 'error': <%s>, 'received': <%t>, 'sent': <%t>}",
                   path, id, stream_error, received, sent),
               text);
}

static void
print_pending (Monitor *self, GVariant *parameters)
{
  const char *id, *from;
  g_autofree char *text = NULL;

  g_variant_get (parameters, "(&s&s)", &id, &from);
  text =
      g_strdup_printf (_ ("%s knocked from %s: hyphactl trust %s NAME lets it in"), id, from, id);
  print_event (self, "peer-pending", g_variant_new_parsed ("{'id': <%s>, 'from': <%s>}", id, from),
               text);
}

static void
print_signal (Monitor *self, const char *path, const char *signal, GVariant *parameters)
{
  if (g_str_equal (signal, "LinkChanged") &&
      g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(oos)")))
    print_link_changed (self, path, parameters);
  else if (g_str_equal (signal, "StreamClosed") &&
           g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(tstt)")))
    print_stream_closed (self, path, parameters);
  else if (g_str_equal (signal, "PeerPending") &&
           g_variant_is_of_type (parameters, G_VARIANT_TYPE ("(ss)")))
    print_pending (self, parameters);
}

/* The node's own, and those of everything below it. */

static void
on_node_properties (GDBusProxy *node, GVariant *changed, const char *const *invalidated,
                    Monitor *self)
{
  print_properties (self, HYPHA_DBUS_ROOT, changed);
}

static void
on_node_signal (GDBusProxy *node, const char *sender, const char *signal, GVariant *parameters,
                Monitor *self)
{
  print_signal (self, HYPHA_DBUS_ROOT, signal, parameters);
}

static void
on_properties (GDBusObjectManagerClient *objects, GDBusObjectProxy *object, GDBusProxy *proxy,
               GVariant *changed, const char *const *invalidated, Monitor *self)
{
  print_properties (self, g_dbus_proxy_get_object_path (proxy), changed);
}

static void
on_signal (GDBusObjectManagerClient *objects, GDBusObjectProxy *object, GDBusProxy *proxy,
           const char *sender, const char *signal, GVariant *parameters, Monitor *self)
{
  print_signal (self, g_dbus_proxy_get_object_path (proxy), signal, parameters);
}

static void
on_owner (GDBusObjectManagerClient *objects, GParamSpec *property, Monitor *self)
{
  g_autofree char *owner = g_dbus_object_manager_client_get_name_owner (objects);

  print_event (self, owner ? "node-here" : "node-gone", g_variant_new_parsed ("@a{sv} {}"),
               owner ? _ ("the node is here") : _ ("the node is gone"));
}

static void
on_bus_closed (GDBusConnection *connection, gboolean remote_vanished, GError *reason, Monitor *self)
{
  self->bus_gone = TRUE;
}

/* ---- the verb ---- */

static gboolean
on_interrupt (gpointer user_data)
{
  Monitor *self = user_data;

  self->interrupted = TRUE;
  return G_SOURCE_CONTINUE;
}

gboolean
hypha_verb_monitor (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  HyphaClient *client = words ? hypha_ctl_get_client (ctl, error) : NULL;
  Monitor self = { .ctl = ctl };
  GDBusConnection *connection;
  GDBusObjectManager *objects;
  HyphaDBusNode1 *node;

  if (client == NULL)
    return FALSE;
  node = hypha_client_get_node (client);
  g_signal_connect (node, "g-properties-changed", G_CALLBACK (on_node_properties), &self);
  g_signal_connect (node, "g-signal", G_CALLBACK (on_node_signal), &self);
  connection = g_dbus_proxy_get_connection (G_DBUS_PROXY (node));
  g_signal_connect (connection, "closed", G_CALLBACK (on_bus_closed), &self);
  objects = hypha_client_get_objects (client);
  g_signal_connect (objects, "object-added", G_CALLBACK (on_object_added), &self);
  g_signal_connect (objects, "object-removed", G_CALLBACK (on_object_removed), &self);
  g_signal_connect (objects, "interface-proxy-properties-changed", G_CALLBACK (on_properties),
                    &self);
  g_signal_connect (objects, "interface-proxy-signal", G_CALLBACK (on_signal), &self);
  g_signal_connect (objects, "notify::name-owner", G_CALLBACK (on_owner), &self);
  g_unix_signal_add (SIGINT, on_interrupt, &self);
  g_unix_signal_add (SIGTERM, on_interrupt, &self);
  while (!self.interrupted && !self.bus_gone && !ferror (stdout))
    g_main_context_iteration (NULL, TRUE);
  g_signal_handlers_disconnect_by_data (objects, &self);
  g_signal_handlers_disconnect_by_data (node, &self);
  g_signal_handlers_disconnect_by_data (connection, &self);
  if (self.bus_gone) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("the bus is gone, and the node with it"));
    return FALSE;
  }
  return TRUE;
}
