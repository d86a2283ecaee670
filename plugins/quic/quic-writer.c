/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-writer.h"

#include <errno.h>
#include <string.h>

#define PIECES 8
/* What the kernel cuts at once. */
#define SEGMENTS 64
#define BURST_BYTES 65000

/* What the kernel did not take. */
typedef struct {
  QuicPath path;
  guint8 *data;
  gsize size, segment;
} Blocked;

/* Packets that go together: of one length, but for the last one, and one way. */
typedef struct {
  QuicPath path;
  guint8 *data;
  gsize size, segment;
} Batch;

static void
clear_blocked (gpointer blocked)
{
  g_free (((Blocked *) blocked)->data);
}

void
quic_writer_clear (QuicWriter *self)
{
  g_clear_pointer (&self->blocked, g_array_unref);
}

static void
keep (QuicWriter *self, const Batch *batch, gsize done)
{
  const Blocked blocked = { batch->path, g_memdup2 (batch->data + done, batch->size - done),
                            batch->size - done, batch->segment };

  if (self->blocked == NULL) {
    self->blocked = g_array_new (FALSE, FALSE, sizeof (Blocked));
    g_array_set_clear_func (self->blocked, clear_blocked);
  }
  g_array_append_val (self->blocked, blocked);
}

/* What cannot go at all is lost, as on the way: the connection will see to it. */
static void
send_batch (QuicWriter *self, Batch *batch, QuicSend send, gpointer port)
{
  gsize done = 0;
  int reason = EAGAIN;

  if (batch->size == 0)
    return;
  if (self->blocked == NULL)
    done = send (port, &batch->path, batch->data, batch->size, batch->segment, &reason);
  if (reason == EAGAIN)
    keep (self, batch, done);
  batch->size = 0;
}

static void
send_blocked (QuicWriter *self, QuicSend send, gpointer port)
{
  g_autoptr (GArray) waiting = g_steal_pointer (&self->blocked);

  for (guint i = 0; waiting != NULL && i < waiting->len; i++) {
    const Blocked *blocked = &g_array_index (waiting, Blocked, i);
    Batch batch = { blocked->path, blocked->data, blocked->size, blocked->segment };

    send_batch (self, &batch, send, port);
  }
}

static gboolean
is_about_the_stream (ngtcp2_ssize result)
{
  return result == NGTCP2_ERR_STREAM_DATA_BLOCKED || result == NGTCP2_ERR_STREAM_SHUT_WR ||
         result == NGTCP2_ERR_STREAM_NOT_FOUND;
}

/* 0: nothing may go. */
static ngtcp2_ssize
write_packet (QuicWriter *self, gboolean with_stream, guint8 *out, gsize size, ngtcp2_path *path,
              guint64 now)
{
  struct iovec pieces[PIECES];
  ngtcp2_vec vector[PIECES];
  ngtcp2_pkt_info info = { 0 };
  ngtcp2_ssize taken = -1, n;
  gsize waiting = 0;
  guint count = 0;
  gint64 stream = -1;
  gboolean end = FALSE;

  if (with_stream && self->stream >= 0 && !self->stopped) {
    count = quic_pipe_peek (self->pipe, pieces, PIECES, &waiting);
    end = quic_pipe_ends (self->pipe) && self->pipe->sent + waiting == self->pipe->up.end;
    if (waiting > 0 || end || !self->announced)
      stream = self->stream;
  }
  for (guint i = 0; i < count; i++)
    vector[i] = (ngtcp2_vec){ pieces[i].iov_base, pieces[i].iov_len };
  n = ngtcp2_conn_writev_stream (self->conn, path, &info, out, size, &taken,
                                 end ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE,
                                 stream, vector, stream >= 0 ? count : 0, now);
  if (taken >= 0) {
    self->announced = TRUE;
    quic_pipe_sent (self->pipe, (gsize) taken, end && (gsize) taken == waiting);
  }
  if (stream < 0 || !is_about_the_stream (n))
    return n;
  if (n != NGTCP2_ERR_STREAM_DATA_BLOCKED)
    self->stopped = TRUE;
  return write_packet (self, FALSE, out, size, path, now);
}

/* One more packet is behind what BATCH has, N bytes long. */
static void
add_packet (QuicWriter *self, Batch *batch, gsize n, const QuicPath *path, QuicSend send,
            gpointer port)
{
  if (batch->size > 0 && (n > batch->segment || !quic_path_equal (&batch->path, path))) {
    guint8 *begin = batch->data, *next = begin + batch->size;

    send_batch (self, batch, send, port);
    memmove (begin, next, n);
  }
  if (batch->size == 0) {
    batch->path = *path;
    batch->segment = n;
  }
  batch->size += n;
  if (n < batch->segment || batch->size + batch->segment > BURST_BYTES ||
      batch->size / batch->segment >= SEGMENTS)
    send_batch (self, batch, send, port);
}

int
quic_writer_flush (QuicWriter *self, guint8 *buffer, guint64 now, QuicSend send, gpointer port)
{
  const gsize room = ngtcp2_conn_get_max_tx_udp_payload_size (self->conn);
  const gsize quantum = MAX (ngtcp2_conn_get_send_quantum (self->conn), room);
  Batch batch = { .data = buffer };
  ngtcp2_path_storage storage;
  ngtcp2_ssize n = 0;
  gsize total = 0;

  send_blocked (self, send, port);
  ngtcp2_path_storage_zero (&storage);
  while (self->blocked == NULL && total < quantum) {
    QuicPath path;

    n = write_packet (self, TRUE, buffer + batch.size, room, &storage.path, now);
    if (n <= 0)
      break;
    if (quic_path_set (&path, &storage.path))
      add_packet (self, &batch, (gsize) n, &path, send, port);
    total += (gsize) n;
  }
  send_batch (self, &batch, send, port);
  ngtcp2_conn_update_pkt_tx_time (self->conn, now);
  return n < 0 ? (int) n : 0;
}
