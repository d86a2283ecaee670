/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copy/receiver.h"
#include "copy/sender.h"
#include "copy/wire.h"
#include "client/standard-streams.h"
#include "ctl/copy-bar.h"
#include "ctl/output.h"
#include "ctl/remote.h"
#include "ctl/text.h"
#include "ctl/verb.h"

#define LOOK_EVERY_US (G_USEC_PER_SEC / 10)
#define MOST_EVENTS 32 /* of the node, that are looked at in between */

typedef struct {
  char *peer;     /* its name; NULL: the sources are here */
  char **sources; /* paths */
  char *dest;     /* a path */
  gboolean to_peer;
} Places;

typedef struct {
  const Places *places;
  HyphaCopyBar bar;
  HyphaCopyCounts counts;
  guint64 problems;
  gint64 looked; /* for what the node tells; us */
} Copy;

static void
places_clear (Places *self)
{
  g_free (self->peer);
  g_strfreev (self->sources);
  g_free (self->dest);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Places, places_clear)

/* ---- what is typed ---- */

/* What stands before a colon is a peer, unless a slash stands before that. */
static const char *
find_colon (const char *word)
{
  const char *colon = strchr (word, ':');
  const char *slash = strchr (word, '/');

  return colon && (slash == NULL || colon < slash) ? colon : NULL;
}

static gboolean
fail_usage (GError **error, const char *sentence)
{
  g_set_error_literal (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, sentence);
  return FALSE;
}

/* Paths are bytes, and words were made UTF-8. */
static char *
dup_local (const char *word)
{
  g_autofree char *path = g_locale_from_utf8 (word, -1, NULL, NULL, NULL);

  return path ? g_steal_pointer (&path) : g_strdup (word);
}

static gboolean
take_word (Places *self, const char *word, gboolean source, GStrvBuilder *sources, GError **error)
{
  const char *colon = find_colon (word);
  g_autofree char *path = colon ? g_strdup (colon + 1) : dup_local (word);
  g_autofree char *peer = colon ? g_strndup (word, (gsize) (colon - word)) : NULL;

  if (peer && *peer == '\0')
    return fail_usage (error, _ ("what stands before ':' is a peer, and none is named: a file "
                                 "whose name has a ':' is written ./NAME"));
  if (peer && self->peer && !g_str_equal (peer, self->peer))
    return fail_usage (error, _ ("all sources have to be at the same peer"));
  if (peer && self->peer == NULL)
    self->peer = g_steal_pointer (&peer);
  if (source)
    g_strv_builder_add (sources, path);
  else
    self->dest = g_steal_pointer (&path);
  return TRUE;
}

/* Two of one name would be one, at the other end. */
static gboolean
check_names (char **sources, GError **error)
{
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (; *sources; sources++) {
    g_autofree char *name = g_path_get_basename (*sources);

    if (g_hash_table_add (names, g_strdup (name)))
      continue;
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("two of the sources are called %s: copy them one after the other"), name);
    return FALSE;
  }
  return TRUE;
}

static gboolean
take_words (Places *self, char **words, GError **error)
{
  g_autoptr (GStrvBuilder) sources = g_strv_builder_new ();
  guint n = g_strv_length (words), far = 0;

  for (guint i = 0; i < n; i++) {
    far += i + 1 < n && find_colon (words[i]);
    if (!take_word (self, words[i], i + 1 < n, sources, error))
      return FALSE;
  }
  self->sources = g_strv_builder_end (sources);
  self->to_peer = find_colon (words[n - 1]) != NULL;
  if (self->peer == NULL || (self->to_peer ? far > 0 : far != n - 1))
    return fail_usage (error, _ ("either the sources or the destination are at a peer, and are "
                                 "written PEER:PATH; the other is here"));
  return check_names (self->sources, error);
}

/* ---- the request ---- */

static char *
make_request (const Places *places, const char *login, GError **error)
{
  g_auto (GVariantDict) request = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GVariant) whole = NULL;
  g_autofree char *text = NULL;

  if (places->to_peer)
    g_variant_dict_insert (&request, "put", "s", places->dest);
  else
    g_variant_dict_insert_value (&request, "get",
                                 g_variant_new_strv ((const char **) places->sources, -1));
  if (places->to_peer && places->sources[1] != NULL)
    g_variant_dict_insert (&request, "into", "b", TRUE);
  if (login)
    g_variant_dict_insert (&request, "user", "s", login);
  whole = g_variant_ref_sink (g_variant_dict_end (&request));
  text = hypha_ctl_format_json_line (whole);
  if (strlen (text) <= HYPHA_PARCEL_MAX)
    return g_steal_pointer (&text);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
               _ ("the paths are too long: together they may have %d bytes, as JSON"),
               HYPHA_PARCEL_MAX);
  return NULL;
}

/* ---- how it gets on ---- */

static void
on_file (const char *path, guint64 size, gpointer user_data)
{
  hypha_copy_bar_begin (&((Copy *) user_data)->bar, path, size);
}

static void
on_moved (guint64 position, gpointer user_data)
{
  hypha_copy_bar_move (&((Copy *) user_data)->bar, position);
}

static void
on_problem (const char *sentence, gboolean far, gpointer user_data)
{
  Copy *self = user_data;
  g_autofree char *whole =
      far ? g_strdup_printf ("%s: %s", self->places->peer, sentence) : g_strdup (sentence);
  g_autofree char *safe = hypha_ctl_escape (whole);

  self->problems++;
  hypha_copy_bar_erase (&self->bar);
  fprintf (stderr, "hyphactl: %s\n", safe);
}

/* What the node tells meanwhile would pile up. */
static void
on_tick (gpointer user_data)
{
  Copy *self = user_data;
  gint64 now = g_get_monotonic_time ();

  if (now - self->looked < LOOK_EVERY_US)
    return;
  self->looked = now;
  for (int i = 0; i < MOST_EVENTS && g_main_context_iteration (NULL, FALSE); i++)
    ;
  hypha_copy_bar_tick (&self->bar);
}

static const HyphaCopyEvents events = {
  .file = on_file, .moved = on_moved, .problem = on_problem, .tick = on_tick
};

/* ---- both ways ---- */

static gboolean
say_request (int fd, const char *request, GError **error)
{
  static const HyphaCopyWireEvents deaf = { 0 };
  g_autoptr (HyphaCopyWire) wire = hypha_copy_wire_new (fd, &deaf, NULL);

  hypha_parcel_append (hypha_copy_wire_get_out (wire), HYPHA_COPY_REQUEST, request,
                       strlen (request));
  return hypha_copy_wire_flush (wire, error);
}

static gboolean
send_to (Copy *self, int fd, GError **error)
{
  g_autoptr (HyphaCopySender) sender = hypha_copy_sender_new (fd, &events, self);
  gboolean goes_on = TRUE;

  for (char **path = self->places->sources; goes_on && *path; path++) {
    g_auto (HyphaCopySource) source = { .fd = -1 };
    g_autoptr (GError) reason = NULL;

    goes_on = hypha_copy_source_open (&source, -1, *path, *path, &reason)
                  ? hypha_copy_sender_add (sender, &source, *path, error)
                  : hypha_copy_sender_miss (sender, reason->message, error);
  }
  return goes_on && hypha_copy_sender_finish (sender, &self->counts, error);
}

static gboolean
run (Copy *self, HyphaStream *stream, const char *request, const HyphaCopyDestination *destination,
     GError **error)
{
  int fd = hypha_stream_get_fd (stream);
  g_autoptr (GError) reason = NULL;
  g_autoptr (GError) end = NULL;

  if (say_request (fd, request, &reason) &&
      (destination ? hypha_copy_receive (fd, destination, &events, self, &self->counts, &reason)
                   : send_to (self, fd, &reason)))
    return TRUE;
  hypha_copy_bar_erase (&self->bar);
  if (!g_error_matches (reason, HYPHA_ERROR, HYPHA_ERROR_RESET)) {
    g_propagate_error (error, g_steal_pointer (&reason));
    return FALSE;
  }
  end = hypha_remote_find_end (stream);
  g_set_error (error, HYPHA_ERROR, end->code,
               _ ("the copy was broken off: %s; the same command goes on with the file that was "
                  "under way"),
               end->message);
  return FALSE;
}

static void
print_counts (const Copy *self)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&builder, "{sv}", "files", g_variant_new_uint64 (self->counts.files));
  g_variant_builder_add (&builder, "{sv}", "directories",
                         g_variant_new_uint64 (self->counts.directories));
  g_variant_builder_add (&builder, "{sv}", "links", g_variant_new_uint64 (self->counts.links));
  g_variant_builder_add (&builder, "{sv}", "bytes", g_variant_new_uint64 (self->counts.bytes));
  g_variant_builder_add (&builder, "{sv}", "resumed", g_variant_new_uint64 (self->counts.resumed));
  g_variant_builder_add (&builder, "{sv}", "skipped", g_variant_new_uint64 (self->problems));
  hypha_ctl_print_json (g_variant_builder_end (&builder));
}

/* As whoever did not catch it: a script that is told to end ends with the command. */
static void
die_of_signal (void)
{
  int number = hypha_copy_wire_get_signal ();

  if (number == 0)
    return;
  signal (number, SIG_DFL);
  raise (number);
}

/* ---- the verb ---- */

/* The peer does not tell which of the three it is. */
static void
add_what_mends (GError **error)
{
  g_autoptr (GError) bare = NULL;

  if (!g_error_matches (*error, HYPHA_ERROR, HYPHA_ERROR_NO_SUCH_SERVICE))
    return;
  bare = g_steal_pointer (error);
  g_set_error (error, HYPHA_ERROR, bare->code,
               _ ("%s: hypha-agent has to run there, and the settings of its node have to name the "
                  "service cp with this node among its peers, and with roots, the directories to "
                  "copy from and to"),
               bare->message);
}

static HyphaStream *
open_stream (HyphaCtl *ctl, const char *name, int timeout, GError **error)
{
  g_autoptr (HyphaClientPeer) peer = hypha_ctl_find_peer (ctl, name, error);
  HyphaStream *stream =
      peer ? hypha_ctl_open_stream (peer, HYPHA_COPY_SERVICE, FALSE, (guint) timeout, error) : NULL;

  if (peer && stream == NULL)
    add_what_mends (error);
  return stream;
}

gboolean
hypha_verb_cp (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  int timeout = 10000;
  gboolean quiet = FALSE, recursive = FALSE;
  g_autofree char *login = NULL;
  const GOptionEntry options[] = {
    { "login", 'l', 0, G_OPTION_ARG_STRING, &login, N_ ("Be this user of the peer"), N_ ("USER") },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, N_ ("Do not show how it gets on"), NULL },
    { "recursive", 'r', 0, G_OPTION_ARG_NONE, &recursive,
      N_ ("Copy directories, which is done without this as well"), NULL },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &timeout,
      N_ ("Milliseconds to wait for the peer to take the stream (10000)"), "MS" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_auto (Places) places = { 0 };
  g_auto (HyphaCopyDestination) destination = { .fd = -1 };
  g_autofree char *request = NULL;
  g_autoptr (HyphaStream) stream = NULL;
  Copy copy = { .places = &places };
  gboolean done;

  if (words == NULL || !hypha_verb_check_range ("--timeout", timeout, 1, G_MAXINT, error) ||
      !take_words (&places, words, error))
    return FALSE;
  hypha_client_open_standard_streams ();
  request = make_request (&places, login, error);
  if (request == NULL ||
      (!places.to_peer && !hypha_copy_destination_open (&destination, -1, places.dest, places.dest,
                                                        places.sources[1] != NULL, error)))
    return FALSE;
  if (!places.to_peer)
    hypha_copy_destination_want (&destination, places.sources);
  stream = open_stream (ctl, places.peer, timeout, error);
  if (stream == NULL)
    return FALSE;
  hypha_copy_wire_end_by_signal (hypha_stream_get_fd (stream));
  hypha_copy_bar_open (&copy.bar, !quiet);
  done = run (&copy, stream, request, places.to_peer ? NULL : &destination, error);
  hypha_copy_bar_clear (&copy.bar);
  if (!done) {
    die_of_signal ();
    return FALSE;
  }
  if (ctl->json)
    print_counts (&copy);
  ctl->status = copy.problems > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
  return TRUE;
}
