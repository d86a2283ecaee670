/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/hearer.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define OPEN_TIMEOUT_MS 10000
/* A peer that tells more often is heard so often. */
#define PAUSE_MS 500
/* A peer that does not tell is asked again, less and less often. */
#define AGAIN_SECONDS 2
#define MAX_AGAIN_SECONDS 32

struct _HyphaHearer {
  HyphaNode *node;
  char *name, *what; /* of the peer, as it was given; for the log */
  char *request;     /* nullable */
  const HyphaHearerKind *kind;
  gpointer user_data;

  gulong trust_handler;
  HyphaNodePeer *peer; /* whom NAME means; NULL: nobody */
  gulong state_handler;

  GCancellable *cancellable; /* of the stream, from when it is asked for */
  HyphaStream *stream;
  char *buffer; /* of as many bytes as the longest line */
  gsize length;
  guint pause, again, wait_seconds;

  gboolean hears, failed;
  GError *trouble; /* nullable */
  HyphaTelling own;
  HyphaTelling *telling; /* OWN, or one that is shared */
};

static void try_to_hear (HyphaHearer *self);

/* ---- what the peer tells ---- */

/* A peer may tell well and ill in turn, as often as it is asked. */
static void
tell_trouble (HyphaHearer *self, const char *trouble)
{
  g_autofree char *about = g_strdup_printf ("%s: ", self->what);

  hypha_telling_tell (self->telling, about, trouble, "reasons were not told");
}

/* ERROR (nullable): taken. FAILED: it has to be mended by somebody; else it only takes its time. */
static void
set_trouble (HyphaHearer *self, gboolean failed, GError *error)
{
  if (failed && (self->trouble == NULL || !g_str_equal (self->trouble->message, error->message)))
    tell_trouble (self, error->message);
  g_clear_error (&self->trouble);
  self->trouble = error;
  self->failed = failed;
}

static gboolean
on_again (gpointer data)
{
  HyphaHearer *self = data;

  self->again = 0;
  try_to_hear (self);
  return G_SOURCE_REMOVE;
}

/* Whatever is open or on its way ends. */
static void
hang_up (HyphaHearer *self)
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

/* ERROR: taken. */
static void
broken (HyphaHearer *self, GError *error)
{
  hang_up (self);
  set_trouble (self, TRUE, error);
  self->wait_seconds = CLAMP (self->wait_seconds * 2, AGAIN_SECONDS, MAX_AGAIN_SECONDS);
  self->again = g_timeout_add_seconds (self->wait_seconds, on_again, self);
  self->kind->lost (self->user_data);
}

static void take_line (HyphaHearer *self);

static gboolean
on_pause (gpointer data)
{
  HyphaHearer *self = data;

  self->pause = 0;
  take_line (self);
  return G_SOURCE_REMOVE;
}

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaHearer *self = user_data;
  g_autoptr (GError) error = NULL;
  gssize n = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);

  if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    self->length += (gsize) MAX (n, 0);
    if (n == 0)
      error = g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_GONE, _ (self->kind->no_more));
    if (n > 0)
      take_line (self);
    else
      broken (self, g_steal_pointer (&error));
  }
  hypha_hearer_unref (self);
}

static void
read_more (HyphaHearer *self)
{
  g_input_stream_read_async (g_io_stream_get_input_stream (G_IO_STREAM (self->stream)),
                             self->buffer + self->length, self->kind->longest - self->length,
                             G_PRIORITY_DEFAULT, self->cancellable, on_read,
                             g_rc_box_acquire (self));
}

/* The first LENGTH bytes, with a NUL behind them; they and the line's end are in the buffer no
 * more. */
static char *
cut_line (HyphaHearer *self, gsize length)
{
  char *line = g_malloc (length + 1);

  memcpy (line, self->buffer, length);
  line[length] = '\0';
  self->length -= length + 1;
  memmove (self->buffer, self->buffer + length + 1, self->length);
  return line;
}

/* May end SELF. */
static void
take_line (HyphaHearer *self)
{
  const char *end = memchr (self->buffer, '\n', self->length);
  gsize length = end != NULL ? (gsize) (end - self->buffer) : 0;
  g_autofree char *line = NULL;
  g_autoptr (GError) before = NULL;
  g_autoptr (GError) error = NULL;

  if (end == NULL && self->length < self->kind->longest) {
    read_more (self);
    return;
  }
  if (end == NULL) {
    broken (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                               _ ("the peer tells a line that has no end after %zu bytes"),
                               self->length));
    return;
  }
  line = cut_line (self, length);
  before = g_steal_pointer (&self->trouble);
  self->hears = TRUE;
  self->failed = FALSE;
  self->pause = g_timeout_add (PAUSE_MS, on_pause, self);
  g_rc_box_acquire (self);
  if (self->kind->heard (line, length, self->user_data, &error)) {
    self->wait_seconds = 0;
  } else {
    /* Whether it is a new one. */
    self->trouble = g_steal_pointer (&before);
    broken (self, g_steal_pointer (&error));
  }
  hypha_hearer_unref (self);
}

static void
on_asked (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaHearer *self = user_data;
  g_autoptr (GError) error = NULL;

  g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error);
  if (error == NULL)
    take_line (self);
  else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    broken (self, g_steal_pointer (&error));
  hypha_hearer_unref (self);
}

static void
ask (HyphaHearer *self)
{
  if (self->request == NULL)
    take_line (self);
  else
    g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (self->stream)),
                                     self->request, strlen (self->request), G_PRIORITY_DEFAULT,
                                     self->cancellable, on_asked, g_rc_box_acquire (self));
}

static void
on_opened (GObject *source, GAsyncResult *result, gpointer user_data)
{
  HyphaHearer *self = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream =
      hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);

  if (stream != NULL) {
    self->stream = g_steal_pointer (&stream);
    ask (self);
  } else if (!g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    broken (self, g_steal_pointer (&error));
  }
  hypha_hearer_unref (self);
}

/* ---- the peer ---- */

static gboolean
has_link (HyphaNodePeer *peer)
{
  HyphaPeerState state = hypha_peer_get_state (HYPHA_PEER (peer));

  return state == HYPHA_PEER_ONLINE || state == HYPHA_PEER_SUSPECT;
}

static void
try_to_hear (HyphaHearer *self)
{
  if (self->cancellable != NULL || self->again != 0 || self->peer == NULL)
    return;
  if (has_link (self->peer)) {
    self->cancellable = g_cancellable_new ();
    hypha_peer_open_stream_async (HYPHA_PEER (self->peer), self->kind->service, OPEN_TIMEOUT_MS,
                                  self->cancellable, on_opened, g_rc_box_acquire (self));
    return;
  }
  set_trouble (
      self, FALSE,
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_OFFLINE, _ ("there is no link to %s"), self->name));
  self->kind->lost (self->user_data);
}

/* A link that comes is worth a try at once, whatever was before. */
static void
on_state (HyphaHearer *self)
{
  if (self->cancellable != NULL)
    return;
  g_clear_handle_id (&self->again, g_source_remove);
  self->wait_seconds = 0;
  try_to_hear (self);
}

static void
let_go (HyphaHearer *self)
{
  if (self->peer != NULL)
    g_clear_signal_handler (&self->state_handler, self->peer);
  g_clear_object (&self->peer);
}

/* Who is meant by a name may change. */
static void
find_peer (HyphaHearer *self)
{
  g_autoptr (GError) error = NULL;
  HyphaNodePeer *peer = hypha_node_lookup (self->node, self->name, &error);

  if (peer != NULL && peer == self->peer)
    return;
  hang_up (self);
  let_go (self);
  self->wait_seconds = 0;
  set_trouble (self, peer == NULL, g_steal_pointer (&error));
  /* What the one told is not what the other has. */
  self->kind->lost (self->user_data);
  if (peer == NULL)
    return;
  self->peer = g_object_ref (peer);
  self->state_handler =
      g_signal_connect_swapped (peer, "notify::state", G_CALLBACK (on_state), self);
  try_to_hear (self);
}

/* ---- life ---- */

void
hypha_hearer_open (HyphaHearer *self)
{
  self->trust_handler =
      g_signal_connect_swapped (self->node, "trust-changed", G_CALLBACK (find_peer), self);
  find_peer (self);
}

void
hypha_hearer_close (HyphaHearer *self)
{
  g_clear_signal_handler (&self->trust_handler, self->node);
  hang_up (self);
  let_go (self);
}

HyphaHearer *
hypha_hearer_new (HyphaNode *node, const char *peer, const char *what, const char *request,
                  const HyphaHearerKind *kind, gpointer user_data)
{
  HyphaHearer *self = g_rc_box_new0 (HyphaHearer);

  self->node = g_object_ref (node);
  self->name = g_strdup (peer);
  self->what = g_strdup (what);
  self->request = g_strdup (request);
  self->kind = kind;
  self->user_data = user_data;
  self->buffer = g_malloc (kind->longest);
  self->telling = &self->own;
  return self;
}

void
hypha_hearer_share_telling (HyphaHearer *self, HyphaTelling *telling)
{
  self->telling = telling;
}

static void
clear (gpointer data)
{
  HyphaHearer *self = data;

  g_object_unref (self->node);
  g_free (self->name);
  g_free (self->what);
  g_free (self->request);
  g_free (self->buffer);
  g_clear_error (&self->trouble);
}

void
hypha_hearer_unref (HyphaHearer *self)
{
  g_rc_box_release_full (self, clear);
}

/* ---- what is told ---- */

gboolean
hypha_hearer_hears (HyphaHearer *self)
{
  return self->hears;
}

gboolean
hypha_hearer_has_link (HyphaHearer *self)
{
  return self->peer != NULL && has_link (self->peer);
}

const GError *
hypha_hearer_get_trouble (HyphaHearer *self)
{
  return self->trouble;
}

gboolean
hypha_hearer_has_failed (HyphaHearer *self)
{
  return self->failed;
}
