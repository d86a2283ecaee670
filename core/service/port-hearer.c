/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/port-hearer.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "node/telling.h"

/* The peer's service that tells. */
#define SERVICE "ports"

#define OPEN_TIMEOUT_MS 10000
/* A peer tells at most once a second; one that tells more often is heard so often. */
#define PAUSE_MS 500
/* A peer that does not tell is asked again, less and less often. */
#define AGAIN_SECONDS 2
#define MAX_AGAIN_SECONDS 32

struct _HyphaPortHearer {
  HyphaNode *node;
  char *name, *what; /* of the peer, as it was given; for the log */
  HyphaPortHearerFunc func;
  gpointer user_data;

  gulong trust_handler;
  HyphaNodePeer *peer; /* whom NAME means; NULL: nobody */
  gulong state_handler;

  GCancellable *cancellable; /* of the stream, from when it is asked for */
  HyphaStream *stream;
  char buffer[HYPHA_PORT_LINE_MAX];
  gsize length;
  guint pause, again, wait_seconds;

  gboolean hears, failed;
  char *trouble;
  HyphaTelling telling;
};

static void try_to_hear (HyphaPortHearer *self);

/* ---- what the peer tells ---- */

/* A peer may tell well and ill in turn, as often as it is asked. */
static void
tell_trouble (HyphaPortHearer *self, const char *trouble)
{
  g_autofree char *about = g_strdup_printf ("%s: ", self->what);

  hypha_telling_tell (&self->telling, about, trouble, "reasons were not told");
}

/* FAILED: it has to be mended by somebody; else it only takes its time. */
static void
set_trouble (HyphaPortHearer *self, gboolean failed, const char *trouble)
{
  if (failed && g_strcmp0 (self->trouble, trouble) != 0)
    tell_trouble (self, trouble);
  g_free (self->trouble);
  self->trouble = g_strdup (trouble);
  self->failed = failed;
}

static gboolean
on_again (gpointer data)
{
  HyphaPortHearer *self = data;

  self->again = 0;
  try_to_hear (self);
  return G_SOURCE_REMOVE;
}

/* Whatever is open or on its way ends. */
static void
hang_up (HyphaPortHearer *self)
{
  if (self->cancellable != NULL)
    g_cancellable_cancel (self->cancellable);
  g_clear_object (&self->cancellable);
  if (self->stream != NULL)
    g_io_stream_close (G_IO_STREAM (self->stream), NULL, NULL);
  g_clear_object (&self->stream);
  g_clear_handle_id (&self->pause, g_source_remove);
  g_clear_handle_id (&self->again, g_source_remove);
  self->length = 0;
  self->hears = FALSE;
}

static void
broken (HyphaPortHearer *self, const char *why)
{
  hang_up (self);
  set_trouble (self, TRUE, why);
  self->wait_seconds = CLAMP (self->wait_seconds * 2, AGAIN_SECONDS, MAX_AGAIN_SECONDS);
  self->again = g_timeout_add_seconds (self->wait_seconds, on_again, self);
  self->func (NULL, self->user_data);
}

static void take_line (HyphaPortHearer *self);

static gboolean
on_pause (gpointer data)
{
  HyphaPortHearer *self = data;

  self->pause = 0;
  take_line (self);
  return G_SOURCE_REMOVE;
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaPortHearer *self = user_data;
  g_autoptr (GError) error = NULL;
  gssize n = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    self->length += (gsize) MAX (n, 0);
    if (n > 0)
      take_line (self);
    else
      broken (self, n < 0 ? error->message : _ ("the peer tells its ports no more"));
  }
  hypha_port_hearer_unref (self);
}

static void
take_line (HyphaPortHearer *self)
{
  const char *end = memchr (self->buffer, '\n', self->length);
  g_autoptr (GError) error = NULL;
  HyphaPortSet told;
  gsize taken;

  if (end == NULL && self->length < sizeof self->buffer) {
    g_input_stream_read_async (g_io_stream_get_input_stream (G_IO_STREAM (self->stream)),
                               self->buffer + self->length, sizeof self->buffer - self->length,
                               G_PRIORITY_DEFAULT, self->cancellable, on_read,
                               g_rc_box_acquire (self));
    return;
  }
  /* What does not end is not taken, whatever it says: as much as there is may be a list, and white
   * space. */
  if (end == NULL)
    end = self->buffer;
  if (!hypha_port_set_parse_line (&told, self->buffer, (gsize) (end - self->buffer), &error)) {
    broken (self, error->message);
    return;
  }
  taken = (gsize) (end - self->buffer) + 1;
  self->length -= taken;
  memmove (self->buffer, self->buffer + taken, self->length);
  self->hears = TRUE;
  self->wait_seconds = 0;
  set_trouble (self, FALSE, NULL);
  self->pause = g_timeout_add (PAUSE_MS, on_pause, self);
  self->func (&told, self->user_data);
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaPortHearer *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream =
      hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);

  if (stream != NULL) {
    self->stream = g_steal_pointer (&stream);
    take_line (self);
  } else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    broken (self, error->message);
  }
  hypha_port_hearer_unref (self);
}

/* ---- the peer ---- */

static gboolean
has_link (HyphaNodePeer *peer)
{
  HyphaPeerState state = hypha_peer_get_state (HYPHA_PEER (peer));

  return state == HYPHA_PEER_ONLINE || state == HYPHA_PEER_SUSPECT;
}

static void
try_to_hear (HyphaPortHearer *self)
{
  g_autofree char *trouble = NULL;

  if (self->cancellable != NULL || self->again != 0 || self->peer == NULL)
    return;
  if (has_link (self->peer)) {
    self->cancellable = g_cancellable_new ();
    hypha_peer_open_stream_async (HYPHA_PEER (self->peer), SERVICE, OPEN_TIMEOUT_MS,
                                  self->cancellable, on_opened, g_rc_box_acquire (self));
    return;
  }
  trouble = g_strdup_printf (_ ("there is no link to %s"), self->name);
  set_trouble (self, FALSE, trouble);
  self->func (NULL, self->user_data);
}

/* A link that comes is worth a try at once, whatever was before. */
static void
on_state (HyphaPortHearer *self)
{
  if (self->cancellable != NULL)
    return;
  g_clear_handle_id (&self->again, g_source_remove);
  self->wait_seconds = 0;
  try_to_hear (self);
}

static void
let_go (HyphaPortHearer *self)
{
  if (self->peer != NULL)
    g_clear_signal_handler (&self->state_handler, self->peer);
  g_clear_object (&self->peer);
}

/* Who is meant by a name may change. */
static void
find_peer (HyphaPortHearer *self)
{
  g_autoptr (GError) error = NULL;
  HyphaNodePeer *peer = hypha_node_lookup (self->node, self->name, &error);

  if (peer != NULL && peer == self->peer)
    return;
  hang_up (self);
  let_go (self);
  self->wait_seconds = 0;
  set_trouble (self, peer == NULL, peer == NULL ? error->message : NULL);
  /* What the one told is not what the other has. */
  self->func (NULL, self->user_data);
  if (peer == NULL)
    return;
  self->peer = g_object_ref (peer);
  self->state_handler =
      g_signal_connect_swapped (peer, "notify::state", G_CALLBACK (on_state), self);
  try_to_hear (self);
}

/* ---- life ---- */

void
hypha_port_hearer_open (HyphaPortHearer *self)
{
  self->trust_handler =
      g_signal_connect_swapped (self->node, "trust-changed", G_CALLBACK (find_peer), self);
  find_peer (self);
}

void
hypha_port_hearer_close (HyphaPortHearer *self)
{
  g_clear_signal_handler (&self->trust_handler, self->node);
  hang_up (self);
  let_go (self);
}

HyphaPortHearer *
hypha_port_hearer_new (HyphaNode *node, const char *peer, const char *what,
                       HyphaPortHearerFunc func, gpointer user_data)
{
  HyphaPortHearer *self = g_rc_box_new0 (HyphaPortHearer);

  self->node = g_object_ref (node);
  self->name = g_strdup (peer);
  self->what = g_strdup (what);
  self->func = func;
  self->user_data = user_data;
  return self;
}

static void
clear (gpointer data)
{
  HyphaPortHearer *self = data;

  g_object_unref (self->node);
  g_free (self->name);
  g_free (self->what);
  g_free (self->trouble);
}

void
hypha_port_hearer_unref (HyphaPortHearer *self)
{
  g_rc_box_release_full (self, clear);
}

/* ---- what is told ---- */

gboolean
hypha_port_hearer_hears (HyphaPortHearer *self)
{
  return self->hears;
}

const char *
hypha_port_hearer_get_trouble (HyphaPortHearer *self)
{
  return self->trouble;
}

gboolean
hypha_port_hearer_has_failed (HyphaPortHearer *self)
{
  return self->failed;
}
