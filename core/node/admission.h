/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/mailbox.h"
#include "node/dialler.h"

G_BEGIN_DECLS

/* Channels that are not links of anybody yet: handshakes under way, kept within limits, whoever
 * floods the door. Main thread; the handshakes themselves run on workers. */
typedef struct _HyphaAdmission HyphaAdmission;

/* One of them. */
typedef struct _HyphaCandidateLink HyphaCandidateLink;

typedef struct {
  /* The other end has proven who it is. Answer at once, by hypha_candidate_link_take, _reject or
   * _introduce. */
  void (*decide) (HyphaCandidateLink *candidate, gpointer user_data);
  /* It has shown a token instead. Answer at once, by hypha_candidate_link_take. */
  void (*direct) (HyphaCandidateLink *candidate, gpointer user_data);
  /* It came to nothing. DIALLER is nullable. */
  void (*failed) (HyphaDialler *dialler, const GError *error, gboolean tls_required,
                  gpointer user_data);
} HyphaAdmissionEvents;

typedef struct {
  guint max_handshakes, max_per_source;
} HyphaAdmissionLimits;

HyphaAdmission *hypha_admission_new (HyphaMailbox *mailbox, const HyphaAdmissionEvents *events,
                                     gpointer user_data);
/* The candidates must have gone: stop, then end the workers, then empty the mailbox. */
void hypha_admission_free (HyphaAdmission *self);
void hypha_admission_set_limits (HyphaAdmission *self, const HyphaAdmissionLimits *limits);
/* Begins a handshake on WORKER. PARAMETERS->initiator goes with DIALLER (nullable otherwise).
 * SOURCE: where one comes from that was handed over; NULL: where CHANNEL says. When
 * too many of those that were accepted are under way, one of them has to go, when there are too
 * many of its source, one of that: first those without a HELLO, of these one of the source that has
 * most, and among equals at random. When as many as may be under way are still to be turned out, or
 * twice as many and nobody else comes from there, CHANNEL is dropped instead.
 * FALSE: no handshake has begun; that is told as a failure, too. */
gboolean hypha_admission_begin (HyphaAdmission *self, HyphaChannel *channel,
                                const HyphaLinkParameters *parameters, const char *source,
                                HyphaDialler *dialler, HyphaWorker *worker, GError **error);
gboolean hypha_admission_is_crowded (
    HyphaAdmission *self); /* half full: be short with who says nothing */
/* Ends all that are under way: their instance is over. */
void hypha_admission_clear (HyphaAdmission *self);
void hypha_admission_stop (HyphaAdmission *self);
/* Of one that was taken: what it has shown led nowhere, a failed handshake like any other. */
void hypha_admission_tell (HyphaAdmission *self, const GError *error);

HyphaLink *hypha_candidate_link_get_link (HyphaCandidateLink *self);
HyphaDialler *hypha_candidate_link_get_dialler (HyphaCandidateLink *self); /* nullable */
HyphaLink *hypha_candidate_link_take (
    HyphaCandidateLink *self); /* frees SELF; the link is parked */
void hypha_candidate_link_reject (HyphaCandidateLink *self, HyphaRejectCode code);
/* A stranger answered, with whom we pair: sends AUTH, so that it sees our digits, and goes no
 * further. */
void hypha_candidate_link_introduce (HyphaCandidateLink *self, const HyphaHandshakeNumbers *mine);

G_END_DECLS
