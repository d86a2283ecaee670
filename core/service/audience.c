/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/audience.h"

#include <errno.h>
#include <glib-unix.h>
#include <hypha-source.h>
#include <string.h>
#include <sys/socket.h>

#include "io/hard-close.h"

/* Until it has said what it has to say first. */
#define PATIENCE_MS 10000

struct _HyphaAudience {
  const HyphaAudienceKind *kind;
  gpointer user_data;
  GHashTable *seats; /* set of HyphaSeat */
};

struct _HyphaSeat {
  HyphaAudience *audience;
  HyphaNodePeer *peer;
  char *service;
  int fd;
  GSource *input, *output;
  char *said; /* so far; NULL: nothing is to be said, or no more */
  gsize n_said;
  guint patience;
  char *line, *next; /* that is being written, and the latest after it; nullable */
  gsize written;
  gboolean settled; /* has asked, if it has to */
  gpointer data;
};

static void
seat_free (gpointer data)
{
  HyphaSeat *self = data;
  HyphaAudience *audience = self->audience;

  if (self->settled && audience->kind->left != NULL)
    audience->kind->left (self, audience->user_data);
  hypha_clear_source (&self->input);
  hypha_clear_source (&self->output);
  g_clear_handle_id (&self->patience, g_source_remove);
  hypha_hard_close (self->fd);
  g_object_unref (self->peer);
  g_free (self->service);
  g_free (self->said);
  g_free (self->line);
  g_free (self->next);
  g_free (self);
}

static void
drop (HyphaSeat *self)
{
  hypha_audience_drop (self->audience, self);
}

static void
watch (HyphaSeat *self, GSource **source, GIOCondition condition, GUnixFDSourceFunc func)
{
  *source = g_unix_fd_source_new (self->fd, condition);
  g_source_set_callback (*source, G_SOURCE_FUNC (func), self, NULL);
  g_source_attach (*source, g_main_context_get_thread_default ());
}

/* ---- what it says ---- */

/* FALSE: it is cut off. A line is all that there may be, and no byte comes behind it. */
static gboolean
take_said (HyphaSeat *self, gsize n)
{
  const HyphaAudienceKind *kind = self->audience->kind;
  g_autofree char *said = NULL;
  const char *end = memchr (self->said + self->n_said, '\n', n);

  self->n_said += n;
  if (end == NULL)
    return self->n_said < kind->longest;
  if (end != self->said + self->n_said - 1)
    return FALSE;
  g_clear_handle_id (&self->patience, g_source_remove);
  said = g_steal_pointer (&self->said);
  said[self->n_said - 1] = '\0';
  self->settled = kind->asked (self, said, self->n_said - 1, self->audience->user_data);
  return self->settled;
}

/* Who has said what there is to say has nothing more to say; who has closed his direction may still
 * listen. */
static gboolean
on_input (int fd, GIOCondition condition, gpointer data)
{
  HyphaSeat *self = data;
  char byte;
  char *place = self->said != NULL ? self->said + self->n_said : &byte;
  gsize room = self->said != NULL ? self->audience->kind->longest - self->n_said : 1;
  gboolean gone = self->said == NULL && (condition & (G_IO_HUP | G_IO_ERR)) != 0;
  gssize n = gone ? 1 : recv (fd, place, room, MSG_DONTWAIT);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n > 0 && self->said != NULL && take_said (self, (gsize) n))
    return G_SOURCE_CONTINUE;
  if (n == 0 && self->said == NULL) {
    hypha_clear_source (&self->input);
    watch (self, &self->input, G_IO_HUP | G_IO_ERR, on_input);
  } else {
    drop (self);
  }
  return G_SOURCE_REMOVE;
}

static gboolean
on_patience (gpointer data)
{
  HyphaSeat *self = data;

  self->patience = 0;
  drop (self);
  return G_SOURCE_REMOVE;
}

/* ---- what it is told ---- */

static void write_on (HyphaSeat *self);

static gboolean
on_output (int fd, GIOCondition condition, gpointer data)
{
  HyphaSeat *self = data;

  hypha_clear_source (&self->output);
  write_on (self);
  return G_SOURCE_REMOVE;
}

/* May end SELF. */
static void
write_on (HyphaSeat *self)
{
  while (self->line != NULL) {
    gsize left = strlen (self->line + self->written);
    gssize n = send (self->fd, self->line + self->written, left, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN) {
      watch (self, &self->output, G_IO_OUT, on_output);
      return;
    }
    if (n < 0) {
      drop (self);
      return;
    }
    self->written += (gsize) n;
    if ((gsize) n < left)
      continue;
    g_free (self->line);
    self->line = g_steal_pointer (&self->next);
    self->written = 0;
  }
}

/**
 * hypha_seat_tell: (skip)
 * @self: a stream
 * @line: with its end
 *
 * Writes a line, now or as soon as the one before has been taken; of several that wait, the last.
 * If nobody reads any more, @self ends.
 */
void
hypha_seat_tell (HyphaSeat *self, const char *line)
{
  if (self->line != NULL) {
    g_free (self->next);
    self->next = g_strdup (line);
    return;
  }
  self->line = g_strdup (line);
  write_on (self);
}

/* ---- who there is ---- */

/* Counted for each, so that none can take the places of the others. */
static gboolean
is_full (HyphaAudience *self, HyphaNodePeer *peer)
{
  GHashTableIter iter;
  gpointer seat;
  guint n = 0;

  g_hash_table_iter_init (&iter, self->seats);
  while (g_hash_table_iter_next (&iter, &seat, NULL))
    n += ((HyphaSeat *) seat)->peer == peer;
  return n >= self->kind->of_a_peer || g_hash_table_size (self->seats) >= self->kind->of_all;
}

/* All are taken. */
static HyphaSeat *
add (HyphaAudience *self, HyphaNodePeer *peer, char *service, int fd)
{
  HyphaSeat *seat = g_new0 (HyphaSeat, 1);

  seat->audience = self;
  seat->peer = peer;
  seat->service = service;
  seat->fd = fd;
  seat->settled = self->kind->longest == 0;
  if (!seat->settled) {
    seat->said = g_malloc (self->kind->longest);
    seat->patience = g_timeout_add (PATIENCE_MS, on_patience, seat);
  }
  g_hash_table_add (self->seats, seat);
  watch (seat, &seat->input, G_IO_IN, on_input);
  return seat;
}

/**
 * hypha_audience_admit: (skip)
 * @self: an audience
 * @incoming: (transfer full): a stream that was not answered
 *
 * Takes the stream, or refuses it: as busy when there are too many, of its peer or of all.
 *
 * Returns: (transfer none) (nullable): the stream
 */
HyphaSeat *
hypha_audience_admit (HyphaAudience *self, HyphaIncoming *incoming)
{
  HyphaNodePeer *peer = hypha_incoming_get_peer (incoming);
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  char *service;
  int fd;

  if (is_full (self, peer)) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
    return NULL;
  }
  stream = hypha_incoming_make_stream (incoming, &error);
  fd = stream != NULL ? hypha_stream_steal_fd (stream) : -1;
  if (fd < 0) {
    g_message ("service '%s': %s", hypha_incoming_get_service (incoming),
               error != NULL ? error->message : g_strerror (errno));
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return NULL;
  }
  g_object_ref (peer);
  service = g_strdup (hypha_incoming_get_service (incoming));
  hypha_incoming_accept_made (incoming);
  return add (self, peer, service, fd);
}

/**
 * hypha_audience_is_empty: (skip)
 * @self: an audience
 *
 * Returns: %TRUE if nobody is there
 */
gboolean
hypha_audience_is_empty (HyphaAudience *self)
{
  return g_hash_table_size (self->seats) == 0;
}

/**
 * hypha_audience_list: (skip)
 * @self: an audience
 *
 * Returns: (transfer container): the streams that there are now
 */
GPtrArray *
hypha_audience_list (HyphaAudience *self)
{
  GPtrArray *list = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer seat;

  g_hash_table_iter_init (&iter, self->seats);
  while (g_hash_table_iter_next (&iter, &seat, NULL))
    g_ptr_array_add (list, seat);
  return list;
}

/**
 * hypha_audience_drop: (skip)
 * @self: an audience
 * @seat: one of its streams
 *
 * Ends the stream.
 */
void
hypha_audience_drop (HyphaAudience *self, HyphaSeat *seat)
{
  /* It is not there any more when it is told that it leaves. */
  g_hash_table_steal (self->seats, seat);
  seat_free (seat);
}

/**
 * hypha_audience_drop_all: (skip)
 * @self: an audience
 *
 * Ends all streams.
 */
void
hypha_audience_drop_all (HyphaAudience *self)
{
  g_autoptr (GPtrArray) seats = hypha_audience_list (self);

  for (guint i = 0; i < seats->len; i++)
    hypha_audience_drop (self, seats->pdata[i]);
}

/**
 * hypha_audience_new: (skip)
 * @kind: (transfer none): how they are; it lives as long
 * @user_data: for what @kind calls
 *
 * Returns: (transfer full): an audience that is empty
 */
HyphaAudience *
hypha_audience_new (const HyphaAudienceKind *kind, gpointer user_data)
{
  HyphaAudience *self = g_new0 (HyphaAudience, 1);

  self->kind = kind;
  self->user_data = user_data;
  self->seats = g_hash_table_new (NULL, NULL);
  return self;
}

/**
 * hypha_audience_free: (skip)
 * @self: (transfer full): an audience
 */
void
hypha_audience_free (HyphaAudience *self)
{
  hypha_audience_drop_all (self);
  g_hash_table_unref (self->seats);
  g_free (self);
}

/* ---- one of them ---- */

/**
 * hypha_seat_get_peer: (skip)
 * @self: a stream
 *
 * Returns: (transfer none): whose it is
 */
HyphaNodePeer *
hypha_seat_get_peer (HyphaSeat *self)
{
  return self->peer;
}

/**
 * hypha_seat_get_service: (skip)
 * @self: a stream
 *
 * Returns: the name of the service, as its peer asked for it
 */
const char *
hypha_seat_get_service (HyphaSeat *self)
{
  return self->service;
}

/**
 * hypha_seat_set_data: (skip)
 * @self: a stream
 * @data: what belongs to it
 */
void
hypha_seat_set_data (HyphaSeat *self, gpointer data)
{
  self->data = data;
}

/**
 * hypha_seat_get_data: (skip)
 * @self: a stream
 *
 * Returns: (transfer none) (nullable): what belongs to it
 */
gpointer
hypha_seat_get_data (HyphaSeat *self)
{
  return self->data;
}
