/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/admission.h"

#include <glib/gi18n-lib.h>
#include <gio/gio.h>

#include "node/telling.h"

#define TOO_MANY _ ("too many handshakes at once")

struct _HyphaAdmission {
  HyphaMailbox *mailbox;
  HyphaAdmissionEvents events;
  gpointer user_data;
  HyphaAdmissionLimits limits;
  GPtrArray *candidates; /* all of them */
  gboolean stopped;
  guint n_accepted;     /* those that came to us and have not proven who they are */
  guint n_evicted;      /* those that a worker has yet to let go */
  HyphaTelling telling; /* of failures, where people see them: a flood must not fill the log */
};

struct _HyphaCandidateLink {
  gatomicrefcount
      ref_count; /* one for the list, one for each eviction that a worker has yet to carry out */
  HyphaAdmission *admission;
  HyphaLink *link;
  HyphaWorker *worker;
  HyphaDialler *dialler; /* NULL: it came to us */
  char *source;
  guint source_hash;
  gboolean counted; /* in n_accepted */
  gboolean evicted;
  gboolean over;   /* evicted because its instance is */
  gboolean judged; /* the node has said what is to be said */
};

/* What one attacker can be without being many: an address, an IPv6 /64, a CID, a uid. */
static char *
source_of (HyphaChannel *channel)
{
  HyphaEndpoint *local = hypha_channel_get_local (channel);
  const char *scheme = local != NULL ? hypha_endpoint_get_scheme (local) : "";
  const char *host = hypha_channel_get_host (channel);
  g_autoptr (GInetAddress) address = host != NULL ? g_inet_address_new_from_string (host) : NULL;
  guint32 uid;

  if (address != NULL && g_inet_address_get_family (address) == G_SOCKET_FAMILY_IPV6 &&
      !g_inet_address_get_is_loopback (address)) {
    const guint8 *b = g_inet_address_to_bytes (address);

    return g_strdup_printf ("%s %02x%02x:%02x%02x:%02x%02x:%02x%02x", scheme, b[0], b[1], b[2],
                            b[3], b[4], b[5], b[6], b[7]);
  }
  if (hypha_channel_get_uid (channel, &uid))
    return g_strdup_printf ("%s uid %u", scheme, uid);
  /* Who is beyond the first that led it here is only told. */
  if (host != NULL && hypha_channel_get_flags (channel) & HYPHA_CHANNEL_RELAYED)
    return g_strdup_printf ("%s %.*s", scheme, (int) strcspn (host, "/"), host);
  return g_strdup_printf ("%s %s", scheme,
                          host != NULL    ? host
                          : local != NULL ? hypha_endpoint_get_rest (local)
                                          : "");
}

static void
uncount (HyphaCandidateLink *self)
{
  if (self->counted)
    self->admission->n_accepted--;
  self->counted = FALSE;
}

static void
candidate_unref (HyphaCandidateLink *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  g_clear_pointer (&self->link, hypha_link_free);
  g_free (self->source);
  g_free (self);
}

static void
candidate_remove (HyphaCandidateLink *self)
{
  uncount (self);
  self->admission->n_evicted -= self->evicted;
  g_ptr_array_remove_fast (self->admission->candidates, self);
  g_clear_pointer (&self->dialler, hypha_dialler_unref);
  candidate_unref (self);
}

/* ---- from the worker ---- */

typedef struct {
  HyphaCandidateLink *candidate;
  GError *error; /* NULL: decide */
} Note;

/* Whoever says anything may be a node that somebody misses, or a program that was given the wrong
 * address; a connection without a byte is a look at whether the port is open. That a link begins
 * plain and has to come again with TLS is no failure. */
static gboolean
is_worth_telling (HyphaCandidateLink *self, const GError *error)
{
  if (self->dialler != NULL || self->judged ||
      g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TLS_REQUIRED))
    return FALSE;
  return !self->over && (self->evicted || hypha_link_has_been_spoken_to (self->link));
}

/* What helps against ERROR, where it does not say so: before its HELLO, whatever the other end does
 * wrong, it need not be a node at all. */
static const char *
remedy_for (HyphaCandidateLink *self, const GError *error)
{
  gboolean strange = g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE) ||
                     g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);

  if (!strange || hypha_link_has_heard (self->link) || g_str_has_suffix (error->message, "?"))
    return "";
  return _ ("; is a node of Hypha there?");
}

static void
tell (HyphaAdmission *self, const GError *error, const char *remedy)
{
  g_autofree char *text =
      g_strconcat ("An incoming handshake failed: ", error->message, remedy, NULL);

  hypha_telling_tell (&self->telling, "", text, "incoming handshakes have failed");
}

static void
read_note (gpointer data)
{
  g_autofree Note *note = data;
  g_autoptr (GError) error = note->error;
  HyphaCandidateLink *self = note->candidate;
  HyphaAdmission *admission = self->admission;

  uncount (self);
  if (error != NULL) {
    const HyphaAdmissionEvents events = admission->events;
    gpointer user_data = admission->user_data;
    HyphaRejectCode code = hypha_link_get_rejected (self->link, NULL);
    g_autoptr (HyphaDialler) dialler = NULL;

    if (is_worth_telling (self, error) && !admission->stopped)
      tell (admission, error, remedy_for (self, error));
    dialler = g_steal_pointer (&self->dialler);
    /* First, for whoever is told may stop the node, and SELF would go with it. */
    candidate_remove (self);
    events.failed (dialler, error, code == HYPHA_REJECT_TLS_REQUIRED, user_data);
  } else if (self->evicted) {
    return; /* it is being closed, and that is told of */
  } else if (hypha_link_get_token (self->link) != NULL) {
    admission->events.direct (self, admission->user_data);
  } else {
    self->judged = TRUE;
    admission->events.decide (self, admission->user_data);
  }
}

static void
send_note (gpointer data)
{
  Note *note = data;

  hypha_mailbox_post (note->candidate->admission->mailbox, read_note, note);
}

static Note *
note_new (HyphaCandidateLink *self, const GError *error)
{
  Note *note = g_new (Note, 1);

  note->candidate = self;
  note->error = error != NULL ? g_error_copy (error) : NULL;
  return note;
}

static void
on_decide (HyphaLink *link, gpointer user_data)
{
  send_note (note_new (user_data, NULL));
}

/* The main thread will free LINK, which is still on this thread's stack: so tell it once that is
 * unwound. */
static void
on_closed (HyphaLink *link, const GError *error, gpointer user_data)
{
  HyphaCandidateLink *self = user_data;

  hypha_worker_post (self->worker, send_note, note_new (self, error));
}

/* Only whom we introduced ourselves to gets so far: it trusts this node, and not the other way
 * round. */
static void
on_established (HyphaLink *link, gpointer user_data)
{
  g_autofree char *id = hypha_node_id_to_string (hypha_link_get_peer (link));
  g_autofree char *reason =
      g_strdup_printf (_ ("Node %s was refused: not trusted: hyphactl trust %s NAME"), id, id);

  hypha_link_close (link, HYPHA_AWAY_NOT_TRUSTED, HYPHA_ERROR_NOT_TRUSTED, reason);
}

static const HyphaLinkEvents link_events = { .decide = on_decide,
                                             .established = on_established,
                                             .closed = on_closed };

/* ---- on the worker ---- */

static void
begin (gpointer data)
{
  HyphaCandidateLink *self = data;

  hypha_link_start (self->link, self->worker);
}

static void
evict (gpointer data)
{
  HyphaCandidateLink *self = data;

  if (self->over)
    hypha_link_close (self->link, HYPHA_AWAY_REQUESTED, HYPHA_ERROR_DISCONNECTED,
                      _ ("this life of the node has ended"));
  else
    hypha_link_close (self->link, HYPHA_AWAY_REQUESTED, HYPHA_ERROR_BUSY, TOO_MANY);
  candidate_unref (self);
}

static void
post_eviction (HyphaCandidateLink *self)
{
  if (self->evicted)
    return;
  self->evicted = TRUE;
  self->admission->n_evicted++;
  g_atomic_ref_count_inc (&self->ref_count);
  hypha_worker_post (self->worker, evict, self);
}

typedef struct {
  HyphaCandidateLink *candidate;
  HyphaRejectCode code;
} Refusal;

static void
refuse (gpointer data)
{
  g_autofree Refusal *refusal = data;

  hypha_link_reject (refusal->candidate->link, refusal->candidate->worker, refusal->code, 0);
}

/* ---- for the node ---- */

HyphaAdmission *
hypha_admission_new (HyphaMailbox *mailbox, const HyphaAdmissionEvents *events, gpointer user_data)
{
  HyphaAdmission *self = g_new0 (HyphaAdmission, 1);

  self->mailbox = mailbox;
  self->events = *events;
  self->user_data = user_data;
  self->candidates = g_ptr_array_new ();
  return self;
}

void
hypha_admission_free (HyphaAdmission *self)
{
  while (self->candidates->len > 0)
    candidate_remove (self->candidates->pdata[0]);
  g_ptr_array_unref (self->candidates);
  g_free (self);
}

void
hypha_admission_set_limits (HyphaAdmission *self, const HyphaAdmissionLimits *limits)
{
  self->limits = *limits;
}

gboolean
hypha_admission_is_crowded (HyphaAdmission *self)
{
  return self->n_accepted * 2 >= self->limits.max_handshakes;
}

static gboolean
is_of_source (const HyphaCandidateLink *self, const char *source, guint hash)
{
  return self->source_hash == hash && g_str_equal (self->source, source);
}

static guint
count_of_source (HyphaAdmission *self, const char *source, guint hash)
{
  guint n = 0;

  for (guint i = 0; i < self->candidates->len; i++) {
    HyphaCandidateLink *other = self->candidates->pdata[i];

    n += other->counted && is_of_source (other, source, hash);
  }
  return n;
}

/* Whom to drop: of SOURCE only, if there is one, and if SILENT only who has said no HELLO. Of those
 * whose source has the most under way, so that many sources do not keep out one that is alone; at
 * random, so that nobody can keep the others out by knocking in a rhythm. */
static HyphaCandidateLink *
find_victim (HyphaAdmission *self, const char *source, gboolean silent)
{
  guint hash = source != NULL ? g_str_hash (source) : 0, most = 0;
  HyphaCandidateLink *victim = NULL;
  gint32 n = 0;

  for (guint i = 0; i < self->candidates->len; i++) {
    HyphaCandidateLink *other = self->candidates->pdata[i];
    guint crowd;

    if (!other->counted || (source != NULL && !is_of_source (other, source, hash)) ||
        (silent && hypha_link_has_heard (other->link)))
      continue;
    crowd = source == NULL ? count_of_source (self, other->source, other->source_hash) : 1;
    if (crowd < most)
      continue;
    if (crowd > most)
      n = 0;
    most = crowd;
    n++;
    if (g_random_int_range (0, n) == 0)
      victim = other;
  }
  return victim;
}

static void
make_room (HyphaAdmission *self, const char *source)
{
  HyphaCandidateLink *victim = find_victim (self, source, TRUE);

  if (victim == NULL)
    victim = find_victim (self, source, FALSE);
  if (victim == NULL)
    return;
  uncount (victim);
  post_eviction (victim);
}

/* FALSE: those who were to make room are still in their places, for the flood comes faster than a
 * worker can turn it out. Each of them has a descriptor, so there is an end to waiting for it;
 * later for who comes from where nobody else does. */
static gboolean
find_room (HyphaAdmission *self, const char *source)
{
  guint n = count_of_source (self, source, g_str_hash (source));
  gboolean many = n >= self->limits.max_per_source;

  if (!many && self->n_accepted < self->limits.max_handshakes)
    return TRUE;
  if (self->n_evicted > 0 && self->n_evicted / (n == 0 ? 2 : 1) >= self->limits.max_handshakes)
    return FALSE;
  make_room (self, many ? source : NULL);
  return TRUE;
}

gboolean
hypha_admission_begin (HyphaAdmission *self, HyphaChannel *channel,
                       const HyphaLinkParameters *parameters, const char *known_source,
                       HyphaDialler *dialler, HyphaWorker *worker, GError **error)
{
  g_autofree char *source = known_source != NULL ? g_strdup (known_source) : source_of (channel);
  g_autoptr (GError) failure = NULL;
  HyphaCandidateLink *candidate;
  HyphaLink *link;

  if (!parameters->initiator && !find_room (self, source)) {
    failure = g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_BUSY, TOO_MANY);
    tell (self, failure, "");
  }
  link = failure == NULL ? hypha_link_new (channel, parameters, &failure) : NULL;
  if (link == NULL) {
    self->events.failed (dialler, failure, FALSE, self->user_data);
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  candidate = g_new0 (HyphaCandidateLink, 1);
  g_atomic_ref_count_init (&candidate->ref_count);
  candidate->admission = self;
  candidate->link = link;
  candidate->worker = worker;
  candidate->dialler = dialler != NULL ? hypha_dialler_ref (dialler) : NULL;
  candidate->source_hash = g_str_hash (source);
  candidate->source = g_steal_pointer (&source);
  candidate->counted = !parameters->initiator;
  self->n_accepted += candidate->counted;
  g_ptr_array_add (self->candidates, candidate);
  hypha_link_set_events (link, &link_events, candidate);
  hypha_worker_do (worker, begin, candidate);
  return TRUE;
}

void
hypha_admission_clear (HyphaAdmission *self)
{
  for (guint i = 0; i < self->candidates->len; i++) {
    HyphaCandidateLink *candidate = self->candidates->pdata[i];

    /* A worker may be about to carry out an eviction for another reason. */
    if (!candidate->evicted)
      candidate->over = TRUE;
    post_eviction (candidate);
  }
}

void
hypha_admission_stop (HyphaAdmission *self)
{
  self->stopped = TRUE;
  for (guint i = 0; i < self->candidates->len; i++)
    post_eviction (self->candidates->pdata[i]);
}

HyphaLink *
hypha_candidate_link_get_link (HyphaCandidateLink *self)
{
  return self->link;
}

HyphaDialler *
hypha_candidate_link_get_dialler (HyphaCandidateLink *self)
{
  return self->dialler;
}

HyphaLink *
hypha_candidate_link_take (HyphaCandidateLink *self)
{
  HyphaLink *link = g_steal_pointer (&self->link);

  candidate_remove (self);
  return link;
}

void
hypha_admission_tell (HyphaAdmission *self, const GError *error)
{
  if (!self->stopped)
    tell (self, error, "");
}

void
hypha_candidate_link_reject (HyphaCandidateLink *self, HyphaRejectCode code)
{
  Refusal *refusal = g_new (Refusal, 1);

  refusal->candidate = self;
  refusal->code = code;
  hypha_worker_post (self->worker, refuse, refusal);
}

typedef struct {
  HyphaCandidateLink *candidate;
  HyphaHandshakeNumbers mine;
} Introduction;

static void
introduce (gpointer data)
{
  g_autofree Introduction *introduction = data;

  hypha_link_proceed (introduction->candidate->link, introduction->candidate->worker,
                      &introduction->mine);
}

void
hypha_candidate_link_introduce (HyphaCandidateLink *self, const HyphaHandshakeNumbers *mine)
{
  Introduction *introduction = g_new (Introduction, 1);

  introduction->candidate = self;
  introduction->mine = *mine;
  hypha_worker_post (self->worker, introduce, introduction);
}
