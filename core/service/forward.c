/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/forward.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "io/hard-close.h"
#include "link/name.h"
#include "node/door.h"
#include "service/joint.h"
#include "service/mirror.h"
#include "service/reverse.h"
#include "service/service.h"

/* What a peer is called by: a name has at most so many bytes, an id has less. */
#define PEER_MAX 64

struct _HyphaForward {
  GObject parent_instance;
  HyphaNode *node;
  HyphaBuiltins *builtins; /* nullable */
  guint64 serial;
  char *given, *peer, *target;
  char *called; /* the peer, by people; nullable */
  HyphaForwardOrigin origin;
  HyphaDoor *door;       /* or */
  HyphaMirror *mirror;   /* for many ports, or */
  HyphaReverse *reverse; /* where the peer listens */
  GHashTable *joints;    /* set of HyphaJoint */
  char *reason;          /* of the last connection; nullable */
  HyphaTelling own;
  HyphaTelling *telling; /* OWN, or one that is shared */
  guint64 rx_bytes, tx_bytes;
};

enum { CHANGED, N_SIGNALS };
static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (HyphaForward, hypha_forward, G_TYPE_OBJECT)

static void
tell (HyphaForward *self)
{
  g_signal_emit (self, signals[CHANGED], 0);
}

/* Whoever connects again and again must not fill the log: not with one reason, nor with others each
 * time, as who may choose what he asks for can. */
static void
tell_reason (HyphaForward *self, const char *reason)
{
  g_autofree char *about = g_strdup_printf ("forward %s: ", hypha_forward_get_local (self));

  hypha_telling_tell (self->telling, about, reason, "reasons were not told");
}

static void
set_reason (HyphaForward *self, const char *reason)
{
  if (g_strcmp0 (self->reason, reason) == 0)
    return;
  if (reason != NULL)
    tell_reason (self, reason);
  g_free (self->reason);
  self->reason = g_strdup (reason);
  tell (self);
}

static void
on_ended (HyphaJoint *joint, guint64 received, guint64 sent, const GError *error,
          gpointer user_data)
{
  HyphaForward *self = user_data;

  g_hash_table_remove (self->joints, joint);
  self->rx_bytes += received;
  self->tx_bytes += sent;
  set_reason (self, error != NULL ? error->message : NULL);
  /* Who asked for it is told of the bytes. */
  if (self->origin == HYPHA_FORWARD_PEER)
    tell (self);
}

static gboolean
is_to_self (HyphaForward *self)
{
  return g_str_equal (self->peer, HYPHA_FORWARD_SELF);
}

static gboolean
is_mux (HyphaForward *self)
{
  return g_str_equal (self->target, HYPHA_FORWARD_MUX);
}

static void
on_knocked (HyphaDoor *door, HyphaChannel *channel, gpointer user_data)
{
  HyphaForward *self = user_data;
  HyphaJoint *joint;

  if (g_hash_table_size (self->joints) >= HYPHA_FORWARD_MAX_CONNECTIONS) {
    g_autofree char *reason = g_strdup_printf (
        _ ("there are %d connections, and no more may be at once"), HYPHA_FORWARD_MAX_CONNECTIONS);

    hypha_hard_close (hypha_channel_steal_fd (channel));
    set_reason (self, reason);
    return;
  }
  if (is_to_self (self))
    joint = hypha_joint_new_for_endpoint (hypha_node_get_loader (self->node), self->builtins,
                                          self->target, channel, on_ended, self);
  else
    joint = hypha_joint_new (self->node, self->peer, is_mux (self) ? NULL : self->target, channel,
                             on_ended, self);
  g_hash_table_add (self->joints, joint);
  hypha_joint_start (joint);
}

static void
on_door_changed (HyphaDoor *door, gpointer user_data)
{
  tell (user_data);
}

static void
on_inner_changed (gpointer user_data)
{
  tell (user_data);
}

/* Where the peer chooses what is listened on, it chooses how often that fails, too. */
static void
on_door_troubled (HyphaDoor *door, const char *trouble, gpointer user_data)
{
  HyphaForward *self = user_data;

  if (self->telling == &self->own)
    g_warning ("%s", trouble);
  else
    tell_reason (self, trouble);
}

static const HyphaDoorEvents door_events = { .knocked = on_knocked,
                                             .changed = on_door_changed,
                                             .troubled = on_door_troubled };

static gboolean
check_peer (const char *peer, GError **error)
{
  if (hypha_name_is_good (peer, PEER_MAX))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("a peer is a name, an id or the beginning of an id: 1 to %d bytes without "
                  "spaces"),
               PEER_MAX);
  return FALSE;
}

/* What this node leads to itself, it connects to anew each time. */
static gboolean
check_self (HyphaForward *self, gboolean reverse, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (GError) reason = NULL;

  if (reverse || self->builtins == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("'%s' is this node, which is asked for nothing: leave 'reverse' out"),
                 HYPHA_FORWARD_SELF);
    return FALSE;
  }
  if (is_mux (self) || hypha_mirror_is_target (self->target)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("with the peer '%s', the target is one endpoint, without '*'"),
                 HYPHA_FORWARD_SELF);
    return FALSE;
  }
  endpoint =
      hypha_loader_check_endpoint (hypha_node_get_loader (self->node), self->target, &reason);
  if (endpoint == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
                 _ ("with the peer '%s', the target is an endpoint that this node connects to: %s"),
                 HYPHA_FORWARD_SELF, reason->message);
  return endpoint != NULL;
}

static gboolean
check (HyphaForward *self, gboolean reverse, GError **error)
{
  if (!check_peer (self->peer, error))
    return FALSE;
  return is_to_self (self)
             ? check_self (self, reverse, error)
             : hypha_service_check_name (self->target, HYPHA_ERROR_INVALID_ARGUMENT, error);
}

/* What is listened on for a peer: a socket file is for this user alone, as one that is asked for by
 * its path here, unless the settings say more. */
static char *
dup_uri (HyphaForward *self)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;

  if (self->origin == HYPHA_FORWARD_PEER)
    endpoint = hypha_endpoint_parse (self->given, NULL);
  if (endpoint == NULL || hypha_endpoint_get_option (endpoint, "mode") != NULL)
    return g_strdup (self->given);
  return g_strconcat (self->given, strchr (self->given, '?') != NULL ? "&" : "?", "mode=600", NULL);
}

static void
make_door (HyphaForward *self, GError **error)
{
  g_autofree char *uri = dup_uri (self);

  self->door = hypha_door_new (hypha_node_get_loader (self->node), uri,
                               self->origin != HYPHA_FORWARD_ASKED, &door_events, self, error);
}

HyphaForward *
hypha_forward_new (HyphaNode *node, HyphaBuiltins *builtins, guint64 serial,
                   const HyphaForwardPlan *plan, HyphaForwardOrigin origin, GError **error)
{
  g_autoptr (HyphaForward) self = g_object_new (HYPHA_TYPE_FORWARD, NULL);

  self->node = g_object_ref (node);
  self->builtins = builtins != NULL ? hypha_builtins_ref (builtins) : NULL;
  self->serial = serial;
  self->given = g_strdup (plan->local);
  self->peer = g_strdup (plan->peer);
  self->target = g_strdup (plan->target);
  self->origin = origin;
  if (!check (self, plan->reverse, error))
    return NULL;
  if (plan->reverse)
    self->reverse = hypha_reverse_new (node, self->given, self->peer, self->target,
                                       on_inner_changed, self, error);
  else if (hypha_mirror_is_target (self->target))
    self->mirror = hypha_mirror_new (node, self->given, self->peer, self->target, on_inner_changed,
                                     self, error);
  else
    make_door (self, error);
  return self->door != NULL || self->mirror != NULL || self->reverse != NULL
             ? g_steal_pointer (&self)
             : NULL;
}

void
hypha_forward_call_peer (HyphaForward *self, const char *name)
{
  g_free (self->called);
  self->called = g_strdup (name);
}

void
hypha_forward_share_telling (HyphaForward *self, HyphaTelling *telling)
{
  self->telling = telling;
  if (self->mirror != NULL)
    hypha_mirror_share_telling (self->mirror, telling);
}

void
hypha_forward_open (HyphaForward *self)
{
  if (self->reverse != NULL)
    hypha_reverse_open (self->reverse);
  else if (self->mirror != NULL)
    hypha_mirror_open (self->mirror);
  else
    hypha_door_open (self->door);
}

void
hypha_forward_await (HyphaForward *self, GTask *task)
{
  if (self->reverse != NULL) {
    hypha_reverse_await (self->reverse, task);
    return;
  }
  if (self->mirror == NULL) {
    hypha_door_await (self->door, task);
    return;
  }
  /* Which ports there will be is the peer's to say, some time. */
  hypha_mirror_open (self->mirror);
  g_task_return_pointer (task, g_strdup (self->given), g_free);
}

void
hypha_forward_close (HyphaForward *self)
{
  GHashTableIter iter;
  gpointer joint;

  if (self->door != NULL)
    hypha_door_close (self->door);
  if (self->mirror != NULL)
    hypha_mirror_close (self->mirror);
  if (self->reverse != NULL)
    hypha_reverse_close (self->reverse);
  g_hash_table_iter_init (&iter, self->joints);
  while (g_hash_table_iter_next (&iter, &joint, NULL))
    hypha_joint_abandon (joint);
  g_hash_table_remove_all (self->joints);
}

HyphaForwardPlan
hypha_forward_get_plan (HyphaForward *self)
{
  return (HyphaForwardPlan){ self->given, self->peer, self->target, self->reverse != NULL };
}

/* That of a peer is its own: it goes with the peer. */
gboolean
hypha_forward_is (HyphaForward *self, const HyphaForwardPlan *plan)
{
  return self->origin != HYPHA_FORWARD_PEER && g_str_equal (self->given, plan->local) &&
         g_str_equal (self->peer, plan->peer) && g_str_equal (self->target, plan->target) &&
         (self->reverse != NULL) == !!plan->reverse;
}

HyphaForwardOrigin
hypha_forward_get_origin (HyphaForward *self)
{
  return self->origin;
}

gboolean
hypha_forward_is_permanent (HyphaForward *self)
{
  return self->origin == HYPHA_FORWARD_SETTINGS;
}

void
hypha_forward_set_permanent (HyphaForward *self, gboolean permanent)
{
  HyphaForwardOrigin origin = permanent ? HYPHA_FORWARD_SETTINGS : HYPHA_FORWARD_ASKED;

  if (self->origin == origin)
    return;
  self->origin = origin;
  if (self->door != NULL)
    hypha_door_set_permanent (self->door, permanent);
  tell (self);
}

guint64
hypha_forward_get_serial (HyphaForward *self)
{
  return self->serial;
}

const char *
hypha_forward_get_given (HyphaForward *self)
{
  return self->given;
}

const char *
hypha_forward_get_local (HyphaForward *self)
{
  const char *bound = NULL;

  if (self->reverse != NULL)
    bound = hypha_reverse_get_bound (self->reverse);
  else if (self->door != NULL)
    bound = hypha_door_get_bound (self->door);
  return bound != NULL ? bound : self->given;
}

const char *
hypha_forward_get_peer (HyphaForward *self)
{
  return self->called != NULL ? self->called : self->peer;
}

const char *
hypha_forward_get_target (HyphaForward *self)
{
  return self->target;
}

gboolean
hypha_forward_is_reverse (HyphaForward *self)
{
  return self->reverse != NULL;
}

const char *
hypha_forward_get_state (HyphaForward *self)
{
  if (self->reverse != NULL)
    return hypha_reverse_get_state (self->reverse);
  if (self->mirror != NULL)
    return hypha_mirror_get_state (self->mirror);
  if (hypha_door_get_bound (self->door) != NULL)
    return "listening";
  return hypha_door_get_trouble (self->door) != NULL ? "failed" : "opening";
}

const char *
hypha_forward_get_reason (HyphaForward *self)
{
  const char *trouble;

  if (self->reverse != NULL)
    return hypha_reverse_get_reason (self->reverse);
  if (self->mirror != NULL)
    return hypha_mirror_get_reason (self->mirror);
  trouble = hypha_door_get_trouble (self->door);
  if (trouble != NULL)
    return trouble;
  return self->reason != NULL ? self->reason : "";
}

void
hypha_forward_get_counters (HyphaForward *self, guint64 *rx_bytes, guint64 *tx_bytes)
{
  *rx_bytes = self->rx_bytes;
  *tx_bytes = self->tx_bytes;
  if (self->mirror != NULL)
    hypha_mirror_get_counters (self->mirror, rx_bytes, tx_bytes);
  if (self->reverse != NULL)
    hypha_reverse_get_counters (self->reverse, rx_bytes, tx_bytes);
}

GVariant *
hypha_forward_dup_ports (HyphaForward *self)
{
  if (self->mirror != NULL)
    return hypha_mirror_dup_ports (self->mirror);
  if (self->reverse != NULL)
    return hypha_reverse_dup_ports (self->reverse);
  return g_variant_ref_sink (g_variant_new ("aq", NULL));
}

static void
hypha_forward_dispose (GObject *object)
{
  HyphaForward *self = HYPHA_FORWARD (object);

  hypha_forward_close (self);
  g_clear_pointer (&self->door, hypha_door_unref);
  g_clear_pointer (&self->mirror, hypha_mirror_free);
  g_clear_pointer (&self->reverse, hypha_reverse_free);
  g_clear_pointer (&self->builtins, hypha_builtins_unref);
  g_clear_object (&self->node);
  G_OBJECT_CLASS (hypha_forward_parent_class)->dispose (object);
}

static void
hypha_forward_finalize (GObject *object)
{
  HyphaForward *self = HYPHA_FORWARD (object);

  g_hash_table_unref (self->joints);
  g_free (self->given);
  g_free (self->peer);
  g_free (self->target);
  g_free (self->called);
  g_free (self->reason);
  G_OBJECT_CLASS (hypha_forward_parent_class)->finalize (object);
}

static void
hypha_forward_class_init (HyphaForwardClass *klass)
{
  GObjectClass *object_class = G_OBJECT_CLASS (klass);

  object_class->dispose = hypha_forward_dispose;
  object_class->finalize = hypha_forward_finalize;
  signals[CHANGED] = g_signal_new ("changed", HYPHA_TYPE_FORWARD, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
                                   NULL, G_TYPE_NONE, 0);
}

static void
hypha_forward_init (HyphaForward *self)
{
  self->joints = g_hash_table_new (NULL, NULL);
  self->telling = &self->own;
}
