/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quic-reply.h"

#include "quic-connection.h"
#include "quic-tls.h"

#define TOKEN_VALID (10 * NGTCP2_SECONDS)
/* RFC 9000, 10.3 and 14.1. */
#define INITIAL_MIN_BYTES 1200
#define RESET_MIN_BYTES (NGTCP2_STATELESS_RESET_TOKENLEN + 5)
#define RESET_MAX_BYTES 43

static gsize
get_length (ngtcp2_ssize result)
{
  return result > 0 ? (gsize) result : 0;
}

gsize
quic_reply_versions (guint8 *packet, const ngtcp2_version_cid *asked, gsize asked_size)
{
  guint32 versions[] = { 0, NGTCP2_PROTO_VER_V1 };
  guint8 noise[5];

  if (asked_size < INITIAL_MIN_BYTES)
    return 0;
  quic_tls_random (noise, sizeof noise);
  /* One that does not exist, so that nobody relies on the list (RFC 9000, 6.3). */
  versions[0] =
      ((guint32) noise[0] << 24 | (guint32) noise[1] << 16 | (guint32) noise[2] << 8 | noise[3]);
  versions[0] = (versions[0] & 0xf0f0f0f0) | NGTCP2_RESERVED_VERSION_MASK;
  return get_length (ngtcp2_pkt_write_version_negotiation (
      packet, QUIC_REPLY_BYTES, noise[4], asked->scid, asked->scidlen, asked->dcid, asked->dcidlen,
      versions, G_N_ELEMENTS (versions)));
}

gsize
quic_reply_reset (guint8 *packet, const ngtcp2_version_cid *asked, gsize asked_size,
                  const guint8 *secret)
{
  guint8 token[NGTCP2_STATELESS_RESET_TOKENLEN], noise[RESET_MAX_BYTES];
  gsize size = MIN (asked_size - 1, RESET_MAX_BYTES);
  ngtcp2_cid id;

  /* Always shorter than what it answers: two who do not know each other would go on for ever. */
  if (size < RESET_MIN_BYTES)
    return 0;
  ngtcp2_cid_init (&id, asked->dcid, asked->dcidlen);
  if (ngtcp2_crypto_generate_stateless_reset_token (token, secret, QUIC_SECRET_BYTES, &id) != 0)
    return 0;
  quic_tls_random (noise, sizeof noise);
  return get_length (ngtcp2_pkt_write_stateless_reset (packet, QUIC_REPLY_BYTES, token, noise,
                                                       size - sizeof token));
}

gsize
quic_reply_retry (guint8 *packet, const ngtcp2_pkt_hd *asked, const QuicAddress *remote,
                  guint64 now)
{
  guint8 token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
  ngtcp2_ssize size;
  ngtcp2_cid id;

  id.datalen = QUIC_ID_BYTES;
  quic_tls_random (id.data, id.datalen);
  size = ngtcp2_crypto_generate_retry_token (
      token, quic_tls_get_secret (), QUIC_SECRET_BYTES, asked->version, &remote->generic,
      quic_address_get_length (remote), &id, &asked->dcid, now);
  if (size <= 0)
    return 0;
  return get_length (ngtcp2_crypto_write_retry (packet, QUIC_REPLY_BYTES, asked->version,
                                                &asked->scid, &id, &asked->dcid, token,
                                                (size_t) size));
}

gsize
quic_reply_close (guint8 *packet, const ngtcp2_pkt_hd *asked, guint64 code)
{
  return get_length (ngtcp2_crypto_write_connection_close (
      packet, QUIC_REPLY_BYTES, asked->version, &asked->scid, &asked->dcid, code, NULL, 0));
}

QuicToken
quic_reply_check_token (const ngtcp2_pkt_hd *header, const QuicAddress *remote, guint64 now,
                        ngtcp2_cid *original)
{
  const guint8 *token = QUIC_TOKEN (header);
  gsize size = QUIC_TOKEN_LENGTH (header);

  /* One of another kind is not from here, and may as well be missing. */
  if (size == 0 || token[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
    return QUIC_TOKEN_NONE;
  if (ngtcp2_crypto_verify_retry_token (
          original, token, size, quic_tls_get_secret (), QUIC_SECRET_BYTES, header->version,
          &remote->generic, quic_address_get_length (remote), &header->dcid, TOKEN_VALID, now) == 0)
    return QUIC_TOKEN_GOOD;
  return QUIC_TOKEN_BAD;
}
