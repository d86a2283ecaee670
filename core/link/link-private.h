/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/line.h"
#include "link/link.h"
#include "link/output.h"

G_BEGIN_DECLS

/* What a link is made of, for link.c (its life), link-bytes.c (reading and writing),
 * link-handshake.c and link-frames.c. */

typedef enum {
  HYPHA_STAGE_NEW,
  HYPHA_STAGE_FIRST_BYTE, /* responder: TLS or HELLO? */
  HYPHA_STAGE_PREAMBLE,   /* responder: a direct stream */
  HYPHA_STAGE_TLS,
  HYPHA_STAGE_HANDSHAKE,
  HYPHA_STAGE_PARKED,
  HYPHA_STAGE_FRAMES,
  HYPHA_STAGE_CLOSING, /* what is in the output goes out, then it is closed */
  HYPHA_STAGE_CLOSED,
} HyphaLinkStage;

struct _HyphaLink {
  guint refs; /* the owner's, and one for each entry from outside that calls back */
  HyphaChannel *channel;
  HyphaLinkParameters parameters; /* wanted points to the copy below */
  HyphaNodeId wanted;
  HyphaLinkEvents events;
  gpointer user_data;

  HyphaLinkStage stage;
  HyphaWorker *worker; /* NULL: on none */
  HyphaWatch watch;
  HyphaTimer kick;  /* run again without waiting for the descriptor */
  HyphaTimer timer; /* a deadline, or the heartbeat */
  gint64 deadline;  /* of the whole handshake */
  gboolean tls_waits_to_write;
  gboolean deciding; /* decide is to be called as the last thing of this entry */

  HyphaLine line;
  HyphaOutput output;
  gboolean blocked;        /* the kernel takes no more for now */
  gboolean unacknowledged; /* what was sent last is nothing that the peer acknowledges */
  gboolean room_asked;     /* and there was none: writable is owed */
  guint8 *tail;            /* bytes read and not yet parsed; NULL: none */
  gsize tail_length;
  guint patience; /* work that frames may still make in this turn */
  GError *broken; /* why writing failed: told unless what can still be read tells more */
  HyphaAway away; /* the reason of the peer's GOAWAY; 0: none came */
  GError *ending; /* CLOSING: what closed will be called with */

  HyphaHandshake *handshake;
  _Atomic gboolean spoken_to; /* responder: a byte came; read by anybody */
  _Atomic gboolean heard;     /* responder: a HELLO was answered; read by anybody */
  gint64 asked, first_rtt;
  HyphaLinkClass link_class;
  guint8 binding[HYPHA_BINDING_BYTES];
  HyphaNodeId peer;
  HyphaInstance peer_instance;
  HyphaHandshakeNumbers peer_numbers;
  guint64 fingerprint;
  guint8 preamble[HYPHA_PREAMBLE_BYTES];
  gsize preamble_length; /* whole: its token is what decide is about */
  gboolean knows_direct;
  guint digits;
  guint pairing;
  guint64 nonce_tick;
  HyphaRejectCode rejected;
  guint64 rejected_highest;

  _Atomic guint32 static_cost; /* read by anybody */
  HyphaHeartbeat heartbeat;
  HyphaLinkStatus status;
};

/* link.c */
void hypha_link_fail (HyphaLink *self,
                      GError *error); /* takes ERROR, adds who the other end is; closed follows */
/* Says GOAWAY without the link, which has to be closed then. */
void hypha_link_part (HyphaLink *self, HyphaAway away);
void hypha_link_fail_later (HyphaLink *self, GError *error); /* once the output is gone */
void hypha_link_kick (HyphaLink *self); /* runs again without waiting for the descriptor */
void hypha_link_update_events (HyphaLink *self);
void hypha_link_park (HyphaLink *self);
void hypha_link_unpark (HyphaLink *self, HyphaWorker *worker);
void hypha_link_set_deadline (HyphaLink *self, gint64 due);
gint64 hypha_link_now (HyphaLink *self);

/* link-bytes.c */
gboolean hypha_link_is_reading (HyphaLink *self);
void hypha_link_read (HyphaLink *self);
void hypha_link_write_out (HyphaLink *self);
void hypha_link_offer_room (HyphaLink *self); /* if it was asked for, and there is */
/* The descriptor failed; during the handshake that is the handshake's failure. Takes ERROR. */
void hypha_link_line_failed (HyphaLink *self, GError *error);

/* link-handshake.c */
gboolean hypha_link_draw (HyphaLink *self, void *buffer,
                          gsize size); /* random bytes; FALSE: none, and the link has failed */
void hypha_link_begin (HyphaLink *self);
/* It lies there already. */
gboolean hypha_link_begins_with_preamble (HyphaLink *self);
void hypha_link_look_at_first_byte (HyphaLink *self);
void hypha_link_read_preamble (HyphaLink *self);
void hypha_link_go_on_with_tls (HyphaLink *self);
void hypha_link_go_on_with_handshake (
    HyphaLink *self); /* its state has changed, or it has something to say */
gsize hypha_link_take_handshake (HyphaLink *self, const guint8 *data, gsize length);

/* link-frames.c */
void hypha_link_establish (HyphaLink *self);
gsize hypha_link_take_frames (HyphaLink *self, const guint8 *data, gsize length);
void hypha_link_send_goaway (HyphaLink *self, HyphaAway away);
void hypha_link_beat (HyphaLink *self);
void hypha_link_ask_along (HyphaLink *self); /* a ping, behind what is about to be written */

G_END_DECLS
