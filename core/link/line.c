/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/line.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_MAX 16384 /* of TLS 1.3 */
#define PIECES 256       /* a system call */
#define RECORDS 64       /* read at a time, however small: others have their turn */

static HyphaLineResult
from_errno (const char *what, int number, GError **error)
{
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR)
    return HYPHA_LINE_AGAIN;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("Cannot %s: %s"), what,
               g_strerror (number));
  return HYPHA_LINE_ERROR;
}

static HyphaLineResult
read_plain (HyphaLine *self, guint8 *buffer, gsize size, gsize *n, GError **error)
{
  gssize got = recv (self->fd, buffer, size, 0);

  if (got < 0)
    return from_errno (_ ("read"), errno, error);
  *n = (gsize) got;
  self->drained = got > 0 && *n < size;
  return got == 0 ? HYPHA_LINE_EOF : HYPHA_LINE_DONE;
}

/* A record is 16 KiB at most: as many as there are, so that frames are parsed in large pieces too.
 */
static HyphaLineResult
read_tls (HyphaLine *self, guint8 *buffer, gsize size, gsize *n, GError **error)
{
  HyphaTlsResult result = HYPHA_TLS_DONE;

  for (guint i = 0;
       i < RECORDS && *n < size && !self->drained && !self->at_eof && self->ended == NULL; i++) {
    gsize got;

    result = hypha_tls_read (self->tls, buffer + *n, size - *n, &got, &self->ended);
    self->at_eof = result == HYPHA_TLS_EOF;
    if (result != HYPHA_TLS_DONE)
      break;
    *n += got;
    self->drained = hypha_tls_is_drained (self->tls);
  }
  if (*n > 0)
    return HYPHA_LINE_DONE;
  if (self->ended != NULL) {
    g_propagate_error (error, g_steal_pointer (&self->ended));
    return HYPHA_LINE_ERROR;
  }
  return self->at_eof ? HYPHA_LINE_EOF : HYPHA_LINE_AGAIN;
}

HyphaLineResult
hypha_line_read (HyphaLine *self, guint8 *buffer, gsize size, gsize *n, GError **error)
{
  *n = 0;
  self->drained = FALSE;
  if (self->tls != NULL)
    return read_tls (self, buffer, size, n, error);
  return read_plain (self, buffer, size, n, error);
}

static HyphaLineResult
write_plain (HyphaLine *self, const struct iovec *pieces, guint n_pieces, gsize *n, GError **error)
{
  struct msghdr message = { .msg_iov = (struct iovec *) pieces, .msg_iovlen = n_pieces };
  gssize sent = sendmsg (self->fd, &message, MSG_NOSIGNAL);

  if (sent < 0)
    return from_errno (_ ("write"), errno, error);
  *n = (gsize) sent;
  self->sent += (gsize) sent;
  return HYPHA_LINE_DONE;
}

/* Where the next byte of PIECES lies. */
typedef struct {
  const struct iovec *pieces;
  guint n, index;
  gsize inside;
} Cursor;

/* A full record from one piece as it lies there, or a record gathered from several in SPACE. */
static gsize
next_record (Cursor *cursor, guint8 *space, gsize max, const guint8 **record)
{
  gsize length = 0;

  *record = space;
  while (cursor->index < cursor->n && length < max) {
    const struct iovec *piece = &cursor->pieces[cursor->index];
    const guint8 *data = (const guint8 *) piece->iov_base + cursor->inside;
    gsize left = piece->iov_len - cursor->inside, here = MIN (left, max - length);

    if (here == max)
      *record = data;
    else
      memcpy (space + length, data, here);
    length += here;
    cursor->inside += here;
    if (cursor->inside == piece->iov_len) {
      cursor->index++;
      cursor->inside = 0;
    }
  }
  return length;
}

static HyphaLineResult
write_tls (HyphaLine *self, const struct iovec *pieces, guint n_pieces, gsize *n, GError **error)
{
  guint8 space[RECORD_MAX];
  gsize max = MIN (hypha_tls_record_max (self->tls), sizeof space), length;
  Cursor cursor = { pieces, n_pieces, 0, 0 };
  const guint8 *record;

  while ((length = next_record (&cursor, space, max, &record)) > 0) {
    gsize sent;
    HyphaTlsResult result = hypha_tls_write (self->tls, record, length, &sent, error);

    if (result == HYPHA_TLS_ERROR)
      return HYPHA_LINE_ERROR;
    if (result != HYPHA_TLS_DONE)
      break;
    *n += length;
  }
  return *n > 0 ? HYPHA_LINE_DONE : HYPHA_LINE_AGAIN;
}

HyphaLineResult
hypha_line_write (HyphaLine *self, const struct iovec *pieces, guint n_pieces, gsize *n,
                  GError **error)
{
  *n = 0;
  if (self->tls != NULL)
    return write_tls (self, pieces, n_pieces, n, error);
  return write_plain (self, pieces, n_pieces, n, error);
}

HyphaLineResult
hypha_line_flush (HyphaLine *self, GError **error)
{
  if (self->tls == NULL)
    return HYPHA_LINE_DONE;
  switch (hypha_tls_flush (self->tls, error)) {
  case HYPHA_TLS_DONE:
    return HYPHA_LINE_DONE;
  case HYPHA_TLS_ERROR:
    return HYPHA_LINE_ERROR;
  default:
    return HYPHA_LINE_AGAIN;
  }
}

HyphaLineResult
hypha_line_send (HyphaLine *self, HyphaOutput *output, gsize *written, GError **error)
{
  HyphaLineResult result = HYPHA_LINE_DONE;
  struct iovec pieces[PIECES];
  gsize all = 0;
  guint n;

  if (output->lost) {
    if (written != NULL)
      *written = 0;
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                         _ ("There is no memory for what has to be sent"));
    return HYPHA_LINE_ERROR;
  }
  while (result == HYPHA_LINE_DONE && (n = hypha_output_pieces (output, pieces, PIECES)) > 0) {
    gsize now;

    result = hypha_line_write (self, pieces, n, &now, error);
    hypha_output_consume (output, now);
    all += now;
  }
  if (written != NULL)
    *written = all;
  return result == HYPHA_LINE_DONE ? hypha_line_flush (self, error) : result;
}

guint64
hypha_line_get_sent (const HyphaLine *self)
{
  return self->tls != NULL ? hypha_tls_get_sent (self->tls) : self->sent;
}

void
hypha_line_bye (HyphaLine *self)
{
  if (self->tls != NULL)
    hypha_tls_bye (self->tls);
}

void
hypha_line_close (HyphaLine *self, gboolean bye)
{
  if (bye)
    hypha_line_bye (self);
  g_clear_pointer (&self->tls, hypha_tls_free);
  g_clear_error (&self->ended);
  if (self->fd >= 0)
    close (self->fd);
  self->fd = -1;
}
