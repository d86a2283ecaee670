/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/guest.h"

#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/guest-key.h"
#include "ctl/verb.h"

/* The way from a guest without any network to its host, and back. The scheme is that of the
 * transport that tells of guests. */
#define WAY_TO_HOST "%s://2:%d"
#define WAY_TO_GUEST "%s://%" PRIu64 ":%d"
#define DETAIL "guests"

#define MIN_CID 3u /* those below are the host's and the machine's own */
#define MAX_CID 4294967294u

void
hypha_guest_clear (HyphaGuest *self)
{
  g_free (self->name);
  g_free (self->identity);
  g_free (self->id);
  g_free (self->scheme);
}

static gboolean
find_scheme (HyphaGuest *self, GError **error)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->ctl, HYPHA_DBUS_TRANSPORT, error);

  for (guint i = 0; objects && i < objects->len; i++) {
    HyphaDBusTransport1 *transport = hypha_dbus_object_peek_transport1 (objects->pdata[i]);
    GVariant *details = transport ? hypha_dbus_transport1_get_details (transport) : NULL;
    g_autoptr (GVariant) guests =
        details ? g_variant_lookup_value (details, DETAIL, G_VARIANT_TYPE_BOOLEAN) : NULL;

    if (guests) {
      self->scheme = g_strdup (hypha_dbus_transport1_get_name (transport));
      return TRUE;
    }
  }
  if (objects)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
                 _ ("no transport of this node leads to guests: hyphactl plugins shows which are "
                    "there, and why one is not used"));
  return FALSE;
}

/* ---- trust ---- */

/* What holds of the guest in `trusted-peers`, with the endpoint it is bound to. */
static GVariant *
bind_entry (HyphaGuest *self, GVariant *trusted)
{
  g_autofree char *endpoint =
      g_strdup_printf (WAY_TO_GUEST, self->scheme, (guint64) self->cid, self->port);
  const char *const endpoints[] = { endpoint, NULL };
  g_autoptr (GVariantBuilder) all = g_variant_builder_new (G_VARIANT_TYPE ("a{sa{sv}}"));
  GVariantIter iter;
  const char *id;
  GVariant *entry;

  g_variant_iter_init (&iter, trusted);
  while (g_variant_iter_loop (&iter, "{&s@a{sv}}", &id, &entry)) {
    g_auto (GVariantDict) dict = G_VARIANT_DICT_INIT (entry);

    if (g_str_equal (id, self->id))
      g_variant_dict_insert (&dict, "endpoints", "^as", endpoints);
    g_variant_builder_add (all, "{s@a{sv}}", id, g_variant_dict_end (&dict));
  }
  return g_variant_ref_sink (g_variant_builder_end (all));
}

static gboolean
bind_to_cid (HyphaGuest *self, GError **error)
{
  g_autoptr (HyphaDBusConfig1) config = hypha_ctl_get_config (self->ctl, error);
  g_autoptr (GVariant) boxed = NULL;
  g_autoptr (GVariant) trusted = NULL;
  g_autoptr (GVariant) bound = NULL;

  if (config == NULL ||
      !hypha_dbus_config1_call_get_sync (config, "trusted-peers", G_DBUS_CALL_FLAGS_NONE, -1,
                                         &boxed, NULL, error))
    return FALSE;
  trusted = g_variant_get_variant (boxed);
  if (!g_variant_is_of_type (trusted, G_VARIANT_TYPE ("a{sa{sv}}"))) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 _ ("the node's trusted-peers are not of the type that is known here"));
    return FALSE;
  }
  bound = bind_entry (self, trusted);
  return hypha_dbus_config1_call_set_sync (config, "trusted-peers", g_variant_new_variant (bound),
                                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
}

/* With a CID, the guest is either trusted and bound, or not trusted. */
static gboolean
trust (HyphaGuest *self, GError **error)
{
  if (!hypha_dbus_node1_call_trust_sync (self->node, self->id, self->name, G_DBUS_CALL_FLAGS_NONE,
                                         -1, NULL, error)) {
    hypha_client_clean_error (error);
    return FALSE;
  }
  if (self->cid == HYPHA_GUEST_ANY_CID || bind_to_cid (self, error))
    return TRUE;
  hypha_client_clean_error (error);
  g_prefix_error (error, _ ("the guest could not be bound to CID %" PRIu64 ": "),
                  (guint64) self->cid);
  hypha_dbus_node1_call_forget_sync (self->node, self->id, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
  return FALSE;
}

/* ---- what the guest needs ---- */

static char *
quote (const char *text)
{
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_string (text));

  return g_variant_print (value, FALSE);
}

/* The host's own name, if the guest would take it for one. */
static const char *
host_name (HyphaGuest *self)
{
  const char *name = hypha_dbus_node1_get_name (self->node);

  for (const char *c = name; c && *c; c++) {
    if (!g_ascii_isgraph (*c) || c - name >= 63 || *c == '\'' || *c == '\\')
      return "host";
  }
  return name && *name && !g_str_equal (name, self->name) ? name : "host";
}

char *
hypha_guest_make_config (HyphaGuest *self)
{
  const char *host = hypha_dbus_node1_get_id (self->node);
  g_autofree char *way = g_strdup_printf (WAY_TO_HOST, self->scheme, self->port);
  g_autofree char *name = quote (self->name);
  /* By its id: a name is whatever somebody calls himself. */
  g_autofree char *services =
      self->exec ? g_strdup_printf ("services={'exec': {'peers': <['%s']>}}\n", host)
                 : g_strdup ("");

  return g_strdup_printf ("[org/hypha/node]\n"
                          "name=%s\n"
                          "peers=['%s?id=%s']\n"
                          "trusted-peers={'%s': {'name': <'%s'>}}\n"
                          "%s",
                          name, way, host, host, host_name (self), services);
}

static gboolean
listens (HyphaGuest *self)
{
  const char *const *listening = hypha_dbus_node1_get_listening (self->node);
  g_autofree char *scheme = g_strconcat (self->scheme, "://", NULL);
  g_autofree char *port = g_strdup_printf (":%d", self->port);

  for (guint i = 0; listening && listening[i]; i++) {
    if (g_str_has_prefix (listening[i], scheme) && g_str_has_suffix (listening[i], port))
      return TRUE;
  }
  return FALSE;
}

void
hypha_guest_tell_where_to_listen (HyphaGuest *self)
{
  if (!listens (self))
    fprintf (stderr,
             _ ("This node does not listen on %s://any:%d yet: add it to the setting listen, or "
                "start hyphad with --listen %s://any:%d.\n"),
             self->scheme, self->port, self->scheme, self->port);
}

gboolean
hypha_guest_check (HyphaGuest *self, GError **error)
{
  if (self->name == NULL || *self->name == '\0') {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("--name NAME is missing: how to call the guest, here and there"));
    return FALSE;
  }
  if (self->identity && *self->identity == '\0') {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, _ ("--identity is empty"));
    return FALSE;
  }
  if (self->cid != HYPHA_GUEST_ANY_CID && (self->cid < MIN_CID || self->cid > MAX_CID)) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("--cid %" PRId64 ": a guest's is from %u to %u"), self->cid, MIN_CID, MAX_CID);
    return FALSE;
  }
  /* It becomes the name of a file. */
  if (self->identity == NULL && (g_str_has_prefix (self->name, ".") || strchr (self->name, '/'))) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("--name %s cannot be the name of a file: give one by --identity FILE"),
                 self->name);
    return FALSE;
  }
  return hypha_verb_check_range ("--listen-port", self->port, 1, G_MAXINT, error);
}

gboolean
hypha_guest_make (HyphaGuest *self, GError **error)
{
  self->node = hypha_ctl_get_node (self->ctl, error);
  if (self->node == NULL || !find_scheme (self, error))
    return FALSE;

  if (self->identity == NULL) {
    g_autofree char *file = g_strconcat (self->name, ".pem", NULL);

    self->identity = g_build_filename (g_get_user_state_dir (), "hypha", "guests", file, NULL);
  }
  self->fresh = !g_file_test (self->identity, G_FILE_TEST_EXISTS);
  self->id = hypha_client_make_key (self->identity, error);
  return self->id != NULL;
}

gboolean
hypha_guest_trust (HyphaGuest *self, GError **error)
{
  if (trust (self, error))
    return TRUE;
  if (self->fresh)
    g_unlink (self->identity);
  return FALSE;
}
