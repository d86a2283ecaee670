/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service/service.h"

#include <glib/gi18n-lib.h>

#include "api/hypha-text.h"
#include "link/frame.h"
#include "link/name.h"
#include "service/listen-patterns.h"

void
hypha_service_free (HyphaService *self)
{
  g_free (self->name);
  g_free (self->target);
  g_strfreev (self->peers);
  g_strfreev (self->roots);
  g_strfreev (self->listen);
  g_free (self);
}

gboolean
hypha_service_is_handler (HyphaService *self)
{
  return g_str_equal (self->target, "handler");
}

gboolean
hypha_service_is_transport (HyphaService *self)
{
  return g_str_equal (self->target, "transport");
}

char *
hypha_service_dup_pattern (const char *name)
{
  const char *colon = strrchr (name, ':');
  g_autofree char *why = NULL;
  guint32 port;

  if (colon == NULL || !hypha_text_parse_u32 (colon + 1, G_MAXUINT32, &port, &why) || port == 0)
    return NULL;
  return g_strdup_printf ("%.*s:*", (int) (colon - name), name);
}

char *
hypha_service_dup_target (HyphaService *self, const char *name)
{
  const char *star = strchr (self->target, '*');

  return star == NULL ? g_strdup (self->target)
                      : g_strdup_printf ("%.*s%s", (int) (star - self->target), self->target,
                                         strrchr (name, ':') + 1);
}

gboolean
hypha_service_check_name (const char *name, HyphaError code, GError **error)
{
  if (hypha_name_is_good (name, HYPHA_SERVICE_MAX))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, (gint) code,
               _ ("a service's name has 1 to %d bytes, without spaces"), HYPHA_SERVICE_MAX);
  return FALSE;
}

/* Whether TEXT ends in ":*", after something, and has no other '*'. */
static gboolean
is_pattern (const char *text)
{
  const char *star = strchr (text, '*');

  return star != NULL && star[1] == '\0' && star > text + 1 && star[-1] == ':';
}

static gboolean
check_target (HyphaLoader *loader, HyphaService *self, GError **error)
{
  static const char *const others[] = { "echo",      "discard", "ports",   "forward",
                                        "transport", "off",     "handler", NULL };
  const char *target = self->target;
  g_autoptr (GError) reason = NULL;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autofree char *with_port = NULL;

  if (is_pattern (self->name) ? !is_pattern (target)
                              : strchr (self->name, '*') != NULL || strchr (target, '*') != NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("'*' stands for a port: it is at the end of both the name and 'target', after "
                    "a colon, or in neither; 'target' is '%s'"),
                 target);
    return FALSE;
  }
  if (g_strv_contains (others, target))
    return TRUE;
  with_port = hypha_service_dup_target (self, ":1");
  endpoint = hypha_loader_check_endpoint (loader, with_port, &reason);
  if (endpoint != NULL)
    return TRUE;
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
      _ ("'target' is '%s', which is neither echo, discard, ports, forward, transport, off, "
         "handler nor an endpoint: %s"),
      target, reason->message);
  return FALSE;
}

/* As the kernel would write it: what lies in it is found by its text. */
static gboolean
is_canonical (const char *path)
{
  g_autofree char *canonical = *path == '/' ? g_canonicalize_filename (path, "/") : NULL;

  /* Two slashes at the beginning mean something on other systems, and are kept. */
  return canonical != NULL && g_str_equal (canonical, path) && path[1] != '/';
}

static gboolean
check_roots (HyphaService *self, GError **error)
{
  if (self->roots == NULL)
    return TRUE;
  if (!hypha_service_is_handler (self)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("'roots' is for services of programs, and 'target' is '%s', not 'handler'"),
                 self->target);
    return FALSE;
  }
  if (self->roots[0] == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("'roots' has to name a directory: leave it out where there is none"));
    return FALSE;
  }
  for (char **root = self->roots; *root != NULL; root++) {
    if (is_canonical (*root))
      continue;
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 _ ("'roots' has '%s', which is no absolute path without '.', '..' and empty "
                    "parts"),
                 *root);
    return FALSE;
  }
  return TRUE;
}

/* Whoever may have this node listen is named, and where he may, too. */
static gboolean
check_listen (HyphaLoader *loader, HyphaService *self, GError **error)
{
  gboolean forwards = g_str_equal (self->target, "forward");

  if (forwards && self->peers != NULL && self->listen != NULL)
    return hypha_listen_patterns_check ((const char *const *) self->listen, loader, error);
  if (!forwards && self->listen == NULL)
    return TRUE;
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                       forwards ? _ ("with the target 'forward', 'peers' and 'listen' are needed: "
                                     "who may have this node listen, and on which endpoints")
                                : _ ("'listen' goes with the target 'forward' only"));
  return FALSE;
}

/* Whoever may be led through this node is named. */
static gboolean
check_transport (HyphaService *self, GError **error)
{
  if (!hypha_service_is_transport (self) || self->peers != NULL)
    return TRUE;
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                       _ ("with the target 'transport', 'peers' is needed: who may be led through "
                          "this node, and reached through it"));
  return FALSE;
}

/* What holds names. */
static const struct {
  const char *key;
  gsize place;
} lists[] = {
  { "peers", G_STRUCT_OFFSET (HyphaService, peers) },
  { "roots", G_STRUCT_OFFSET (HyphaService, roots) },
  { "listen", G_STRUCT_OFFSET (HyphaService, listen) },
};

static gboolean
read_item (HyphaService *self, const char *key, GVariant *value, GError **error)
{
  if (g_str_equal (key, "target") && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
    g_free (self->target);
    self->target = g_variant_dup_string (value, NULL);
    return TRUE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++) {
    char ***list = G_STRUCT_MEMBER_P (self, lists[i].place);

    if (!g_str_equal (key, lists[i].key) ||
        !g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY))
      continue;
    g_strfreev (*list);
    *list = g_variant_dup_strv (value, NULL);
    return TRUE;
  }
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
      _ ("entry '%s' of type %s is not known: there are 'target' (s), and 'peers', 'roots' "
         "and 'listen' (as)"),
      key, g_variant_get_type_string (value));
  return FALSE;
}

HyphaService *
hypha_service_new (HyphaLoader *loader, const char *name, GVariant *items, GError **error)
{
  g_autoptr (HyphaService) self = g_new0 (HyphaService, 1);
  GVariantIter iter;
  const char *key;
  GVariant *value;

  self->name = g_strdup (name);
  if (!hypha_service_check_name (name, HYPHA_ERROR_INVALID_SETTING, error))
    return NULL;
  g_variant_iter_init (&iter, items);
  while (g_variant_iter_next (&iter, "{&sv}", &key, &value)) {
    G_GNUC_UNUSED g_autoptr (GVariant) owned = value;

    if (!read_item (self, key, value, error))
      return NULL;
  }
  /* Then it only says who may use what a program registers. */
  if (self->target == NULL)
    self->target = g_strdup ("handler");
  if (!check_target (loader, self, error) || !check_roots (self, error) ||
      !check_listen (loader, self, error) || !check_transport (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

gboolean
hypha_service_admits (HyphaService *self, HyphaNodePeer *peer)
{
  g_autofree char *name = NULL;

  if (self->peers == NULL)
    return TRUE;
  name = hypha_peer_dup_name (HYPHA_PEER (peer));
  return g_strv_contains ((const char *const *) self->peers, name) ||
         g_strv_contains ((const char *const *) self->peers, hypha_node_peer_get_id_text (peer));
}
