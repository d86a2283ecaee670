/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdatomic.h>
#include <hypha-api.h>
#include "link/identity.h"

G_BEGIN_DECLS

/* The handshake of the design as a pure state machine: bytes in, bytes and verdicts out. No clock,
 * no descriptor; chance comes in with the parameters, so that a fuzzer replays. */
typedef struct _HyphaHandshake HyphaHandshake;

#define HYPHA_INSTANCE_BYTES 16
#define HYPHA_NONCE_BYTES 32
#define HYPHA_BINDING_BYTES 32
#define HYPHA_HANDSHAKE_MAX 4096                 /* bytes before authentication, each way */
#define HYPHA_FEATURE_PAIRING ((guint64) 1 << 0) /* a window for pairing is open */
#define HYPHA_FEATURE_DIRECT ((guint64) 1 << 1)  /* knows direct streams */
#define HYPHA_NAME_MAX 64                        /* bytes of UTF-8; no control characters */

typedef enum { HYPHA_LINK_PLAIN = 0, HYPHA_LINK_TLS = 1 } HyphaLinkClass;

typedef struct {
  guint8 bytes[HYPHA_INSTANCE_BYTES];
} HyphaInstance;

/* What each side tells of itself beside its identity. */
typedef struct {
  guint64 session_number;
  guint64 link_number;
  guint32 static_cost;
  char name[HYPHA_NAME_MAX + 1];
} HyphaHandshakeNumbers;

typedef enum {
  HYPHA_REJECT_NOT_TRUSTED = 1,
  HYPHA_REJECT_TLS_REQUIRED,
  HYPHA_REJECT_WRONG_ID,
  HYPHA_REJECT_ROLLED_BACK, /* with the highest session number known */
  HYPHA_REJECT_BUSY,
  HYPHA_REJECT_SELF,
  HYPHA_REJECT_VERSION,
  HYPHA_REJECT_STALE, /* a session number that has been overtaken: dial again */
} HyphaRejectCode;

typedef struct {
  HyphaIdentity *identity;
  HyphaInstance instance;
  HyphaLinkClass link_class;
  guint8 binding[HYPHA_BINDING_BYTES]; /* zeros for plain */
  guint8 nonce[HYPHA_NONCE_BYTES];     /* fresh for every handshake */
  guint64 features;                    /* offered, or taken where they are offered */
  _Atomic gboolean *untold;  /* responder only, borrowed; NULL: pair with everybody. Nobody
                                knows digits of this window yet: a REPLY that takes up
                                pairing clears it, and no other does so after it */
  const HyphaNodeId *wanted; /* initiator only; NULL: whoever answers */
  gboolean
      plain_refused; /* responder only: answer a HELLO of class plain by tls-required at once */
} HyphaHandshakeParameters;

typedef enum {
  HYPHA_HANDSHAKE_READING, /* give it bytes */
  HYPHA_HANDSHAKE_DECIDE,  /* the other's identity is proven (initiator: by REPLY, responder: by
                              AUTH): proceed or reject */
  HYPHA_HANDSHAKE_DONE,   /* ACCEPT was read (initiator) or is in the output (responder): bytes that
                             follow are frames */
  HYPHA_HANDSHAKE_FAILED, /* send what is in the output, then close */
} HyphaHandshakeState;

HyphaHandshake *hypha_handshake_new (gboolean initiator, const HyphaHandshakeParameters *parameters,
                                     GError **error);
void hypha_handshake_free (HyphaHandshake *self);
/* Takes up to LENGTH bytes, stops at the end of a message that changes the state; returns how many
 * it took. */
gsize hypha_handshake_receive (HyphaHandshake *self, const guint8 *data, gsize length);
HyphaHandshakeState hypha_handshake_get_state (HyphaHandshake *self);
const GError *hypha_handshake_get_error (HyphaHandshake *self); /* why it failed */
/* Bytes to send, taken away by the call; NULL if there are none. */
GBytes *hypha_handshake_take_output (HyphaHandshake *self);
/* In DECIDE: the initiator sends AUTH and reads on, the responder sends ACCEPT and is done. */
void hypha_handshake_proceed (HyphaHandshake *self, const HyphaHandshakeNumbers *mine);
/* In DECIDE: the responder says why, the initiator just fails with the code's error. */
void hypha_handshake_reject (HyphaHandshake *self, HyphaRejectCode code, guint64 highest);

/* From DECIDE on. The numbers: for the initiator only once DONE. */
const HyphaNodeId *hypha_handshake_get_peer (HyphaHandshake *self);
const HyphaInstance *hypha_handshake_get_peer_instance (HyphaHandshake *self);
const HyphaHandshakeNumbers *hypha_handshake_get_peer_numbers (HyphaHandshake *self);
guint64 hypha_handshake_get_fingerprint (HyphaHandshake *self);
guint64 hypha_handshake_get_features (HyphaHandshake *self); /* that both ends have */
guint hypha_handshake_get_digits (HyphaHandshake *self);     /* pairing: 0 to 999999 */
/* If the other side rejected: its code and number; 0 otherwise. */
HyphaRejectCode hypha_handshake_get_rejected (HyphaHandshake *self, guint64 *highest);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaHandshake, hypha_handshake_free)

G_END_DECLS
