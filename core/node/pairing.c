/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pairing: for a while, the first stranger who has a window open as well yields six digits here and
 * there, and two people say whether they are the same. */

#include "node/node-private.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "link/name.h"

#define LONGEST 120        /* s */
#define TICK_MS 1000       /* between attempts to meet */
#define SECOND_THOUGHT 250 /* ms: both may have dialled, and the lower id's handshake counts */

guint
hypha_node_pairing_window (HyphaNode *self)
{
  return self->pairing.until > 0 && !self->pairing.met ? self->windows : 0;
}

void
hypha_node_pairing_close (HyphaNode *self)
{
  HyphaPairing *pairing = &self->pairing;

  g_clear_handle_id (&pairing->expiry, g_source_remove);
  g_clear_handle_id (&pairing->tick, g_source_remove);
  g_clear_handle_id (&pairing->telling, g_source_remove);
  g_free (pairing->name);
  *pairing = (HyphaPairing){ 0 };
  hypha_node_reap (self);
}

static gboolean
expired (gpointer data)
{
  HyphaNode *self = data;

  if (!self->pairing.agreed)
    g_message ("the window for pairing has closed%s",
               self->pairing.met ? "; the digits are worth nothing any more" : "");
  self->pairing.expiry = 0;
  hypha_node_pairing_close (self);
  return G_SOURCE_REMOVE;
}

/* Two people cannot open two windows, or confirm, at the same moment: so whoever dials tries again
 * sooner than its back-off says. */
static gboolean
tick (gpointer data)
{
  HyphaNode *self = data;
  HyphaPairing *pairing = &self->pairing;
  HyphaNodePeer *peer = pairing->agreed ? hypha_node_find (self, &pairing->id) : NULL;

  if (peer != NULL && hypha_node_peer_find_live (peer) != NULL) {
    pairing->tick = 0;
    hypha_node_pairing_close (self);
    return G_SOURCE_REMOVE;
  }
  if (!pairing->met || pairing->agreed)
    hypha_node_hurry_diallers (self);
  return G_SOURCE_CONTINUE;
}

gboolean
hypha_node_pairing_needs (HyphaNode *self, HyphaDialler *dialler)
{
  const HyphaNodeId *id = hypha_dialler_get_peer (dialler);

  return self->pairing.until > 0 && id != NULL &&
         (!self->pairing.met || hypha_node_id_equal (id, &self->pairing.id));
}

/**
 * hypha_node_pair:
 * @self: a node
 * @seconds: how long the window is open, 1 to 120; 0 closes it
 * @error: return location for an error: `HYPHA_ERROR_INVALID_ARGUMENT`, or
 *   `HYPHA_ERROR_DISCONNECTED` once the node has stopped
 *
 * Opens a window for pairing. The first stranger who shakes hands while both sides have one open,
 * whoever dialled, yields six digits here and there: [signal@Hypha.Node::pairing-code]. One
 * handshake a window does.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_node_pair (HyphaNode *self, guint seconds, GError **error)
{
  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);

  if (self->stopped) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_DISCONNECTED, _ ("this node has stopped"));
    return FALSE;
  }
  if (seconds > LONGEST) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("a window for pairing is open for at most %d seconds, not for %u"), LONGEST,
                 seconds);
    return FALSE;
  }
  hypha_node_pairing_close (self);
  if (seconds == 0)
    return TRUE;
  self->windows++;
  atomic_store (&self->untold, TRUE);
  self->pairing.until = g_get_monotonic_time () + seconds * G_TIME_SPAN_SECOND;
  self->pairing.expiry = g_timeout_add (seconds * 1000, expired, self);
  self->pairing.tick = g_timeout_add (TICK_MS, tick, self);
  hypha_node_hurry_diallers (self);
  return TRUE;
}

/* ---- somebody came ---- */

static gboolean
tell (gpointer data)
{
  HyphaNode *self = data;
  g_autofree char *id = hypha_node_id_to_string (&self->pairing.id);
  g_autofree char *code = g_strdup_printf ("%06u", self->pairing.digits);

  self->pairing.telling = 0;
  self->pairing.told = TRUE;
  g_message ("pairing with %s: compare the digits", id);
  g_signal_emit_by_name (self, "pairing-code", id, code);
  return G_SOURCE_REMOVE;
}

gboolean
hypha_node_pairing_meet (HyphaNode *self, HyphaLink *link)
{
  HyphaPairing *pairing = &self->pairing;
  const HyphaNodeId *id = hypha_link_get_peer (link);
  gboolean we_are_lower = hypha_node_id_compare (hypha_node_get_id (self), id) < 0;
  gboolean lower = we_are_lower == hypha_link_is_initiator (link);

  if (pairing->until == 0 || g_get_monotonic_time () >= pairing->until || pairing->agreed ||
      hypha_link_get_pairing (link) != self->windows)
    return FALSE;
  /* One handshake a window, or whoever sits in between could try until two codes agree. Only if
   * both have dialled each other there are two, of which both ends take the same. */
  if (pairing->met &&
      (pairing->told || pairing->lower || !lower || !hypha_node_id_equal (&pairing->id, id)))
    return FALSE;
  pairing->met = TRUE;
  pairing->lower = lower;
  pairing->id = *id;
  pairing->digits = hypha_link_get_digits (link);
  if (!hypha_link_is_initiator (link)) {
    g_free (pairing->name);
    pairing->name = g_strdup (hypha_link_get_peer_numbers (link)->name);
  }
  g_clear_handle_id (&pairing->telling, g_source_remove);
  /* Later, in any case: the link is being judged just now, and whoever is told may do anything. */
  pairing->telling = g_timeout_add (lower ? 0 : SECOND_THOUGHT, tell, self);
  return TRUE;
}

/* ---- the people have compared ---- */

/* Whoever has ID may not be called NAME: another is, or is meant to be, for something waits for the
 * one of that name. Only people may say that it is this one. */
static gboolean
is_taken (HyphaNode *self, const HyphaNodeId *id, const char *name)
{
  const HyphaNodeId *holder = hypha_trust_find_by_name (self->trust, name);
  gboolean spoken_for = FALSE;

  if (holder != NULL)
    return !hypha_node_id_equal (holder, id);
  if (g_str_equal (name, HYPHA_TRUST_SELF) || hypha_trust_rules_give (self->rules, name, id))
    return TRUE;
  g_signal_emit_by_name (self, "spoken-for", name, &spoken_for);
  return spoken_for;
}

/* A name of its own making, but a valid one that nobody else has or is to have. */
static char *
make_name (HyphaNode *self, const HyphaNodeId *id, const char *called)
{
  g_autoptr (GString) base = g_string_new (NULL);
  g_autofree char *text = hypha_node_id_to_string (id);
  HyphaNodeId claimed;
  char *name;
  guint n = 1;

  for (const char *p = called; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (base->len + 6 > HYPHA_NAME_MAX - 8)
      break;
    g_string_append_unichar (base, hypha_name_may_hold (c) ? c : '-');
  }
  if (base->len == 0 || hypha_node_id_parse (called, &claimed, NULL)) {
    g_string_truncate (base, 0);
    g_string_append_len (base, text, 8);
  }
  name = g_strdup (base->str);
  while (is_taken (self, id, name)) {
    g_free (name);
    name = g_strdup_printf ("%s-%u", base->str, ++n);
  }
  if (n > 1)
    g_message (
        "%s calls itself %s, which is taken or spoken for, and becomes %s: hyphactl trust %s "
        "NAME gives it another name",
        text, base->str, name, text);
  return name;
}

static gboolean
agree (HyphaNode *self, const char *id, GError **error)
{
  HyphaPairing *pairing = &self->pairing;
  gboolean named = pairing->name != NULL;
  g_autofree char *name = make_name (self, &pairing->id, named ? pairing->name : "");
  HyphaNodeId peer = pairing->id;

  pairing->agreed = TRUE;
  if (!hypha_node_trust (self, id, name, error)) {
    pairing->agreed = FALSE;
    return FALSE;
  }
  /* Whoever answered our dialling has not said its name yet. Of the pairing, nothing may be left:
   * whoever was told of the new peer may have opened another window. */
  self->has_unnamed = !named;
  self->unnamed = peer;
  return TRUE;
}

/**
 * hypha_node_confirm_pairing:
 * @self: a node
 * @id: whom [signal@Hypha.Node::pairing-code] told
 * @same: whether the other side shows the same digits
 * @error: return location for an error: `HYPHA_ERROR_INVALID_ID`, or `HYPHA_ERROR_INVALID_ARGUMENT`
 *   where no digits of this node wait
 *
 * Trusts the node under the name that it calls itself by, or one made of it if that is taken or
 * spoken for ([signal@Hypha.Node::spoken-for], the trust rules); or, if the digits differ, gives
 * the pairing up.
 *
 * Returns: whether it worked; if not, @error is set
 */
gboolean
hypha_node_confirm_pairing (HyphaNode *self, const char *id, gboolean same, GError **error)
{
  HyphaPairing *pairing = &self->pairing;
  HyphaNodeId parsed;

  g_return_val_if_fail (HYPHA_IS_NODE (self), FALSE);
  g_return_val_if_fail (id != NULL, FALSE);

  if (!hypha_node_id_parse (id, &parsed, error))
    return FALSE;
  if (pairing->until == 0 || !pairing->told || pairing->agreed ||
      g_get_monotonic_time () >= pairing->until || !hypha_node_id_equal (&pairing->id, &parsed)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("no digits of %s wait to be confirmed: hyphactl pair, on both sides, opens a "
                    "window"),
                 id);
    return FALSE;
  }
  if (same)
    return agree (self, id, error);
  g_message ("pairing with %s was given up: the digits differ, so somebody may sit in between", id);
  hypha_node_pairing_close (self);
  return TRUE;
}

void
hypha_node_pairing_link_up (HyphaNode *self, HyphaLink *link)
{
  const HyphaNodeId *id = hypha_link_get_peer (link);
  g_autofree char *provisional = NULL, *name = NULL, *text = NULL;

  if (!self->has_unnamed || !hypha_node_id_equal (&self->unnamed, id))
    return;
  self->has_unnamed = FALSE;
  provisional = make_name (self, id, "");
  name = make_name (self, id, hypha_link_get_peer_numbers (link)->name);
  text = hypha_node_id_to_string (id);
  /* Unless it was renamed, or forgotten, meanwhile. */
  if (g_strcmp0 (hypha_trust_get_name (self->trust, id), provisional) != 0 ||
      !hypha_node_trust (self, text, name, NULL))
    return;
  g_signal_emit_by_name (self, "trust-unsaved");
}
