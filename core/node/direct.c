/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/direct.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib/gi18n-lib.h>
#include <glib/gstdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loader/dial.h"
#include "node/early-tokens.h"
#include "node/node-link-private.h"
#include "node/node-peer-private.h"
#include "session/session.h"

/* The first byte of a ticket: who dials; the token follows. */
enum { DIALLED_BY_OPENER = 1, DIALLED_BY_ACCEPTOR = 2 };
G_STATIC_ASSERT (HYPHA_TICKET_BYTES == 1 + HYPHA_TOKEN_BYTES);

/* So many channels to one peer are dialled before it has answered the OPEN, or they would crowd out
 * handshakes at the other end. */
#define MAX_EARLY 4

struct _HyphaDirects {
  HyphaLoader *loader;
  HyphaTokenRefusedFunc refused;
  gpointer user_data;
  guint timeout_ms;
  GPtrArray *all; /* of HyphaDirect that have not completed, not owned */
  HyphaEarlyTokens *early;
};

struct _HyphaDirect {
  HyphaDirects *directs;
  HyphaNodePeer *peer;
  guint8 ticket[HYPHA_TICKET_BYTES];
  gboolean opener;
  gboolean expected;          /* the other end dials, and has not shown the token yet */
  int fd;                     /* -1: not there yet */
  gboolean early;             /* opener: it was dialled before the other end had answered */
  gboolean accepted;          /* opener: the other end expects the token */
  HyphaDirectTriedFunc tried; /* NULL: has been called */
  gboolean taken; /* opener: the other end's service has taken it; acceptor: not asked */
  guint timer;
  GCancellable *dialling;
  HyphaDirectFunc func; /* NULL: has been called */
  gpointer user_data;
};

static const guint8 *
token_of (HyphaDirect *self)
{
  return self->ticket + 1;
}

static gboolean
dials (HyphaDirect *self)
{
  return self->ticket[0] == (self->opener ? DIALLED_BY_OPENER : DIALLED_BY_ACCEPTOR);
}

/* ---- the links beside which it can be ---- */

gboolean
hypha_direct_check_link (HyphaNodeLink *mirror, GError **error)
{
  HyphaLink *link = mirror != NULL ? hypha_node_link_get_link (mirror) : NULL;
  const char *trouble = NULL;

  if (link == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                         _ ("there is no link to the peer: hyphactl connect ENDPOINT makes one"));
    return FALSE;
  }
  if (hypha_link_get_class (link) != HYPHA_LINK_PLAIN)
    trouble = _ ("is encrypted");
  else if (!(hypha_channel_get_flags (hypha_link_get_channel (link)) & HYPHA_CHANNEL_KERNEL))
    trouble = _ ("is not one socket of the kernel's");
  else if (!hypha_link_knows_direct (link))
    trouble = _ ("leads to a node that does not know direct streams");
  if (trouble != NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
                 _ ("a direct stream needs a plain link over a kernel socket; the one in use, over "
                    "%s, %s: open it without 'direct', or see hyphactl explain"),
                 hypha_node_link_get_transport (mirror), trouble);
  return trouble == NULL;
}

static gboolean
same_number (gboolean has_a, guint32 a, gboolean has_b, guint32 b)
{
  return has_a == has_b && (!has_a || a == b);
}

/* Whatever kernel and transport vouch for of LINK's channel, they vouch for of CHANNEL. */
static gboolean
is_like (HyphaChannel *channel, HyphaLink *link)
{
  HyphaChannel *other = hypha_link_get_channel (link);
  HyphaChannelFlags flags = hypha_channel_get_flags (other);
  guint32 uid_a = 0, uid_b = 0, cid_a = 0, cid_b = 0;
  gboolean has_uid_a = hypha_channel_get_uid (channel, &uid_a);
  gboolean has_uid_b = hypha_channel_get_uid (other, &uid_b);
  gboolean has_cid_a = hypha_channel_get_cid (channel, &cid_a);
  gboolean has_cid_b = hypha_channel_get_cid (other, &cid_b);

  return (hypha_channel_get_flags (channel) & flags) == flags &&
         hypha_channel_get_binding (channel) == NULL &&
         g_strcmp0 (hypha_channel_get_host (channel), hypha_channel_get_host (other)) == 0 &&
         same_number (has_uid_a, uid_a, has_uid_b, uid_b) &&
         same_number (has_cid_a, cid_a, has_cid_b, cid_b);
}

/* The cheapest that this side has dialled. */
static HyphaNodeLink *
find_dialled (HyphaNodePeer *peer)
{
  g_autoptr (GPtrArray) links = hypha_node_peer_dup_links (peer);
  HyphaNodeLink *best = NULL;

  for (guint i = 0; i < links->len; i++) {
    HyphaNodeLink *link = links->pdata[i];

    if (hypha_node_link_is_live (link) &&
        hypha_link_is_initiator (hypha_node_link_get_link (link)) &&
        hypha_direct_check_link (link, NULL) &&
        (best == NULL || hypha_node_link_get_cost (link) < hypha_node_link_get_cost (best)))
      best = link;
  }
  return best != NULL ? g_object_ref (best) : NULL;
}

/* CHANNEL came from where a link of PEER comes from that allows direct streams. */
static gboolean
comes_from (HyphaChannel *channel, HyphaNodePeer *peer)
{
  g_autoptr (GPtrArray) links = hypha_node_peer_dup_links (peer);

  for (guint i = 0; i < links->len; i++)
    if (hypha_node_link_is_up (links->pdata[i]) &&
        hypha_direct_check_link (links->pdata[i], NULL) &&
        is_like (channel, hypha_node_link_get_link (links->pdata[i])))
      return TRUE;
  return FALSE;
}

/* ---- its end ---- */

static void
stop_waiting (HyphaDirect *self)
{
  self->expected = FALSE;
  g_clear_handle_id (&self->timer, g_source_remove);
  if (self->dialling != NULL)
    g_cancellable_cancel (self->dialling);
}

/* FUNC may free SELF: it is the last thing that is done. */
static void
complete (HyphaDirect *self, int fd, const GError *error)
{
  HyphaDirectFunc func = self->func;

  stop_waiting (self);
  g_ptr_array_remove_fast (self->directs->all, self);
  self->func = NULL;
  if (func != NULL)
    func (self, fd, error, self->user_data);
  else if (fd >= 0)
    close (fd);
}

static void
complete_if_ready (HyphaDirect *self)
{
  if (self->fd < 0 || (self->opener && !self->taken))
    return;
  complete (self, g_steal_fd (&self->fd), NULL);
}

static void
arrived (HyphaDirect *self, int fd)
{
  self->fd = fd;
  /* What was shown too early may have to be shown again. */
  if (!self->opener || !dials (self) || self->accepted)
    stop_waiting (self);
  complete_if_ready (self);
}

static gboolean
timed_out (gpointer data)
{
  HyphaDirect *self = data;
  g_autoptr (GError) error = g_error_new (
      HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
      _ ("the channel of the direct stream did not come within %u ms"), self->directs->timeout_ms);

  self->timer = 0;
  complete (self, -1, error);
  return G_SOURCE_REMOVE;
}

/* The first attempt is over, or there is none. */
static void
tell_tried (HyphaDirect *self)
{
  HyphaDirectTriedFunc tried = self->tried;

  self->tried = NULL;
  if (tried != NULL)
    tried (self->user_data);
}

/* ---- dialling ---- */

/* What it takes to go on when the transport answers: DIRECT may be gone by then. */
typedef struct {
  HyphaDirect *direct;
  GCancellable *cancellable;
  HyphaNodeLink *link;
} Dial;

static void
dial_free (Dial *dial)
{
  g_object_unref (dial->cancellable);
  g_object_unref (dial->link);
  g_free (dial);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Dial, dial_free)

/* What nobody has written to yet takes a preamble whole. */
static gboolean
show_token (HyphaDirect *self, HyphaChannel *channel, GError **error)
{
  guint8 preamble[HYPHA_PREAMBLE_BYTES];
  gssize n;

  hypha_preamble_write (token_of (self), preamble);
  do
    n = send (hypha_channel_get_fd (channel), preamble, sizeof preamble, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n == (gssize) sizeof preamble)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("the channel of the direct stream was not taken: %s"),
               n < 0 ? g_strerror (errno) : _ ("it is full"));
  return FALSE;
}

/* CHANNEL is taken, whether it works or not. */
static gboolean
use_channel (HyphaDirect *self, HyphaChannel *channel, GError **error)
{
  G_GNUC_UNUSED g_autoptr (HyphaChannel) owned = channel;

  if (!show_token (self, channel, error))
    return FALSE;
  arrived (self, hypha_channel_steal_fd (channel));
  return TRUE;
}

static void
dialled (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Dial) dial = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaChannel) channel =
      hypha_loader_dial_finish (HYPHA_LOADER (source), result, &error);
  HyphaDirect *self = dial->direct;
  gboolean early;

  if (g_cancellable_is_cancelled (dial->cancellable))
    return; /* SELF has done with it, or is gone */
  early = self->opener && !self->accepted;
  g_clear_object (&self->dialling);
  if (channel == NULL)
    g_prefix_error (&error, "%s", _ ("the channel of the direct stream: "));
  else if (!is_like (channel, hypha_node_link_get_link (dial->link)))
    g_set_error_literal (&error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                         _ ("the channel of the direct stream leads elsewhere than the link"));
  else
    use_channel (self, g_steal_pointer (&channel), &error);
  if (early)
    tell_tried (self); /* where it failed, it comes again when it is time */
  else if (error != NULL)
    complete (self, -1, error);
}

static gboolean
start_dialling (HyphaDirect *self, GError **error)
{
  g_autoptr (HyphaNodeLink) link = find_dialled (self->peer);
  HyphaEndpoint *remote =
      link != NULL
          ? hypha_channel_get_remote (hypha_link_get_channel (hypha_node_link_get_link (link)))
          : NULL;
  Dial *dial;

  if (remote == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_OFFLINE,
                         _ ("the link beside which the direct stream was to be is gone"));
    return FALSE;
  }
  self->dialling = g_cancellable_new ();
  dial = g_new (Dial, 1);
  dial->direct = self;
  dial->cancellable = g_object_ref (self->dialling);
  dial->link = g_steal_pointer (&link);
  hypha_loader_dial_again_async (self->directs->loader, remote, self->directs->timeout_ms,
                                 self->dialling, dialled, dial);
  return TRUE;
}

static void
dial_or_fail (HyphaDirect *self)
{
  g_autoptr (GError) error = NULL;

  if (!start_dialling (self, &error))
    complete (self, -1, error);
}

static guint
count_early (HyphaDirect *self)
{
  guint n = 0;

  for (guint i = 0; i < self->directs->all->len; i++) {
    HyphaDirect *other = self->directs->all->pdata[i];

    n += other->peer == self->peer && other->early && !other->accepted;
  }
  return n;
}

/* While the OPEN goes there and back, or before, if nobody has to be waited for. */
static void
dial_early (HyphaDirect *self)
{
  self->early = count_early (self) < MAX_EARLY && start_dialling (self, NULL);
}

/* ---- tokens that are shown ---- */

/* LINK (taken) has shown the token of SELF: if that is somebody else, SELF has ended. */
static void
use_if_like (HyphaDirect *self, HyphaLink *link)
{
  HyphaDirects *directs = self->directs;
  g_autoptr (GError) elsewhere = NULL;
  gboolean like = comes_from (hypha_link_get_channel (link), self->peer);
  int fd = like ? hypha_link_steal_fd (link) : -1;

  self->expected = FALSE;
  if (like) {
    arrived (self, fd);
    hypha_link_free (link);
    return;
  }
  hypha_link_free (link);
  elsewhere =
      g_error_new_literal (HYPHA_ERROR, HYPHA_ERROR_HANDSHAKE,
                           _ ("the token of a direct stream was shown by somebody else than "
                              "the peer"));
  complete (self, -1, elsewhere);
  directs->refused (elsewhere, directs->user_data);
}

static void
look_among_early (HyphaDirect *self)
{
  HyphaDirects *directs = self->directs;
  HyphaLink *link = hypha_early_tokens_take (directs->early, token_of (self));

  if (link != NULL)
    use_if_like (self, link);
}

/* ---- the opener ---- */

void
hypha_direct_answered (HyphaDirect *self, guint8 code)
{
  g_autoptr (GError) error = NULL;
  HyphaError number;
  const char *text;

  if (self->func == NULL)
    return;
  if (code == 0) {
    self->taken = TRUE;
    complete_if_ready (self);
    return;
  }
  number = hypha_session_error_of_code ((HyphaCode) code, &text);
  error = g_error_new_literal (HYPHA_ERROR, (int) number, text);
  complete (self, -1, error);
}

static HyphaDirect *
direct_new (HyphaDirects *directs, HyphaNodePeer *peer, gboolean opener, GError **error)
{
  HyphaDirect *self;
  guint n = 0;

  for (guint i = 0; i < directs->all->len; i++)
    n += ((HyphaDirect *) directs->all->pdata[i])->peer == peer;
  if (n >= HYPHA_DIRECTS_MAX) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%d direct streams of this peer are on their way, and no more may be at once"),
                 HYPHA_DIRECTS_MAX);
    return NULL;
  }
  self = g_new0 (HyphaDirect, 1);
  self->directs = directs;
  self->peer = g_object_ref (peer);
  self->opener = opener;
  self->fd = -1;
  g_ptr_array_add (directs->all, self);
  return self;
}

HyphaDirect *
hypha_direct_new_opening (HyphaDirects *directs, HyphaNodePeer *peer, GError **error)
{
  HyphaNodeLink *link = hypha_node_peer_get_best_link (peer);
  g_autoptr (HyphaDirect) self = NULL;

  if (link == NULL) /* it is up, and the session is about to choose it */
    link = hypha_node_peer_find_live (peer);
  if (!hypha_direct_check_link (link, error))
    return NULL;
  self = direct_new (directs, peer, TRUE, error);
  if (self == NULL)
    return NULL;
  self->ticket[0] = hypha_link_is_initiator (hypha_node_link_get_link (link)) ? DIALLED_BY_OPENER
                                                                              : DIALLED_BY_ACCEPTOR;
  if (getentropy (self->ticket + 1, HYPHA_TOKEN_BYTES) != 0) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("The system gives no random numbers: %s"), g_strerror (errno));
    return NULL;
  }
  return g_steal_pointer (&self);
}

const guint8 *
hypha_direct_get_ticket (HyphaDirect *self)
{
  return self->ticket;
}

void
hypha_direct_start (HyphaDirect *self, HyphaDirectFunc func, HyphaDirectTriedFunc tried,
                    gpointer user_data)
{
  self->func = func;
  self->tried = tried;
  self->user_data = user_data;
  self->timer = g_timeout_add (self->directs->timeout_ms, timed_out, self);
  self->expected = !dials (self);
  if (self->opener) {
    if (dials (self))
      dial_early (self);
    if (!self->early)
      tell_tried (self);
  } else if (dials (self)) {
    dial_or_fail (self);
  } else {
    look_among_early (self);
  }
}

/* Nobody has spoken there yet but the other end's node, which says nothing. */
static gboolean
was_turned_away (int fd)
{
  char byte;
  gssize n;

  do
    n = recv (fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

/* From now on the other end expects the token. */
void
hypha_direct_accepted (HyphaDirect *self)
{
  if (!dials (self) || self->func == NULL || self->accepted)
    return;
  self->accepted = TRUE;
  /* Whoever came too early, or was crowded out at the other end, comes again. A service that took
   * the channel and has closed it already looks the same: then the second one is closed, too. */
  if (self->fd >= 0 && was_turned_away (self->fd))
    close (g_steal_fd (&self->fd));
  if (self->fd >= 0)
    stop_waiting (self);
  else if (self->dialling == NULL)
    dial_or_fail (self);
}

/* ---- the acceptor ---- */

HyphaDirect *
hypha_direct_new_answering (HyphaDirects *directs, HyphaNodePeer *peer, const guint8 *ticket,
                            GError **error)
{
  HyphaDirect *self = direct_new (directs, peer, FALSE, error);

  if (self != NULL)
    memcpy (self->ticket, ticket, HYPHA_TICKET_BYTES);
  return self;
}

/* ---- those of a node ---- */

HyphaDirects *
hypha_directs_new (HyphaLoader *loader, HyphaTokenRefusedFunc refused, gpointer user_data)
{
  HyphaDirects *self = g_new0 (HyphaDirects, 1);

  self->loader = g_object_ref (loader);
  self->refused = refused;
  self->user_data = user_data;
  self->early = hypha_early_tokens_new (refused, user_data);
  self->all = g_ptr_array_new ();
  self->timeout_ms = HYPHA_DIRECT_TIMEOUT_MS;
  return self;
}

void
hypha_directs_free (HyphaDirects *self)
{
  g_assert (self->all->len == 0);
  hypha_early_tokens_free (self->early);
  g_object_unref (self->loader);
  g_ptr_array_unref (self->all);
  g_free (self);
}

void
hypha_directs_set_timeout (HyphaDirects *self, guint timeout_ms)
{
  self->timeout_ms = timeout_ms;
}

static HyphaDirect *
find_expected (HyphaDirects *self, HyphaLink *link)
{
  const guint8 *token = hypha_link_get_token (link);
  HyphaDirect *found = NULL;

  for (guint i = 0; i < self->all->len; i++) {
    HyphaDirect *direct = self->all->pdata[i];

    if (hypha_token_equal (token_of (direct), token) && direct->expected)
      found = direct;
  }
  return found;
}

void
hypha_directs_shown (HyphaDirects *self, HyphaLink *link)
{
  HyphaDirect *found = find_expected (self, link);

  if (found == NULL)
    hypha_early_tokens_add (self->early, link);
  else
    use_if_like (found, link);
}

guint
hypha_directs_n_early (HyphaDirects *self)
{
  return hypha_early_tokens_get_n (self->early);
}

void
hypha_direct_free (HyphaDirect *self)
{
  stop_waiting (self);
  g_ptr_array_remove_fast (self->directs->all, self);
  g_clear_object (&self->dialling);
  g_object_unref (self->peer);
  if (self->fd >= 0)
    close (self->fd);
  g_free (self);
}
