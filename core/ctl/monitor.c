/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/event-queue.h"
#include "ctl/flood-gate.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

/* How often a node is looked for that went away with its own socket. */
#define LOOK_MS 1000

typedef struct {
  HyphaCtl *ctl;
  char *only; /* path of the one peer that is of interest; NULL: everything */
  HyphaEventQueue *queue;
  HyphaFloodGate *gate;
  guint64 lost; /* events for which there was no room */
  gboolean interrupted, output_gone;
  gboolean bus_gone;
} Monitor;

/* ---- one line each ---- */

/* WHAT is one word; DETAILS a{sv} for programs, taken; TEXT the same for people, from whomever. */
static void
print_line (Monitor *self, const char *what, GVariant *details, const char *text)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_local ();
  g_autoptr (GVariant) owned = g_variant_ref_sink (details);

  char *line;

  if (self->ctl->json) {
    g_autofree char *time = g_date_time_format_iso8601 (now);

    line = hypha_ctl_format_json_line (g_variant_new_parsed (
        "{'time': <%s>, 'event': <%s>, 'details': <%@a{sv}>}", time, what, owned));
  } else {
    g_autofree char *time = g_date_time_format (now, "%F %T.%f");
    g_autofree char *safe = hypha_ctl_escape (text);

    /* To the millisecond. */
    line = g_strdup_printf ("%.*s %s\n", (int) strlen (time) - 3, time, safe);
  }
  if (!hypha_event_queue_push (self->queue, line))
    self->lost++;
}

/* The same, after what was lost before it. */
static void
print_event (Monitor *self, const char *what, GVariant *details, const char *text)
{
  guint64 lost;

  self->lost += hypha_flood_gate_take_dropped (self->gate);
  lost = self->lost;
  if (lost > 0 && hypha_event_queue_has_room (self->queue)) {
    g_autofree char *lost_text = g_strdup_printf (
        _ ("%" PRIu64 " events are left out here: they came faster than they were read"), lost);

    self->lost = 0;
    print_line (self, "lost", g_variant_new_parsed ("{'count': <%t>}", lost), lost_text);
  }
  print_line (self, what, details, text);
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
    return g_strdup (_ ("node"));
  if (g_str_has_prefix (path, HYPHA_DBUS_ROOT "/"))
    return g_strdelimit (g_strdup (path + strlen (HYPHA_DBUS_ROOT "/")), "/", ' ');
  return g_strdup (g_str_equal (path, "/") ? _ ("none") : path);
}

/* Is what PATH tells of interest? Of a link, it is if the peer is. */
static gboolean
is_wanted (Monitor *self, const char *path, HyphaDBusLink1 *link)
{
  return self->only == NULL || g_str_equal (path, self->only) ||
         (link && g_strcmp0 (hypha_dbus_link1_get_peer (link), self->only) == 0);
}

static void
print_object (Monitor *self, const char *what, const char *people, GDBusObject *object)
{
  const char *path = g_dbus_object_get_object_path (object);
  HyphaDBusLink1 *link = hypha_dbus_object_peek_link1 (HYPHA_DBUS_OBJECT (object));
  const char *peer = link ? hypha_dbus_link1_get_peer (link) : NULL;
  g_autofree char *name = describe_path (self, path);
  g_autofree char *text = g_strdup_printf ("%s %s", name, people);

  if (!is_wanted (self, path, link))
    return;
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
  print_object (self, "added", _ ("added"), object);
}

static void
on_object_removed (GDBusObjectManager *objects, GDBusObject *object, Monitor *self)
{
  print_object (self, "removed", _ ("removed"), object);
}

/* A value for people: plain text, and of a cost that there is none. */
static char *
describe_value (const char *property, GVariant *value)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    return g_variant_dup_string (value, NULL);
  if (g_str_has_suffix (property, "Cost") && g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32) &&
      g_variant_get_uint32 (value) == G_MAXUINT32)
    return g_strdup (_ ("none"));
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
      id, *stream_error ? stream_error : _ ("finished"), received, sent);
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
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;

  g_variant_get (parameters, "(&s&s)", &id, &from);
  path = hypha_dbus_path (HYPHA_DBUS_PEER, id);
  if (!is_wanted (self, path, NULL))
    return;
  text =
      g_strdup_printf (_ ("%s knocked from %s: hyphactl trust %s NAME lets it in"), id, from, id);
  print_event (self, "peer-pending", g_variant_new_parsed ("{'id': <%s>, 'from': <%s>}", id, from),
               text);
}

static void
print_pairing_code (Monitor *self, GVariant *parameters)
{
  const char *id, *code;
  g_autofree char *path = NULL;
  g_autofree char *text = NULL;

  g_variant_get (parameters, "(&s&s)", &id, &code);
  path = hypha_dbus_path (HYPHA_DBUS_PEER, id);
  if (!is_wanted (self, path, NULL))
    return;
  text = g_strdup_printf (_ ("%s wants to pair: the digits are %s"), id, code);
  print_event (self, "pairing-code", g_variant_new_parsed ("{'id': <%s>, 'code': <%s>}", id, code),
               text);
}

/* What is told of, by its type: a node of another version may tell more. */
static void
print_signal (Monitor *self, const char *path, const char *signal, GVariant *parameters)
{
  static const struct {
    const char *name, *type;
    void (*print) (Monitor *self, const char *path, GVariant *parameters);
    void (*print_of_node) (Monitor *self, GVariant *parameters);
  } known[] = {
    { "LinkChanged", "(oos)", print_link_changed, NULL },
    { "StreamClosed", "(tstt)", print_stream_closed, NULL },
    { "PeerPending", "(ss)", NULL, print_pending },
    { "PairingCode", "(ss)", NULL, print_pairing_code },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (known); i++) {
    if (!g_str_equal (known[i].name, signal) ||
        !g_variant_is_of_type (parameters, G_VARIANT_TYPE (known[i].type)))
      continue;
    if (known[i].print)
      known[i].print (self, path, parameters);
    else
      known[i].print_of_node (self, parameters);
  }
}

/* The node's own, and those of everything below it. */

static void
on_node_properties (GDBusProxy *node, GVariant *changed, const char *const *invalidated,
                    Monitor *self)
{
  if (self->only == NULL)
    print_properties (self, HYPHA_DBUS_ROOT, changed);
}

static void
on_node_signal (GDBusProxy *node, const char *sender, const char *signal, GVariant *parameters,
                Monitor *self)
{
  print_signal (self, HYPHA_DBUS_ROOT, signal, parameters);
}

static HyphaDBusLink1 *
as_link (GDBusProxy *proxy)
{
  return HYPHA_DBUS_IS_LINK1 (proxy) ? HYPHA_DBUS_LINK1 (proxy) : NULL;
}

static void
on_properties (GDBusObjectManagerClient *objects, GDBusObjectProxy *object, GDBusProxy *proxy,
               GVariant *changed, const char *const *invalidated, Monitor *self)
{
  const char *path = g_dbus_proxy_get_object_path (proxy);

  if (is_wanted (self, path, as_link (proxy)))
    print_properties (self, path, changed);
}

static void
on_signal (GDBusObjectManagerClient *objects, GDBusObjectProxy *object, GDBusProxy *proxy,
           const char *sender, const char *signal, GVariant *parameters, Monitor *self)
{
  const char *path = g_dbus_proxy_get_object_path (proxy);

  if (is_wanted (self, path, as_link (proxy)))
    print_signal (self, path, signal, parameters);
}

static void
tell_node (Monitor *self, gboolean here)
{
  print_event (self, here ? "node-here" : "node-gone", g_variant_new_parsed ("@a{sv} {}"),
               here ? _ ("the node is here") : _ ("the node is gone"));
}

static void
on_owner (GDBusObjectManagerClient *objects, GParamSpec *property, Monitor *self)
{
  g_autofree char *owner = g_dbus_object_manager_client_get_name_owner (objects);

  tell_node (self, owner != NULL);
}

static void
on_bus_closed (GDBusConnection *connection, gboolean remote_vanished, GError *reason, Monitor *self)
{
  self->bus_gone = TRUE;
}

/* ---- a node, and the next one ---- */

static GDBusConnection *
get_connection (Monitor *self)
{
  return g_dbus_proxy_get_connection (G_DBUS_PROXY (hypha_client_get_node (self->ctl->client)));
}

static void
attach (Monitor *self)
{
  HyphaDBusNode1 *node = hypha_client_get_node (self->ctl->client);
  GDBusObjectManager *objects = hypha_client_get_objects (self->ctl->client);

  self->bus_gone = FALSE;
  self->gate = hypha_flood_gate_new (get_connection (self));
  g_signal_connect (node, "g-properties-changed", G_CALLBACK (on_node_properties), self);
  g_signal_connect (node, "g-signal", G_CALLBACK (on_node_signal), self);
  g_signal_connect (get_connection (self), "closed", G_CALLBACK (on_bus_closed), self);
  g_signal_connect (objects, "object-added", G_CALLBACK (on_object_added), self);
  g_signal_connect (objects, "object-removed", G_CALLBACK (on_object_removed), self);
  g_signal_connect (objects, "interface-proxy-properties-changed", G_CALLBACK (on_properties),
                    self);
  g_signal_connect (objects, "interface-proxy-signal", G_CALLBACK (on_signal), self);
  g_signal_connect (objects, "notify::name-owner", G_CALLBACK (on_owner), self);
}

static void
detach (Monitor *self)
{
  g_signal_handlers_disconnect_by_data (hypha_client_get_objects (self->ctl->client), self);
  g_signal_handlers_disconnect_by_data (hypha_client_get_node (self->ctl->client), self);
  g_signal_handlers_disconnect_by_data (get_connection (self), self);
  self->lost += hypha_flood_gate_take_dropped (self->gate);
  g_clear_pointer (&self->gate, hypha_flood_gate_free);
}

static gboolean
on_look (gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return G_SOURCE_REMOVE;
}

static gboolean
goes_on (Monitor *self)
{
  return !self->interrupted && !self->output_gone &&
         !hypha_event_queue_has_failed (self->queue, NULL);
}

/* Where there is no bus, the node's own socket goes with the node, and comes with the next. */
static void
wait_for_node (Monitor *self)
{
  tell_node (self, FALSE);
  detach (self);
  g_clear_object (&self->ctl->client);
  while (goes_on (self) && self->ctl->client == NULL) {
    gboolean over = FALSE;
    guint timer = g_timeout_add (LOOK_MS, on_look, &over);

    while (goes_on (self) && !over)
      g_main_context_iteration (NULL, TRUE);
    if (over)
      hypha_ctl_get_client (self->ctl, NULL);
    else
      g_source_remove (timer);
  }
  if (self->ctl->client == NULL)
    return;
  attach (self);
  tell_node (self, TRUE);
}

/* FALSE: the bus is gone, which nothing brings back to this process. */
static gboolean
run (Monitor *self, GError **error)
{
  attach (self);
  while (goes_on (self)) {
    if (!self->bus_gone) {
      g_main_context_iteration (NULL, TRUE);
    } else if (g_dbus_connection_get_unique_name (get_connection (self)) == NULL) {
      wait_for_node (self);
    } else {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                   _ ("the bus is gone, and the node with it"));
      break;
    }
  }
  if (self->ctl->client)
    detach (self);
  return error == NULL || *error == NULL;
}

/* ---- the verb ---- */

static gboolean
on_interrupt (gpointer user_data)
{
  Monitor *self = user_data;

  self->interrupted = TRUE;
  return G_SOURCE_CONTINUE;
}

/* Nobody reads any more; told even while there is nothing to write. */
static gboolean
on_output_gone (int fd, GIOCondition condition, gpointer user_data)
{
  Monitor *self = user_data;

  self->output_gone = TRUE;
  return G_SOURCE_REMOVE;
}

gboolean
hypha_verb_monitor (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, NULL, argv, error);
  g_autoptr (HyphaClientPeer) peer = NULL;
  g_autofree char *only = NULL;
  Monitor self = { .ctl = ctl };
  gboolean done;

  if (words == NULL || hypha_ctl_get_client (ctl, error) == NULL)
    return FALSE;
  if (words[0]) {
    peer = hypha_ctl_find_peer (ctl, words[0], error);
    if (peer == NULL)
      return FALSE;
    only =
        g_strdup (g_dbus_proxy_get_object_path (G_DBUS_PROXY (hypha_client_peer_get_proxy (peer))));
    self.only = only;
    g_clear_object (&peer);
  }
  self.queue = hypha_event_queue_start ();
  g_unix_signal_add (SIGINT, on_interrupt, &self);
  g_unix_signal_add (SIGTERM, on_interrupt, &self);
  g_unix_fd_add (STDOUT_FILENO, G_IO_ERR | G_IO_HUP, on_output_gone, &self);
  done = run (&self, error);
  hypha_event_queue_finish (self.queue);
  hypha_ctl_end_by_broken_pipe ();
  return done && !hypha_event_queue_has_failed (self.queue, error);
}
