/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/port-teller.h"

#include <errno.h>
#include <glib-unix.h>
#include <hypha-source.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/hard-close.h"
#include "service/ports.h"

/* There is no event for a socket that begins to listen. */
#define LOOK_SECONDS 1

struct _HyphaPortTeller {
  HyphaPorts *ports;
  char *line; /* what is told; NULL before the first look */
  GHashTable *hearers;
  guint timer; /* while there are hearers */
  gboolean failed;
};

/* One stream. What is not taken in time is not kept for it: the next that it gets is the latest. */
typedef struct {
  HyphaPortTeller *teller;
  HyphaNodePeer *peer;
  char *service; /* as it was asked for */
  int fd;
  GSource *input, *output;
  char *line; /* that is being written */
  gsize written;
  gboolean stale; /* there is another line by now */
} Hearer;

static void
hearer_free (gpointer data)
{
  Hearer *self = data;

  hypha_clear_source (&self->input);
  hypha_clear_source (&self->output);
  hypha_hard_close (self->fd);
  g_object_unref (self->peer);
  g_free (self->service);
  g_free (self->line);
  g_free (self);
}

static void
drop (Hearer *self)
{
  HyphaPortTeller *teller = self->teller;

  g_hash_table_remove (teller->hearers, self);
  if (g_hash_table_size (teller->hearers) == 0)
    g_clear_handle_id (&teller->timer, g_source_remove);
}

static void
watch (Hearer *self, GSource **source, GIOCondition condition, GUnixFDSourceFunc func)
{
  *source = g_unix_fd_source_new (self->fd, condition);
  g_source_set_callback (*source, G_SOURCE_FUNC (func), self, NULL);
  g_source_attach (*source, g_main_context_get_thread_default ());
}

/* Nobody has anything to say here; who has closed his direction may still listen. */
static gboolean
on_input (int fd, GIOCondition condition, gpointer data)
{
  Hearer *self = data;
  char byte;
  gssize n = (condition & (G_IO_HUP | G_IO_ERR)) == 0 ? recv (fd, &byte, 1, MSG_DONTWAIT) : 1;

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n == 0) {
    hypha_clear_source (&self->input);
    watch (self, &self->input, G_IO_HUP | G_IO_ERR, on_input);
  } else {
    drop (self);
  }
  return G_SOURCE_REMOVE;
}

static void write_on (Hearer *self);

static gboolean
on_output (int fd, GIOCondition condition, gpointer data)
{
  Hearer *self = data;

  hypha_clear_source (&self->output);
  write_on (self);
  return G_SOURCE_REMOVE;
}

static void
begin (Hearer *self)
{
  g_free (self->line);
  self->line = g_strdup (self->teller->line);
  self->written = 0;
  self->stale = FALSE;
}

/* May end SELF. */
static void
write_on (Hearer *self)
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
    g_clear_pointer (&self->line, g_free);
    if (self->stale)
      begin (self);
  }
}

/* ---- looking ---- */

/* FALSE: the kernel does not tell, and the last list is the best there is. */
static gboolean
look (HyphaPortTeller *self, gboolean *changed)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  HyphaPortSet now;
  gboolean good = hypha_ports_look (self->ports, &now, &error);

  if (good)
    line = hypha_port_set_to_line (&now);
  else if (!self->failed)
    g_message ("ports: %s", error->message);
  self->failed = !good;
  *changed = good && g_strcmp0 (line, self->line) != 0;
  if (*changed) {
    g_free (self->line);
    self->line = g_steal_pointer (&line);
  }
  return good;
}

static gboolean
on_time (gpointer data)
{
  HyphaPortTeller *self = data;
  g_autofree gpointer *hearers = NULL;
  gboolean changed;
  guint n;

  look (self, &changed);
  if (!changed)
    return G_SOURCE_CONTINUE;
  hearers = g_hash_table_get_keys_as_array (self->hearers, &n);
  for (guint i = 0; i < n; i++) {
    Hearer *hearer = hearers[i];

    if (hearer->line != NULL) {
      hearer->stale = TRUE;
      continue;
    }
    begin (hearer);
    write_on (hearer);
  }
  /* When the last of them has gone, the timer is gone as well. */
  return self->timer != 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- streams ---- */

/* Counted for each, so that none can take the places of the others. */
static guint
count_hearers (HyphaPortTeller *self, HyphaNodePeer *peer)
{
  GHashTableIter iter;
  gpointer hearer;
  guint n = 0;

  g_hash_table_iter_init (&iter, self->hearers);
  while (g_hash_table_iter_next (&iter, &hearer, NULL))
    n += ((Hearer *) hearer)->peer == peer;
  return n;
}

/* All but SELF are taken. */
static void
add (HyphaPortTeller *self, HyphaNodePeer *peer, char *service, int fd)
{
  Hearer *hearer = g_new0 (Hearer, 1);

  hearer->teller = self;
  hearer->peer = peer;
  hearer->service = service;
  hearer->fd = fd;
  g_hash_table_add (self->hearers, hearer);
  if (self->timer == 0)
    self->timer = g_timeout_add_seconds (LOOK_SECONDS, on_time, self);
  watch (hearer, &hearer->input, G_IO_IN, on_input);
  begin (hearer);
  write_on (hearer);
}

/**
 * hypha_port_teller_serve: (skip)
 * @self: who tells
 * @incoming: a stream that was not answered
 *
 * Takes the stream and tells it, or refuses it: as busy when its peer has many already, as refused
 * when the kernel does not say which ports there are; the log says why.
 */
void
hypha_port_teller_serve (HyphaPortTeller *self, HyphaIncoming *incoming)
{
  HyphaNodePeer *peer = hypha_incoming_get_peer (incoming);
  g_autoptr (HyphaStream) stream = NULL;
  g_autoptr (GError) error = NULL;
  gboolean changed;
  char *service;
  int fd;

  if (count_hearers (self, peer) >= HYPHA_PORT_TELLER_MAX) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_BUSY);
    return;
  }
  /* Those who are there hear of a change at the next look. */
  if (g_hash_table_size (self->hearers) == 0 && !look (self, &changed)) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return;
  }
  stream = hypha_incoming_make_stream (incoming, &error);
  fd = stream != NULL ? hypha_stream_steal_fd (stream) : -1;
  if (fd < 0) {
    g_message ("service '%s': %s", hypha_incoming_get_service (incoming),
               error != NULL ? error->message : g_strerror (errno));
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return;
  }
  g_object_ref (peer);
  service = g_strdup (hypha_incoming_get_service (incoming));
  hypha_incoming_accept_made (incoming);
  add (self, peer, service, fd);
}

/**
 * hypha_port_teller_review: (skip)
 * @self: who tells
 * @may: asked of each stream
 * @user_data: for @may
 *
 * Ends the streams of which @may says no: who has one would be told for ever.
 */
void
hypha_port_teller_review (HyphaPortTeller *self, HyphaPortTellerMay may, gpointer user_data)
{
  g_autofree gpointer *hearers = NULL;
  guint n;

  hearers = g_hash_table_get_keys_as_array (self->hearers, &n);
  for (guint i = 0; i < n; i++) {
    Hearer *hearer = hearers[i];

    if (!may (hearer->peer, hearer->service, user_data))
      drop (hearer);
  }
}

/* ---- life ---- */

/**
 * hypha_port_teller_stop: (skip)
 * @self: who tells
 *
 * Ends the streams, which would never end by themselves.
 */
void
hypha_port_teller_stop (HyphaPortTeller *self)
{
  g_hash_table_remove_all (self->hearers);
  g_clear_handle_id (&self->timer, g_source_remove);
}

/**
 * hypha_port_teller_new: (skip)
 *
 * Returns: (transfer full): who tells nobody yet
 */
HyphaPortTeller *
hypha_port_teller_new (void)
{
  HyphaPortTeller *self = g_new0 (HyphaPortTeller, 1);

  self->ports = hypha_ports_new ();
  self->hearers = g_hash_table_new_full (NULL, NULL, hearer_free, NULL);
  return self;
}

/**
 * hypha_port_teller_free: (skip)
 * @self: (transfer full): who tells
 */
void
hypha_port_teller_free (HyphaPortTeller *self)
{
  hypha_port_teller_stop (self);
  g_hash_table_unref (self->hearers);
  hypha_ports_free (self->ports);
  g_free (self->line);
  g_free (self);
}
