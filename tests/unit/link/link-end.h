/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../gate.h"
#include "link/farewell.h"
#include "link/link.h"

/* A link with an owner that does what a test wants, and counts. Gates tell the test's thread; what
 * they guard is read after them. */
typedef struct {
  HyphaWorker *worker; /* on which it starts, and lives after decide */
  HyphaWorker *next;   /* NULL: the same */
  HyphaLink *link;
  HyphaHandshakeNumbers numbers;

  gboolean hold;          /* at decide: leave it parked */
  HyphaRejectCode reject; /* at decide: say no */
  guint64 highest;
  guint64 to_send; /* bytes, once established */
  guint close_at;  /* from within the callback of this frame (1: the first) */
  gboolean free_in_closed;

  guint64 sent, received;
  guint frames, batches;
  Gate decided, established, all_received, changed, suspected, closed, freed;
  GError *error;
} End;

static inline guint8
byte_at (guint64 offset)
{
  return (guint8) (offset * 29 + (offset >> 9));
}

static inline void
end_proceed (gpointer data)
{
  End *end = data;

  if (end->reject != 0)
    hypha_link_reject (end->link, end->worker, end->reject, end->highest);
  else
    hypha_link_proceed (end->link, end->worker, &end->numbers);
}

static inline void
end_decide (HyphaLink *link, gpointer user_data)
{
  End *end = user_data;

  if (end->next != NULL)
    end->worker = end->next;
  if (!end->hold)
    hypha_worker_post (end->worker, end_proceed, end);
  gate_open (&end->decided);
}

static inline void
end_send (End *end)
{
  while (end->sent < end->to_send && hypha_link_has_room (end->link)) {
    gsize length = MIN (1 + (end->sent * 7919) % HYPHA_FRAME_DATA_MAX, end->to_send - end->sent);
    HyphaChunk *chunk = hypha_chunk_new ((guint32) length);
    const HyphaFrame frame = {
      .type = HYPHA_FRAME_DATA,
      .stream = 2,
      .value = end->sent,
      .data = chunk->data,
      .length = length,
    };
    HyphaFrameOut out;

    for (gsize i = 0; i < length; i++)
      chunk->data[i] = byte_at (end->sent + i);
    chunk->used = (guint32) length;
    hypha_frame_write (&frame, chunk, &out);
    hypha_chunk_unref (chunk);
    hypha_link_send (end->link, &out);
    end->sent += length;
  }
  hypha_link_flush (end->link);
}

static inline void
end_established (HyphaLink *link, gpointer user_data)
{
  End *end = user_data;

  gate_open (&end->established);
  if (end->to_send > 0)
    end_send (end);
}

static inline void
end_writable (HyphaLink *link, gpointer user_data)
{
  end_send (user_data);
}

static inline void
end_frame (HyphaLink *link, const HyphaFrame *frame, gpointer user_data)
{
  End *end = user_data;

  end->frames++;
  if (end->frames == end->close_at) {
    hypha_link_close (link, HYPHA_AWAY_REQUESTED, HYPHA_ERROR_DISCONNECTED, "as the test wanted");
    return;
  }
  g_assert_cmpint (frame->type, ==, HYPHA_FRAME_DATA);
  g_assert_cmpuint (frame->value, ==, end->received);
  for (gsize i = 0; i < frame->length; i++)
    if (frame->data[i] != byte_at (frame->value + i))
      g_error ("byte %" G_GUINT64_FORMAT " is wrong", frame->value + i);
  end->received += frame->length;
  if (frame->flags & HYPHA_FRAME_FIN)
    gate_open (&end->all_received);
}

static inline void
end_batch (HyphaLink *link, gpointer user_data)
{
  End *end = user_data;

  end->batches++;
}

static inline void
end_changed (HyphaLink *link, gpointer user_data)
{
  End *end = user_data;

  gate_open (&end->changed);
  if (atomic_load (&((HyphaLinkStatus *) hypha_link_get_status (link))->suspect))
    gate_open (&end->suspected);
}

static inline void
end_closed (HyphaLink *link, const GError *error, gpointer user_data)
{
  End *end = user_data;

  g_assert_nonnull (error);
  g_assert_null (end->error);
  end->error = g_error_copy (error);
  if (end->free_in_closed)
    g_clear_pointer (&end->link, hypha_link_free);
  gate_open (&end->closed);
}

static inline void
end_start (gpointer data)
{
  End *end = data;

  hypha_link_start (end->link, end->worker);
}

static inline void
end_free_link (gpointer data)
{
  End *end = data;

  g_clear_pointer (&end->link, hypha_link_free);
  gate_open (&end->freed);
}

/* Parameters as most tests want them; patient, so that only what is tested happens. */
static inline HyphaLinkParameters
end_parameters (HyphaIdentity *identity, gboolean initiator, gboolean tls, HyphaNonceClock *clock)
{
  HyphaLinkParameters parameters = {
    .initiator = initiator,
    .identity = identity,
    .start_tls = tls,
    .accept_plain = !tls,
    .clock = clock,
    .static_cost = 10,
    .limits = { .ping_interval = 20 * G_USEC_PER_SEC,
                .link_timeout = 60 * G_USEC_PER_SEC,
                .first_byte_timeout = 20 * G_USEC_PER_SEC,
                .handshake_timeout = 20 * G_USEC_PER_SEC },
  };

  memset (parameters.instance.bytes, initiator ? 1 : 2, sizeof parameters.instance.bytes);
  return parameters;
}

/* FD is taken. BINDING: the transport encrypts by itself. */
static inline void
end_init (End *end, HyphaWorker *worker, int fd, const HyphaLinkParameters *parameters,
          GBytes *binding)
{
  static const HyphaLinkEvents events = {
    .decide = end_decide,
    .established = end_established,
    .frame = end_frame,
    .batch = end_batch,
    .writable = end_writable,
    .changed = end_changed,
    .closed = end_closed,
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaEndpoint) remote = hypha_endpoint_parse ("unix:@other-end", &error);
  g_autoptr (HyphaChannel) channel = NULL;

  g_assert_no_error (error);
  channel = hypha_channel_new (fd, NULL, remote, HYPHA_CHANNEL_KERNEL);
  if (binding != NULL)
    hypha_channel_set_binding (channel, binding);
  end->worker = worker;
  end->numbers =
      (HyphaHandshakeNumbers){ .session_number = 5, .link_number = 6, .static_cost = 10 };
  g_strlcpy (end->numbers.name, "end", sizeof end->numbers.name);
  gate_init (&end->decided);
  gate_init (&end->established);
  gate_init (&end->all_received);
  gate_init (&end->changed);
  gate_init (&end->suspected);
  gate_init (&end->closed);
  gate_init (&end->freed);
  end->link = hypha_link_new (channel, parameters, &error);
  g_assert_no_error (error);
  hypha_link_set_events (end->link, &events, end);
}

static inline void
end_go (End *end)
{
  hypha_worker_post (end->worker, end_start, end);
}

static inline void
end_clear (End *end)
{
  if (end->worker == NULL)
    return;
  hypha_worker_post (end->worker, end_free_link, end);
  gate_wait (&end->freed, 1);
  g_clear_error (&end->error);
}

/* Waits until it is closed, by this error, with a message that names the other end and holds TEXT.
 */
static inline void
end_expect_closed (End *end, HyphaError code, const char *text)
{
  gate_wait (&end->closed, 1);
  g_test_message ("%s", end->error->message);
  g_assert_error (end->error, HYPHA_ERROR, (int) code);
  g_assert_nonnull (strstr (end->error->message, text));
}

static inline HyphaWorker *
new_worker (const char *name)
{
  g_autoptr (GError) error = NULL;
  HyphaWorker *worker = hypha_worker_new (name, &error);

  g_assert_no_error (error);
  return worker;
}

static inline void
free_worker (HyphaWorker *worker)
{
  hypha_farewell_finish (worker);
  hypha_worker_free (worker);
}

static inline HyphaIdentity *
new_identity (void)
{
  g_autoptr (GError) error = NULL;
  HyphaIdentity *identity = hypha_identity_generate (&error);

  g_assert_no_error (error);
  return identity;
}

static inline void
make_pair (int fds[2])
{
  int result = socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);

  g_assert_cmpint (result, ==, 0);
}
