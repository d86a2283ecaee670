/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/link-private.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_CLIENT_HELLO 0x16 /* a TLS record of type handshake; no HELLO begins like that */

gboolean
hypha_link_draw (HyphaLink *self, void *buffer, gsize size)
{
  if (getentropy (buffer, size) == 0)
    return TRUE;
  hypha_link_fail (self,
                   g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED,
                                _ ("The system gives no random numbers: %s"), g_strerror (errno)));
  return FALSE;
}

static void
start_handshake (HyphaLink *self)
{
  HyphaHandshakeParameters parameters = {
    .identity = self->parameters.identity,
    .instance = self->parameters.instance,
    .link_class = self->link_class,
    .features = self->parameters.pairing ? HYPHA_FEATURE_PAIRING | HYPHA_FEATURE_DIRECT
                                         : HYPHA_FEATURE_DIRECT,
    .untold = self->parameters.untold,
    .wanted = self->parameters.wanted,
    .plain_refused = !self->parameters.accept_plain,
  };
  GError *error = NULL;

  if (!hypha_link_draw (self, parameters.nonce, sizeof parameters.nonce))
    return;
  memcpy (parameters.binding, self->binding, sizeof self->binding);
  self->handshake = hypha_handshake_new (self->parameters.initiator, &parameters, &error);
  if (self->handshake == NULL) {
    hypha_link_fail (self, error);
    return;
  }
  self->stage = HYPHA_STAGE_HANDSHAKE;
  hypha_link_go_on_with_handshake (self);
}

static void
start_tls (HyphaLink *self)
{
  GError *error = NULL;

  self->line.tls = hypha_tls_new (self->line.fd, self->parameters.initiator, &error);
  if (self->line.tls == NULL) {
    hypha_link_fail (self, error);
    return;
  }
  self->stage = HYPHA_STAGE_TLS;
}

void
hypha_link_begin (HyphaLink *self)
{
  GBytes *binding = hypha_channel_get_binding (self->channel);

  self->link_class = HYPHA_LINK_PLAIN;
  if (binding != NULL) {
    self->link_class = HYPHA_LINK_TLS; /* the transport's own encryption is as good */
    memcpy (self->binding, g_bytes_get_data (binding, NULL), sizeof self->binding);
  }
  if (!self->parameters.initiator)
    self->stage = HYPHA_STAGE_FIRST_BYTE;
  else if (self->parameters.start_tls && binding == NULL)
    start_tls (self);
  else
    start_handshake (self);
}

gboolean
hypha_link_begins_with_preamble (HyphaLink *self)
{
  guint8 byte;

  return self->link_class == HYPHA_LINK_PLAIN && recv (self->line.fd, &byte, 1, MSG_PEEK) == 1 &&
         byte == HYPHA_PREAMBLE_FIRST_BYTE;
}

void
hypha_link_look_at_first_byte (HyphaLink *self)
{
  guint8 byte;
  gssize n = recv (self->line.fd, &byte, 1, MSG_PEEK);

  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    return;
  if (n < 0) {
    hypha_link_fail (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE, _ ("Cannot read: %s"),
                                        g_strerror (errno)));
    return;
  }
  if (n == 0) {
    hypha_link_fail (self, g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
                                                _ ("It was closed before a byte came")));
    return;
  }
  atomic_store (&self->spoken_to, TRUE);
  hypha_link_set_deadline (self, self->deadline);
  if (byte == HYPHA_PREAMBLE_FIRST_BYTE && self->link_class == HYPHA_LINK_PLAIN)
    self->stage = HYPHA_STAGE_PREAMBLE;
  else if (byte != TLS_CLIENT_HELLO)
    start_handshake (self);
  else if (self->link_class == HYPHA_LINK_PLAIN)
    start_tls (self);
  else
    hypha_link_fail (self,
                     g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
                                          _ ("The other end began TLS inside of a channel that "
                                             "is encrypted already")));
}

/* Not a byte more than the preamble has: what follows is the program's. */
void
hypha_link_read_preamble (HyphaLink *self)
{
  const gsize size = sizeof self->preamble;

  while (self->preamble_length < size) {
    gssize n = recv (self->line.fd, self->preamble + self->preamble_length,
                     size - self->preamble_length, 0);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n < 0) {
      hypha_link_fail (self, g_error_new (HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE, _ ("Cannot read: %s"),
                                          g_strerror (errno)));
      return;
    }
    self->preamble_length += (gsize) n;
    if (n == 0 || !hypha_preamble_check (self->preamble, self->preamble_length)) {
      hypha_link_fail (self,
                       g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
                                            n == 0 ? _ ("It was closed in the midst of a preamble")
                                                   : _ ("What it says is no handshake")));
      return;
    }
  }
  hypha_link_park (self);
}

void
hypha_link_go_on_with_tls (HyphaLink *self)
{
  GError *error = NULL;
  HyphaTlsResult result = hypha_tls_handshake (self->line.tls, &error);

  self->tls_waits_to_write = result == HYPHA_TLS_AGAIN_WRITE;
  if (result == HYPHA_TLS_ERROR) {
    hypha_link_fail (self, error);
    return;
  }
  if (result != HYPHA_TLS_DONE)
    return;
  hypha_tls_get_binding (self->line.tls, self->binding);
  self->link_class = HYPHA_LINK_TLS;
  start_handshake (self);
}

static void
send_output (HyphaLink *self)
{
  g_autoptr (GBytes) bytes = hypha_handshake_take_output (self->handshake);
  gconstpointer data;
  gsize length;

  if (bytes == NULL)
    return;
  if (!self->parameters.initiator)
    atomic_store (&self->heard, TRUE);
  /* The first message is the one that carries, or commits to, our nonce. */
  if (self->nonce_tick == 0)
    self->nonce_tick = hypha_nonce_clock_tick (self->parameters.clock);
  data = g_bytes_get_data (bytes, &length);
  hypha_output_append_bytes (&self->output, data, length);
  self->asked = hypha_link_now (self);
}

static void
handshake_failed (HyphaLink *self)
{
  self->rejected = hypha_handshake_get_rejected (self->handshake, &self->rejected_highest);
  hypha_link_fail_later (self, g_error_copy (hypha_handshake_get_error (self->handshake)));
}

/* By AUTH to the responder, by ACCEPT to the initiator. */
static void
numbers_known (HyphaLink *self)
{
  self->peer_numbers = *hypha_handshake_get_peer_numbers (self->handshake);
  self->fingerprint = hypha_handshake_get_fingerprint (self->handshake);
}

static void
peer_proven (HyphaLink *self)
{
  self->peer = *hypha_handshake_get_peer (self->handshake);
  self->peer_instance = *hypha_handshake_get_peer_instance (self->handshake);
  if (!self->parameters.initiator)
    numbers_known (self);
  if (hypha_handshake_get_features (self->handshake) & HYPHA_FEATURE_PAIRING)
    self->pairing = self->parameters.pairing;
  self->knows_direct = (hypha_handshake_get_features (self->handshake) & HYPHA_FEATURE_DIRECT) != 0;
  self->digits = hypha_handshake_get_digits (self->handshake);
  self->first_rtt = hypha_link_now (self) - self->asked;
  hypha_link_park (self);
}

void
hypha_link_go_on_with_handshake (HyphaLink *self)
{
  send_output (self);
  switch (hypha_handshake_get_state (self->handshake)) {
  case HYPHA_HANDSHAKE_READING:
    break;
  case HYPHA_HANDSHAKE_DECIDE:
    peer_proven (self);
    break;
  case HYPHA_HANDSHAKE_DONE:
    numbers_known (self);
    g_clear_pointer (&self->handshake, hypha_handshake_free);
    hypha_link_establish (self);
    break;
  case HYPHA_HANDSHAKE_FAILED:
    handshake_failed (self);
    break;
  }
}

gsize
hypha_link_take_handshake (HyphaLink *self, const guint8 *data, gsize length)
{
  gsize taken = hypha_handshake_receive (self->handshake, data, length);

  hypha_link_go_on_with_handshake (self);
  return taken;
}

/**
 * hypha_link_proceed: (skip)
 * @self: a parked link
 * @worker: the current worker, the one on which @self lives from now on
 * @mine: what this end tells of itself
 *
 * The other end is welcome.
 */
void
hypha_link_proceed (HyphaLink *self, HyphaWorker *worker, const HyphaHandshakeNumbers *mine)
{
  hypha_link_unpark (self, worker);
  hypha_handshake_proceed (self->handshake, mine);
}

/**
 * hypha_link_reject: (skip)
 * @self: a parked link
 * @worker: the current worker, the one on which @self is closed
 * @code: why
 * @highest: for %HYPHA_REJECT_ROLLED_BACK: the highest session number known
 *
 * The other end is not welcome: a responder tells it so. The link is closed with the error of
 * @code.
 */
void
hypha_link_reject (HyphaLink *self, HyphaWorker *worker, HyphaRejectCode code, guint64 highest)
{
  hypha_link_unpark (self, worker);
  hypha_handshake_reject (self->handshake, code, highest);
}
