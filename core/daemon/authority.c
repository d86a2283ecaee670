/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/authority.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#include "daemon/sender.h"
#include "daemon/polkit.h"
#include "dbus/errors.h"

/* GDBus has a signal for this, but handles it on a pool of threads, where one caller's calls
 * overtake each other: Trust and Connect would arrive as Connect and Trust. Hence a function of
 * ours before the one that gdbus-codegen made, and a queue for each caller. */

/* Changes that a caller waits for, and all callers together. */
#define MAX_PENDING 128
#define MAX_PENDING_IN_ALL 2048
/* Of them, how many each caller may have however many the others have: or whoever has connections
 * enough would keep the administrator out. */
#define SURE_PENDING 8

#define CONFIGURE "org.hypha.configure"

/* What changes nothing has no action. Whatever is not here is a change of the configuration: a
 * method that somebody forgets to enter is shut, not open. The actions are those of
 * data/polkit/org.hypha.policy.in. */
static const struct {
  const char *interface;
  const char *method;
  const char *action;
} rules[] = {
  { "org.hypha.Node1", "Explain", NULL },
  { "org.hypha.Peer1", "Streams", NULL },
  { "org.hypha.Config1", "List", NULL },
  { "org.hypha.Config1", "Get", NULL },
  /* Each looks itself whether it is the caller's own. */
  { "org.hypha.Peer1", "StreamResult", NULL },
  { "org.hypha.Node1", "UnregisterService", NULL },
  { "org.hypha.Node1", "Trust", "org.hypha.trust" },
  { "org.hypha.Node1", "Forget", "org.hypha.trust" },
  { "org.hypha.Node1", "Pair", "org.hypha.trust" },
  { "org.hypha.Node1", "ConfirmPairing", "org.hypha.trust" },
  { "org.hypha.Node1", "Connect", "org.hypha.connect" },
  { "org.hypha.Peer1", "Disconnect", "org.hypha.connect" },
  { "org.hypha.Link1", "Close", "org.hypha.connect" },
  { "org.hypha.Peer1", "OpenStream", "org.hypha.open-stream" },
  { "org.hypha.Peer1", "CloseStream", "org.hypha.open-stream" },
  { "org.hypha.Node1", "RegisterService", "org.hypha.serve" },
  { "org.hypha.Node1", "Dial", "org.hypha.dial" },
  { "org.hypha.Node1", "Attach", "org.hypha.attach" },
};

typedef struct {
  GDBusInterfaceSkeleton *skeleton;
  GDBusMethodInvocation *invocation;
  const char *action; /* NULL: nothing to ask */
} Call;

/* A caller's calls in their order; there while some are not answered. */
typedef struct {
  HyphaSender *caller;
  GQueue calls;      /* not decided yet */
  gboolean deciding; /* on the first of them */
  gboolean known;    /* who it is: */
  guint32 uid;
  guint pending; /* not answered yet, those that wait here among them */
} Line;

static GHashTable *lines; /* HyphaSender to Line */
static guint pending_in_all;

static void
line_clear (gpointer data)
{
  Line *line = data;

  g_object_unref (line->caller);
}

static void
line_unref (gpointer line)
{
  g_rc_box_release_full (line, line_clear);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Line, line_unref)

static const GDBusInterfaceVTable *
get_generated (GDBusInterfaceSkeleton *skeleton)
{
  GDBusInterfaceSkeletonClass *generated = g_type_class_peek_parent (G_OBJECT_GET_CLASS (skeleton));

  return generated->get_vtable (skeleton);
}

static void
pass_on (GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *invocation)
{
  get_generated (skeleton)->method_call (g_dbus_method_invocation_get_connection (invocation),
                                         g_dbus_method_invocation_get_sender (invocation),
                                         g_dbus_method_invocation_get_object_path (invocation),
                                         g_dbus_method_invocation_get_interface_name (invocation),
                                         g_dbus_method_invocation_get_method_name (invocation),
                                         g_dbus_method_invocation_get_parameters (invocation),
                                         invocation, skeleton);
}

/* What is to last is a setting, whatever else it does. */
static gboolean
is_to_last (GVariant *parameters)
{
  gboolean persist = FALSE;

  for (gsize i = 0; !persist && i < g_variant_n_children (parameters); i++) {
    g_autoptr (GVariant) argument = g_variant_get_child_value (parameters, i);

    if (g_variant_is_of_type (argument, G_VARIANT_TYPE_VARDICT))
      g_variant_lookup (argument, "persist", "b", &persist);
  }
  return persist;
}

static const char *
find_action (GDBusMethodInvocation *invocation)
{
  if (is_to_last (g_dbus_method_invocation_get_parameters (invocation)))
    return CONFIGURE;
  for (gsize i = 0; i < G_N_ELEMENTS (rules); i++) {
    if (g_str_equal (g_dbus_method_invocation_get_interface_name (invocation),
                     rules[i].interface) &&
        g_str_equal (g_dbus_method_invocation_get_method_name (invocation), rules[i].method))
      return rules[i].action;
  }
  return CONFIGURE;
}

static void next (Line *line);

static gboolean
has_left (Line *line)
{
  return g_cancellable_is_cancelled (hypha_sender_get_gone (line->caller));
}

/* The first call has its verdict; WHY NOT: NULL if it may. What changes something is not done for
 * somebody who has left meanwhile, for nobody would hear of his leaving any more. */
static void
decide (Line *line, const GError *why_not)
{
  g_autofree Call *call = g_queue_pop_head (&line->calls);
  g_autoptr (GDBusInterfaceSkeleton) skeleton = call->skeleton;
  g_autoptr (GError) gone = NULL;

  if (why_not == NULL && call->action && has_left (line)) {
    gone = g_error_new (HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED, _ ("the caller has left"));
    why_not = gone;
  }
  if (why_not == NULL)
    pass_on (skeleton, call->invocation);
  else
    hypha_dbus_return_error (call->invocation, why_not);
}

/* WHY: what polkit said, or why nobody could be asked. */
static void
answer_no (Line *line, const GError *why)
{
  const Call *call = g_queue_peek_head (&line->calls);
  const char *method = g_dbus_method_invocation_get_method_name (call->invocation);
  g_autoptr (GError) error = NULL;

  if (line->known)
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("user %u may not call %s (%s): %s; root may, and the user that hyphad runs as "
                    "(%u)"),
                 line->uid, method, call->action, why->message, geteuid ());
  else
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("the bus does not say who calls %s: %s"), method, why->message);
  decide (line, error);
}

static void
go_on (Line *line)
{
  line->deciding = FALSE;
  next (line);
}

static void
on_polkit (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Line) line = user_data;
  g_autoptr (GError) why = NULL;

  if (hypha_polkit_check_finish (result, &why))
    decide (line, NULL);
  else
    answer_no (line, why);
  go_on (line);
}

static void
ask_polkit (Line *line)
{
  const Call *call = g_queue_peek_head (&line->calls);
  GDBusMessage *message = g_dbus_method_invocation_get_message (call->invocation);
  gboolean interactive = (g_dbus_message_get_flags (message) &
                          G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION) != 0;

  hypha_polkit_check_async (line->caller, call->action, interactive, on_polkit,
                            g_rc_box_acquire (line));
}

/* Nobody else gets as far as a private connection. */
static gboolean
is_ours (const Line *line)
{
  return line->uid == 0 || line->uid == geteuid ();
}

static void
on_identified (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (Line) line = user_data;
  g_autoptr (GError) why = NULL;

  line->known = hypha_sender_identify_finish (line->caller, result, &line->uid, &why);
  if (line->known && !is_ours (line)) {
    ask_polkit (line);
    return;
  }
  if (line->known)
    decide (line, NULL);
  else
    answer_no (line, why);
  go_on (line);
}

/* Begins with the first call; TRUE if it is decided. */
static gboolean
begin (Line *line)
{
  const Call *call = g_queue_peek_head (&line->calls);

  line->known = hypha_sender_get_uid (line->caller, &line->uid);
  if (call->action == NULL || has_left (line) || (line->known && is_ours (line))) {
    decide (line, NULL);
    return TRUE;
  }
  if (line->known)
    ask_polkit (line);
  else
    hypha_sender_identify_async (line->caller, on_identified, g_rc_box_acquire (line));
  return FALSE;
}

/* Goes on until somebody has to be asked. */
static void
next (Line *line)
{
  g_rc_box_acquire (line);
  while (!line->deciding && !g_queue_is_empty (&line->calls)) {
    line->deciding = TRUE;
    if (!begin (line))
      break;
    line->deciding = FALSE;
  }
  line_unref (line);
}

/* A call is over when it is answered; GDBus lets go of it then. */
static void
on_answered (gpointer data, GObject *invocation)
{
  Line *line = data;

  pending_in_all--;
  if (--line->pending == 0)
    g_hash_table_remove (lines, line->caller);
}

static Line *
find_line (GDBusMethodInvocation *invocation)
{
  HyphaSender *caller = hypha_sender_peek (invocation);

  return caller ? g_hash_table_lookup (lines, caller) : NULL;
}

static gboolean
has_room (const Line *line)
{
  guint pending = line ? line->pending : 0;

  return pending < SURE_PENDING || (pending < MAX_PENDING && pending_in_all < MAX_PENDING_IN_ALL);
}

static Line *
make_line (GDBusMethodInvocation *invocation)
{
  Line *line = g_rc_box_new0 (Line);

  line->caller = g_object_ref (hypha_sender_of (invocation));
  g_queue_init (&line->calls);
  g_hash_table_insert (lines, line->caller, line);
  return line;
}

static void
refuse_another (GDBusMethodInvocation *invocation, const Line *line)
{
  g_autoptr (GError) error = NULL;

  if (line && line->pending >= MAX_PENDING)
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%u calls of this caller are not answered yet: wait for one of them"),
                 line->pending);
  else
    g_set_error (&error, HYPHA_ERROR, HYPHA_ERROR_BUSY,
                 _ ("%u calls are not answered yet: try again later"), pending_in_all);
  hypha_dbus_return_error (invocation, error);
}

static void
on_call (GDBusConnection *connection, const char *sender, const char *path, const char *interface,
         const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
         gpointer user_data)
{
  const char *action = find_action (invocation);
  Line *line = find_line (invocation);
  Call *call;

  if (action == NULL && (line == NULL || g_queue_is_empty (&line->calls))) {
    pass_on (user_data, invocation);
    return;
  }
  if (!has_room (line)) {
    refuse_another (invocation, line);
    return;
  }
  if (line == NULL)
    line = make_line (invocation);
  call = g_new0 (Call, 1);
  call->skeleton = g_object_ref (user_data);
  call->invocation = invocation;
  call->action = action;
  line->pending++;
  pending_in_all++;
  g_object_weak_ref (G_OBJECT (invocation), on_answered, line);
  g_queue_push_tail (&line->calls, call);
  next (line);
}

/* What gdbus-codegen made, but for method_call; one for each class. */
static GDBusInterfaceVTable *
get_guarded (GDBusInterfaceSkeleton *skeleton)
{
  GQuark quark = g_quark_from_static_string ("hypha-authority-vtable");
  GDBusInterfaceVTable *guarded = g_type_get_qdata (G_OBJECT_TYPE (skeleton), quark);

  if (guarded == NULL) {
    guarded = g_memdup2 (get_generated (skeleton), sizeof *guarded);
    guarded->method_call = on_call;
    g_type_set_qdata (G_OBJECT_TYPE (skeleton), quark, guarded);
  }
  return guarded;
}

/**
 * hypha_authority_guard:
 * @klass: of an interface
 *
 * From now on, no method of an interface of this class is called for somebody who may not. Calls of
 * one caller keep their order.
 */
void
hypha_authority_guard (GDBusInterfaceSkeletonClass *klass)
{
  if (lines == NULL)
    lines = g_hash_table_new_full (NULL, NULL, NULL, line_unref);
  klass->get_vtable = get_guarded;
}
