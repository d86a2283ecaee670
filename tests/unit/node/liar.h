/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/frame.h"
#include "link/handshake.h"
#include "link/tls.h"

/* A peer that is no node: it does the real handshake with an identity of its own, and then says
 * whatever a test wants. Its functions run the default main context while they wait, for the node
 * that it talks to lives there. */
typedef struct {
  HyphaIdentity *identity;
  HyphaInstance instance;
  guint64 session_number, link_number; /* that it will name next; the latter rises by itself */
  gboolean frozen; /* the main context stands still while this one waits: only workers go on */
  gint64 until;    /* what it waits for has to come */
  gboolean deaf;   /* it does not answer pings */

  int fd; /* -1: none */
  HyphaTls *tls;
  HyphaHandshake *handshake; /* of this link: says how it ended */
  GByteArray *got;           /* read, and not looked at yet */
  gsize seen;                /* of which the last frame has so many bytes */
  gboolean cut;              /* the other end takes no more */
  HyphaAway closed, away;    /* what CLOSE and GOAWAY said over this link; 0: none came */
  guint64 other_session;     /* the other end's session number */
} Liar;

Liar *liar_new (HyphaIdentity *identity); /* takes IDENTITY */
void liar_free (Liar *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Liar, liar_free)

/* ---- channels: any that was there is closed ---- */

void liar_take (Liar *self, int fd); /* FD is taken */
/* To "unix:///path" or "tcp://127.0.0.1:port". */
void liar_dial (Liar *self, const char *endpoint);
void liar_hang_up (Liar *self);

/* ---- the handshake ---- */

void liar_start_tls (Liar *self); /* as a client */
/* As the one who dials, or the one who answers; FALSE: it failed, as liar->handshake tells. */
gboolean liar_meet (Liar *self, gboolean initiator);
/* Dials, meets (over TLS where it is not a Unix socket), and exchanges empty RESUMEs. */
void liar_join (Liar *self, const char *endpoint);

/* ---- bytes and frames ---- */

void liar_write (Liar *self, const void *data, gsize length);
void liar_send (Liar *self, const HyphaFrame *frame);
void liar_resume (Liar *self, gint64 opened, gint64 seen, const HyphaResumeEntry *entries, guint n);
/* Appends what liar_send() would send. */
void liar_spell (const HyphaFrame *frame, GByteArray *bytes);
/* The next frame, PING answered and left out; its data is good until the next call. FALSE: the
 * other end has closed. */
gboolean liar_next (Liar *self, HyphaFrame *frame);
/* Reads on to one of this type, which has to come; STREAM -1: of any. */
void liar_expect (Liar *self, HyphaFrameType type, gint64 stream, HyphaFrame *frame);
void liar_read_to_end (Liar *self); /* until the other end has closed */
/* Until all that was sent has been taken in: a PONG has come back. */
void liar_settle (Liar *self);
