/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/mirror.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "api/hypha-text.h"
#include "service/forward.h"
#include "service/hearer.h"
#include "service/port-set.h"
#include "service/ports.h"
#include "service/service.h"

#define STAR ":*"
#define OPTION "ports="
/* As of any endpoint: each range costs as many steps as it has ports. */
#define MAX_LENGTH 4096

/* Those below are for services of this machine, and take a privilege: only who names them gets
 * them. */
#define FIRST_PORT 1024

/* A port that is taken here may be free some time. */
#define RECHECK_SECONDS 2

struct _HyphaMirror {
  HyphaNode *node;
  char *local;           /* as it was given */
  char *before, *target; /* what a port is put behind: "scheme://host:", "kind:" */
  char *name;            /* of the peer, as it was given */
  HyphaPortSet allowed;
  HyphaMirrorChanged changed;
  gpointer user_data;

  HyphaHearer *hearer;
  gboolean open;
  HyphaPortSet listed; /* what the peer told */
  GHashTable *doors;   /* port to HyphaForward */
  HyphaPorts *ports;   /* of this machine */
  guint recheck, first_taken, n_taken, n_beyond;
  HyphaTelling own;      /* of all doors */
  HyphaTelling *telling; /* OWN, or one that is shared */

  char *reason;               /* as it was told last */
  guint64 rx_bytes, tx_bytes; /* of doors that have closed */
};

/* ---- doors ---- */

static void
on_door_changed (HyphaForward *door, HyphaMirror *self)
{
  self->changed (self->user_data);
}

static void
door_free (gpointer data)
{
  HyphaForward *door = data;

  hypha_forward_close (door);
  g_object_unref (door);
}

static void
close_door (HyphaMirror *self, HyphaForward *door)
{
  guint64 rx, tx;

  hypha_forward_get_counters (door, &rx, &tx);
  self->rx_bytes += rx;
  self->tx_bytes += tx;
  g_signal_handlers_disconnect_by_data (door, self);
}

/* Those that are not in WANTED (nullable: all). */
static void
close_doors (HyphaMirror *self, const HyphaPortSet *wanted)
{
  GHashTableIter iter;
  gpointer port, door;

  g_hash_table_iter_init (&iter, self->doors);
  while (g_hash_table_iter_next (&iter, &port, &door)) {
    if (wanted != NULL && hypha_port_set_has (wanted, GPOINTER_TO_UINT (port)))
      continue;
    close_door (self, door);
    g_hash_table_iter_remove (&iter);
  }
}

static void
open_door (HyphaMirror *self, guint port)
{
  g_autofree char *local = g_strdup_printf ("%s%u", self->before, port);
  g_autofree char *target = g_strdup_printf ("%s%u", self->target, port);
  const HyphaForwardPlan plan = { local, self->name, target, FALSE };
  g_autoptr (GError) error = NULL;
  /* What is shared is shared with others that peers have asked for. */
  HyphaForwardOrigin origin =
      self->telling == &self->own ? HYPHA_FORWARD_SETTINGS : HYPHA_FORWARD_PEER;
  HyphaForward *door = hypha_forward_new (self->node, NULL, 0, &plan, origin, &error);

  if (door == NULL) {
    g_message ("mirror %s: %s", self->local, error->message);
    return;
  }
  hypha_forward_share_telling (door, self->telling);
  g_signal_connect (door, "changed", G_CALLBACK (on_door_changed), self);
  g_hash_table_insert (self->doors, GUINT_TO_POINTER (port), door);
  hypha_forward_open (door);
}

static void apply (HyphaMirror *self);

static gboolean
on_recheck (gpointer data)
{
  HyphaMirror *self = data;

  self->recheck = 0;
  apply (self);
  return G_SOURCE_REMOVE;
}

/* What the peer listens on and is not open here. A port that somebody has here is passed over
 * without trying it: whoever connects to it means the one that is here. */
static void
open_doors (HyphaMirror *self, const HyphaPortSet *wanted)
{
  HyphaPortSet taken = { 0 };
  gboolean looked = FALSE;

  for (guint port = hypha_port_set_next (wanted, 0); port != 0;
       port = hypha_port_set_next (wanted, port)) {
    if (g_hash_table_contains (self->doors, GUINT_TO_POINTER (port)))
      continue;
    /* If the kernel does not tell, the door will. */
    if (!looked)
      hypha_ports_look (self->ports, &taken, NULL);
    looked = TRUE;
    if (hypha_port_set_has (&taken, port)) {
      if (self->n_taken++ == 0)
        self->first_taken = port;
    } else if (g_hash_table_size (self->doors) >= HYPHA_MIRROR_MAX_PORTS) {
      self->n_beyond++;
    } else {
      open_door (self, port);
    }
  }
}

static void
apply (HyphaMirror *self)
{
  HyphaPortSet wanted;

  for (gsize i = 0; i < G_N_ELEMENTS (wanted.bits); i++)
    wanted.bits[i] = self->listed.bits[i] & self->allowed.bits[i];
  self->n_taken = self->n_beyond = 0;
  close_doors (self, &wanted);
  open_doors (self, &wanted);
  g_clear_handle_id (&self->recheck, g_source_remove);
  if (self->n_taken > 0)
    self->recheck = g_timeout_add_seconds (RECHECK_SECONDS, on_recheck, self);
  self->changed (self->user_data);
}

static gboolean
on_heard (const char *line, gsize length, gpointer user_data, GError **error)
{
  HyphaMirror *self = user_data;
  HyphaPortSet told;

  if (!hypha_port_set_parse_line (&told, line, length, error))
    return FALSE;
  self->listed = told;
  apply (self);
  return TRUE;
}

/* Whether they are still listened on, nobody knows. */
static void
on_lost (gpointer user_data)
{
  HyphaMirror *self = user_data;

  memset (&self->listed, 0, sizeof self->listed);
  apply (self);
}

static const HyphaHearerKind ports_kind = {
  .service = "ports",
  .longest = HYPHA_PORT_LINE_MAX,
  .no_more = N_ ("the peer tells its ports no more"),
  .heard = on_heard,
  .lost = on_lost,
};

void
hypha_mirror_open (HyphaMirror *self)
{
  GHashTableIter iter;
  gpointer door;

  g_hash_table_iter_init (&iter, self->doors);
  while (g_hash_table_iter_next (&iter, NULL, &door))
    hypha_forward_open (door);
  if (self->open)
    return;
  self->open = TRUE;
  hypha_hearer_open (self->hearer);
}

void
hypha_mirror_close (HyphaMirror *self)
{
  if (!self->open)
    return;
  self->open = FALSE;
  hypha_hearer_close (self->hearer);
  g_clear_handle_id (&self->recheck, g_source_remove);
  close_doors (self, NULL);
}

/* ---- what it is ---- */

gboolean
hypha_mirror_is_target (const char *target)
{
  return g_str_has_suffix (target, STAR) && strlen (target) > strlen (STAR);
}

/* What is before the star of LOCAL, less its options; NULL: it has none. */
static char *
dup_before (const char *local)
{
  gsize length = strcspn (local, "?");

  if (length <= strlen (STAR) || strncmp (local + length - strlen (STAR), STAR, strlen (STAR)) != 0)
    return NULL;
  return g_strndup (local, length - 1);
}

char *
hypha_mirror_dup_sample (const char *local, const char *target)
{
  g_autofree char *before = hypha_mirror_is_target (target) ? dup_before (local) : NULL;

  return before != NULL ? g_strdup_printf ("%s%u", before, HYPHA_PORT_MAX) : g_strdup (local);
}

static gboolean
read_filter (HyphaMirror *self, GError **error)
{
  const char *options = strchr (self->local, '?');

  for (guint port = FIRST_PORT; options == NULL && port <= HYPHA_PORT_MAX; port++)
    hypha_port_set_add (&self->allowed, port);
  if (options == NULL)
    return TRUE;
  if (g_str_has_prefix (options + 1, OPTION))
    return hypha_port_set_parse_ranges (&self->allowed, options + 1 + strlen (OPTION), error);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("of a mirror, the endpoint has no option but ports, as in '%s*?ports=8000-8999'"),
               self->before);
  return FALSE;
}

static gboolean
check_length (HyphaMirror *self, GError **error)
{
  g_autofree char *quoted = NULL;
  g_autofree char *why = NULL;

  if (strlen (self->local) <= MAX_LENGTH)
    return TRUE;
  quoted = hypha_text_quote (self->local);
  why = g_strdup_printf (_ ("it is longer than %d bytes"), MAX_LENGTH);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT, _ ("%s is not an endpoint: %s"),
               quoted, why);
  return FALSE;
}

/* With the longest port. */
static gboolean
check_target (HyphaMirror *self, GError **error)
{
  g_autofree char *service = g_strdup_printf ("%s%u", self->target, HYPHA_PORT_MAX);

  return hypha_service_check_name (service, HYPHA_ERROR_INVALID_ARGUMENT, error);
}

static gboolean
read_local (HyphaMirror *self, GError **error)
{
  g_autofree char *sample = hypha_mirror_dup_sample (self->local, STAR STAR);
  g_autoptr (HyphaEndpoint) endpoint = NULL;

  self->before = dup_before (self->local);
  if (self->before == NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                         _ ("'*' stands for a port: it is at the end of both what is listened on "
                            "and the target, after a colon, or in neither"));
    return FALSE;
  }
  endpoint = hypha_loader_check_endpoint (hypha_node_get_loader (self->node), sample, error);
  return endpoint != NULL && read_filter (self, error);
}

HyphaMirror *
hypha_mirror_new (HyphaNode *node, const char *local, const char *peer, const char *target,
                  HyphaMirrorChanged changed, gpointer user_data, GError **error)
{
  HyphaMirror *self = g_new0 (HyphaMirror, 1);

  self->node = g_object_ref (node);
  self->local = g_strdup (local);
  self->target = g_strndup (target, strlen (target) - 1);
  self->name = g_strdup (peer);
  self->changed = changed;
  self->user_data = user_data;
  self->doors = g_hash_table_new_full (NULL, NULL, NULL, door_free);
  self->ports = hypha_ports_new ();
  self->telling = &self->own;
  self->hearer = hypha_hearer_new (node, peer, local, NULL, &ports_kind, self);
  if (check_length (self, error) && check_target (self, error) && read_local (self, error))
    return self;
  hypha_mirror_free (self);
  return NULL;
}

void
hypha_mirror_share_telling (HyphaMirror *self, HyphaTelling *telling)
{
  self->telling = telling;
  hypha_hearer_share_telling (self->hearer, telling);
}

void
hypha_mirror_free (HyphaMirror *self)
{
  hypha_hearer_unref (self->hearer);
  g_hash_table_unref (self->doors);
  hypha_ports_free (self->ports);
  g_object_unref (self->node);
  g_free (self->local);
  g_free (self->before);
  g_free (self->target);
  g_free (self->name);
  g_free (self->reason);
  g_free (self);
}

/* ---- what is told ---- */

static gboolean
is_listening (HyphaForward *door)
{
  return g_str_equal (hypha_forward_get_state (door), "listening");
}

const char *
hypha_mirror_get_state (HyphaMirror *self)
{
  if (hypha_hearer_hears (self->hearer))
    return "listening";
  return hypha_hearer_has_failed (self->hearer) ? "failed" : "opening";
}

/* The doors, as a set. */
static void
list_doors (HyphaMirror *self, HyphaPortSet *set)
{
  GHashTableIter iter;
  gpointer port;

  memset (set, 0, sizeof *set);
  g_hash_table_iter_init (&iter, self->doors);
  while (g_hash_table_iter_next (&iter, &port, NULL))
    hypha_port_set_add (set, GPOINTER_TO_UINT (port));
}

/* What the first port says that has something to say; NULL: none has. */
static char *
dup_door_reason (HyphaMirror *self)
{
  HyphaPortSet set;

  list_doors (self, &set);
  for (guint port = hypha_port_set_next (&set, 0); port != 0;
       port = hypha_port_set_next (&set, port)) {
    HyphaForward *door = g_hash_table_lookup (self->doors, GUINT_TO_POINTER (port));
    const char *reason = hypha_forward_get_reason (door);

    if (*reason != '\0')
      return g_strdup_printf (_ ("port %u: %s"), port, reason);
  }
  return NULL;
}

static char *
dup_taken_reason (HyphaMirror *self)
{
  if (self->n_taken == 1)
    return g_strdup_printf (_ ("port %u is listened on here already"), self->first_taken);
  return g_strdup_printf (_ ("port %u and others, %u in all, are listened on here already"),
                          self->first_taken, self->n_taken);
}

const char *
hypha_mirror_get_reason (HyphaMirror *self)
{
  const GError *trouble = hypha_hearer_get_trouble (self->hearer);
  char *reason = NULL;

  if (trouble != NULL)
    reason = g_strdup (trouble->message);
  else if (self->n_taken > 0)
    reason = dup_taken_reason (self);
  else if (self->n_beyond > 0)
    reason = g_strdup_printf (_ ("the peer listens on %u ports more than the %d that are mirrored "
                                 "at most"),
                              self->n_beyond, HYPHA_MIRROR_MAX_PORTS);
  else
    reason = dup_door_reason (self);
  g_free (self->reason);
  self->reason = reason;
  return reason != NULL ? reason : "";
}

GVariant *
hypha_mirror_dup_ports (HyphaMirror *self)
{
  GVariantBuilder builder;
  HyphaPortSet set;

  list_doors (self, &set);
  g_variant_builder_init (&builder, G_VARIANT_TYPE ("aq"));
  for (guint port = hypha_port_set_next (&set, 0); port != 0;
       port = hypha_port_set_next (&set, port))
    if (is_listening (g_hash_table_lookup (self->doors, GUINT_TO_POINTER (port))))
      g_variant_builder_add (&builder, "q", (guint16) port);
  return g_variant_ref_sink (g_variant_builder_end (&builder));
}

void
hypha_mirror_get_counters (HyphaMirror *self, guint64 *rx_bytes, guint64 *tx_bytes)
{
  GHashTableIter iter;
  gpointer door;

  *rx_bytes = self->rx_bytes;
  *tx_bytes = self->tx_bytes;
  g_hash_table_iter_init (&iter, self->doors);
  while (g_hash_table_iter_next (&iter, NULL, &door)) {
    guint64 rx, tx;

    hypha_forward_get_counters (door, &rx, &tx);
    *rx_bytes += rx;
    *tx_bytes += tx;
  }
}
