/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relayed-world.h"

#include <glib/gstdio.h>
#include <string.h>

void
member_up (World *self, guint i, const char *name, HyphaLoader *loader)
{
  static const char *const directories[] = { HYPHA_TEST_UNIX_DIR, HYPHA_TEST_VIA_DIR, NULL };
  g_autoptr (GError) error = NULL;
  Member *m = &self->members[i];
  HyphaNodeLimits limits;

  if (m->identity == NULL) {
    g_autofree char *file = g_strconcat (name, ".sock", NULL);

    m->identity = hypha_identity_generate (NULL);
    m->name = g_strdup (name);
    m->id = hypha_node_id_to_string (hypha_identity_get_id (m->identity));
    m->socket = g_build_filename (self->dir, file, NULL);
  }
  m->loader = loader != NULL ? g_object_ref (loader) : hypha_loader_new (directories);
  if (loader == NULL)
    hypha_loader_start (m->loader);
  m->node = hypha_node_new (m->identity, m->loader, 1, &error);
  g_assert_no_error (error);
  g_assert_true (hypha_node_set_name (m->node, m->name, &error));
  hypha_node_limits_init (&limits);
  limits.ping_interval = 200;
  limits.link_timeout = 1500;
  hypha_node_set_limits (m->node, &limits);
  m->services = hypha_services_new (m->node);
}

void
member_down (Member *m)
{
  if (m->node == NULL)
    return;
  hypha_node_stop (m->node);
  g_clear_object (&m->services);
  g_assert_finalize_object (g_steal_pointer (&m->node));
  g_clear_object (&m->loader);
}

void
world_up (World *self, const char *const *names)
{
  g_autoptr (GError) error = NULL;

  *self = (World){ 0 };
  self->dir = g_dir_make_tmp ("hypha-relayed-XXXXXX", &error);
  g_assert_no_error (error);
  for (; names[self->n] != NULL; self->n++)
    member_up (self, self->n, names[self->n], NULL);
}

void
world_down (World *self)
{
  for (guint i = 0; i < self->n; i++)
    member_down (&self->members[i]);
  for (guint i = 0; i < self->n; i++) {
    Member *m = &self->members[i];
    g_autofree char *lock = g_strconcat (m->socket, ".lock", NULL);

    g_unlink (m->socket);
    g_unlink (lock);
    hypha_identity_unref (m->identity);
    g_free (m->name);
    g_free (m->id);
    g_free (m->socket);
  }
  g_assert_cmpint (g_rmdir (self->dir), ==, 0);
  g_free (self->dir);
}

Member *
member (World *self, const char *name)
{
  for (guint i = 0; i < self->n; i++)
    if (g_str_equal (self->members[i].name, name))
      return &self->members[i];
  g_assert_not_reached ();
}

void
befriend (World *self, const char *one, const char *other)
{
  Member *a = member (self, one), *b = member (self, other);
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_node_trust (a->node, b->id, b->name, &error));
  g_assert_true (hypha_node_trust (b->node, a->id, a->name, &error));
}

void
listen_at (World *self, const char *name, const char *endpoints)
{
  Member *m = member (self, name);
  g_auto (GStrv) list = g_strsplit (endpoints, ",", -1);
  g_autoptr (GError) error = NULL;

  for (char **e = list; *e != NULL; e++)
    if (g_str_equal (*e, "@")) {
      g_free (*e);
      *e = g_strconcat ("unix://", m->socket, NULL);
    }
  g_assert_true (hypha_node_set_listen (m->node, (const char *const *) list, &error));
  g_assert_no_error (error);
  wait_until (hypha_node_is_settled (m->node));
}

void
let_pass (World *self, const char *name, const char *services)
{
  g_autoptr (GVariant) value = g_variant_ref_sink (g_variant_new_parsed (services));
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_services_configure (member (self, name)->services, value, &error));
  g_assert_no_error (error);
}

void
dial_all (World *self, const char *name, const char *whom)
{
  g_auto (GStrv) list = g_strsplit (whom, ",", -1);
  g_autoptr (GError) error = NULL;

  for (char **e = list; *e != NULL; e++)
    if (**e != '\0' && strchr (*e, ':') == NULL) {
      char *endpoint = g_strconcat ("unix://", member (self, *e)->socket, NULL);

      g_free (*e);
      *e = endpoint;
    }
  if (*whom == '\0')
    g_clear_pointer (&list[0], g_free);
  g_assert_true (
      hypha_node_set_peers (member (self, name)->node, (const char *const *) list, &error));
  g_assert_no_error (error);
}

HyphaNodePeer *
peer_at (World *self, const char *name, const char *other)
{
  return hypha_node_lookup (member (self, name)->node, member (self, other)->id, NULL);
}

HyphaNodeLink *
best (World *self, const char *name, const char *other)
{
  HyphaNodePeer *peer = peer_at (self, name, other);

  return peer != NULL ? hypha_node_peer_get_best_link (peer) : NULL;
}

gboolean
goes_over (World *self, const char *name, const char *other, const char *scheme)
{
  HyphaNodeLink *link = best (self, name, other);

  return scheme == NULL
             ? link == NULL
             : link != NULL && g_str_equal (hypha_node_link_get_transport (link), scheme);
}

gboolean
has_link (World *self, const char *name, const char *other, const char *scheme)
{
  HyphaNodePeer *peer = peer_at (self, name, other);
  g_autoptr (GPtrArray) links = peer != NULL ? hypha_node_peer_dup_links (peer) : NULL;

  for (guint i = 0; links != NULL && i < links->len; i++)
    if (g_str_equal (hypha_node_link_get_transport (links->pdata[i]), scheme) &&
        g_str_equal (hypha_node_link_get_state (links->pdata[i]), "up"))
      return TRUE;
  return FALSE;
}

void
cut (World *self, const char *name, const char *other, const char *scheme)
{
  HyphaNodePeer *peer = peer_at (self, name, other);
  g_autoptr (GPtrArray) links = hypha_node_peer_dup_links (peer);

  for (guint i = 0; i < links->len; i++)
    if (g_str_equal (hypha_node_link_get_transport (links->pdata[i]), scheme))
      hypha_node_link_close (links->pdata[i]);
}

HyphaStream *
open_echo (World *self, const char *name, const char *other)
{
  g_autoptr (GError) error = NULL;
  HyphaStream *stream = open_stream (peer_at (self, name, other), "echo", &error);

  g_assert_no_error (error);
  return stream;
}

void
exchange (HyphaStream *stream, gsize length)
{
  GInputStream *input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
  GOutputStream *output = g_io_stream_get_output_stream (G_IO_STREAM (stream));
  g_autofree guint8 *sent = g_malloc (length);
  g_autofree guint8 *got = g_malloc0 (length);
  gsize written = 0, done = 0;

  for (gsize i = 0; i < length; i++)
    sent[i] = (guint8) (i * 31 + i / 251);
  while (done < length) {
    gssize n = written < length
                   ? g_pollable_output_stream_write_nonblocking (G_POLLABLE_OUTPUT_STREAM (output),
                                                                 sent + written, length - written,
                                                                 NULL, NULL)
                   : 0;

    written += n > 0 ? (gsize) n : 0;
    n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), got + done,
                                                  length - done, NULL, NULL);
    g_assert_cmpint (n, !=, 0);
    done += n > 0 ? (gsize) n : 0;
    g_main_context_iteration (NULL, FALSE);
  }
  g_assert_cmpmem (sent, length, got, length);
}

void
guests_up (World *w)
{
  static const char *const names[] = { "host", "one", "two", NULL };

  world_up (w, names);
  befriend (w, "host", "one");
  befriend (w, "host", "two");
  befriend (w, "one", "two");
  listen_at (w, "host", "@");
  listen_at (w, "two", "via://any");
}

gboolean
explains (World *self, const char *name, const char *other, const char *text)
{
  g_autoptr (GVariant) all =
      hypha_node_explain (member (self, name)->node, peer_at (self, name, other));
  g_autofree char *printed = g_variant_print (all, FALSE);

  return strstr (printed, text) != NULL;
}

gboolean
is_in_trouble (World *self, const char *name, const char *text)
{
  g_autoptr (GVariant) troubles = hypha_node_dup_troubles (member (self, name)->node);
  g_autofree char *printed = g_variant_print (troubles, FALSE);

  return strstr (printed, text) != NULL;
}

void
let_time_pass (guint ms)
{
  gint64 until = g_get_monotonic_time () + ms * G_TIME_SPAN_MILLISECOND;
  guint tick = g_timeout_add (10, wake, NULL);

  while (g_get_monotonic_time () < until)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (tick);
}
