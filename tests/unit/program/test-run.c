/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../contract/harness.h"
#include "program/patience.h"
#include "program/run.h"
#include "program/transport.h"

/* A transport that is a program, and one that breaks the rules: unruly.py, in the way that its
 * argument names. */

#define CONNECT_MS 20000
#define PATIENCE_MS 10000
#define QUICK_MS 200 /* for those that never answer */

typedef struct {
  char *directory;
  char *program;
  HyphaTransport *transport;
  GArray *pids; /* of int: every process that there was */
  guint descriptors;
} Fixture;

static guint count_at_rest (Fixture *f);

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *contents = NULL;
  gsize length;

  f->directory = g_dir_make_tmp ("hypha-program-test-XXXXXX", NULL);
  f->program = g_build_filename (f->directory, "unruly.py", NULL);
  f->pids = g_array_new (FALSE, FALSE, sizeof (int));
  g_assert_true (g_file_get_contents (g_getenv ("HYPHA_TEST_UNRULY"), &contents, &length, NULL));
  g_assert_true (g_file_set_contents (f->program, contents, (gssize) length, NULL));
  g_assert_cmpint (g_chmod (f->program, 0755), ==, 0);
  hypha_program_patience_set (PATIENCE_MS);
  f->descriptors = count_at_rest (f);
}

static gboolean
has_gone (gpointer data)
{
  int pid = *(int *) data;

  /* What it leaves behind is ours to bury, once it has been buried itself. */
  if (kill (pid, 0) < 0)
    while (waitpid (-pid, NULL, WNOHANG) > 0)
      ;
  return kill (-pid, 0) < 0 && errno == ESRCH && kill (pid, 0) < 0 && errno == ESRCH;
}

static void
note_pid (Fixture *f)
{
  int pid = f->transport != NULL
                ? hypha_program_transport_get_pid (HYPHA_PROGRAM_TRANSPORT (f->transport))
                : 0;

  if (pid > 0)
    g_array_append_val (f->pids, pid);
}

/* Nothing is left: no process, no descriptor, no file. */
static void
tear_down (Fixture *f, gconstpointer data)
{
  note_pid (f);
  /* How they are ended is a test of its own. */
  hypha_program_patience_set (QUICK_MS);
  if (f->transport != NULL) {
    hypha_transport_stop (f->transport);
    g_assert_finalize_object (f->transport);
  }
  for (guint i = 0; i < f->pids->len; i++)
    g_assert_true (harness_wait (has_gone, &g_array_index (f->pids, int, i)));
  g_assert_true (harness_wait_descriptors (f->descriptors));
  g_array_unref (f->pids);
  g_unlink (f->program);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->program);
  g_free (f->directory);
}

static void
start (Fixture *f, const char *how)
{
  g_autofree char *text = g_strdup_printf (
      "{\"protocol\": 1, \"name\": \"unruly\", \"version\": \"1\", \"schemes\": "
      "[\"unruly\", \"UNRULY\"], \"cost\": 7, \"options\": {\"depth\": \"integer\", "
      "\"word\": \"string\"}, \"command\": [\"unruly.py\", \"%s\"]}",
      how);
  g_autofree char *path = g_build_filename (f->directory, "unruly.json", NULL);
  g_autoptr (GBytes) bytes = g_bytes_new (text, strlen (text));
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaProgramManifest) manifest =
      hypha_program_manifest_parse (bytes, "unruly", path, &error);

  g_assert_no_error (error);
  f->transport = hypha_program_transport_new (manifest);
  hypha_transport_probe (f->transport, NULL, NULL);
  note_pid (f);
}

static gboolean
probe_fails (gpointer data)
{
  Fixture *f = data;

  return !hypha_transport_probe (f->transport, NULL, NULL);
}

static gboolean
is_answering (gpointer data)
{
  Fixture *f = data;

  return hypha_program_transport_is_answering (HYPHA_PROGRAM_TRANSPORT (f->transport));
}

static void
on_failed (HyphaListener *listener, const GError *error, gpointer user_data)
{
  *(GError **) user_data = g_error_copy (error);
}

static gboolean
has_failed (gpointer data)
{
  return *(GError **) data != NULL;
}

static void
ignore_channel (HyphaListener *listener, HyphaChannel *channel, gpointer user_data)
{
}

static GError *
fail_listening (Fixture *f, HyphaEndpoint *endpoint)
{
  GError *error = NULL;
  g_autoptr (HyphaListener) listener = harness_listen (f->transport, endpoint, &error);

  if (listener == NULL)
    return error;
  g_signal_connect (listener, "accepted", G_CALLBACK (ignore_channel), NULL);
  g_signal_connect (listener, "failed", G_CALLBACK (on_failed), &error);
  g_assert_true (harness_wait (has_failed, &error));
  g_assert_true (hypha_listener_is_closed (listener));
  return error;
}

typedef enum { PROBE, CONNECT, CONNECT_QUICK, LISTEN } Step;

static GError *
fail (Fixture *f, Step step)
{
  g_autoptr (HyphaEndpoint) endpoint = harness_parse (f->transport, "unruly:nest", NULL);
  g_autoptr (HyphaChannel) channel = NULL;
  GError *error = NULL;

  switch (step) {
  case PROBE:
    g_assert_true (harness_wait (probe_fails, f));
    hypha_transport_probe (f->transport, NULL, &error);
    return error;
  case CONNECT:
  case CONNECT_QUICK:
    channel =
        harness_connect (f->transport, endpoint, step == CONNECT ? CONNECT_MS : QUICK_MS, &error);
    return error;
  case LISTEN:
    return fail_listening (f, endpoint);
  default:
    g_assert_not_reached ();
  }
}

typedef struct {
  const char *how;
  Step step;
  gboolean impatient; /* the node is, so that the test need not be patient */
  HyphaError code;
  const char *words;
} Misdeed;

static const Misdeed misdeeds[] = {
  { "dies-at-start", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended with status 7" },
  { "dies-at-hello", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended by signal 11" },
  { "dies-at-probe", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended with status 0" },
  { "silent-at-hello", PROBE, TRUE, HYPHA_ERROR_UNAVAILABLE, "started again after 1 s" },
  /* On a machine that is busy, it is its hello that comes too late. */
  { "silent-at-probe", PROBE, TRUE, HYPHA_ERROR_UNAVAILABLE, "answer" },
  { "refuses", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "no such\\u{a}\\u{1b}thing" },
  { "unavailable", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "carrier-pigeon" },
  { "times-out-at-probe", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "the loft did not answer" },
  { "leaves-a-child", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended with status 3" },
  { "closes", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "closed its standard output" },
  { "garbage", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "what is no message" },
  { "no-object", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "no JSON object" },
  { "long-line", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "more than 65536 bytes" },
  { "wrong-type", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "'id' is no whole number" },
  { "number-from-nowhere", PROBE, FALSE, HYPHA_ERROR_UNAVAILABLE, "was not asked" },
  { "dies-at-connect", CONNECT, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended with status 0" },
  { "silent-at-connect", CONNECT_QUICK, FALSE, HYPHA_ERROR_TIMED_OUT, "unruly:nest: there was" },
  { "never-answers-connect", CONNECT_QUICK, FALSE, HYPHA_ERROR_TIMED_OUT, "within 200 ms" },
  { "answers-too-late", CONNECT_QUICK, FALSE, HYPHA_ERROR_TIMED_OUT, "within 200 ms" },
  { "no-channel", CONNECT, FALSE, HYPHA_ERROR_PLUGIN, "without a channel" },
  { "promises", CONNECT, FALSE, HYPHA_ERROR_UNAVAILABLE, "did not come" },
  { "uninvited", CONNECT, FALSE, HYPHA_ERROR_PLUGIN, "without a channel" },
  { "descriptor-alone", CONNECT, FALSE, HYPHA_ERROR_UNAVAILABLE, "no message" },
  { "many-descriptors", CONNECT, FALSE, HYPHA_ERROR_UNAVAILABLE, "more descriptors at once" },
  { "no-socket", CONNECT, FALSE, HYPHA_ERROR_PLUGIN, "not a stream socket" },
  { "wrong-local", CONNECT, FALSE, HYPHA_ERROR_PLUGIN, "scheme that is not its own" },
  { "strange-error", CONNECT, FALSE, HYPHA_ERROR_FAILED, "xxxxxxxx" },
  { "error-without-words", CONNECT, FALSE, HYPHA_ERROR_PLUGIN, "'code' is missing" },
  { "error-with-a-channel", CONNECT, FALSE, HYPHA_ERROR_BUSY, "the nest is full" },
  { "dies-at-listen", LISTEN, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended with status 0" },
  { "dies-after-listen", LISTEN, FALSE, HYPHA_ERROR_UNAVAILABLE, "ended with status 0" },
  { "silent-at-listen", LISTEN, TRUE, HYPHA_ERROR_TIMED_OUT, "cannot listen on unruly:nest" },
  { "wrong-bound", LISTEN, FALSE, HYPHA_ERROR_PLUGIN, "an endpoint that is none" },
  { "listener-fails", LISTEN, FALSE, HYPHA_ERROR_FAILED, "the cable is out" },
  { "accepts-no-socket", LISTEN, FALSE, HYPHA_ERROR_PLUGIN, "not a stream socket" },
  { "accepts-nothing", LISTEN, FALSE, HYPHA_ERROR_UNAVAILABLE, "without a descriptor" },
  { "wrong-remote", LISTEN, FALSE, HYPHA_ERROR_PLUGIN, "an endpoint that is none" },
  { "floods", LISTEN, FALSE, HYPHA_ERROR_UNAVAILABLE, "nobody has asked for" },
};

static void
test_misdeed (Fixture *f, gconstpointer data)
{
  const Misdeed *misdeed = data;
  g_autoptr (GError) error = NULL;

  start (f, misdeed->how);
  if (misdeed->impatient && misdeed->step != PROBE)
    g_assert_true (harness_wait (is_answering, f));
  if (misdeed->impatient) {
    hypha_program_patience_set (QUICK_MS);
    if (misdeed->step == PROBE) {
      hypha_program_transport_rest (HYPHA_PROGRAM_TRANSPORT (f->transport));
      hypha_transport_probe (f->transport, NULL, NULL);
      note_pid (f);
    }
  }
  error = fail (f, misdeed->step);
  g_test_message ("%s", error->message);
  g_assert_error (error, HYPHA_ERROR, (int) misdeed->code);
  if (strstr (error->message, misdeed->words) == NULL)
    g_error ("\"%s\" does not say \"%s\"", error->message, misdeed->words);
  g_assert_cmpuint (strlen (error->message), <, 1000);
}

static HyphaChannel *
connect_to (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = harness_parse (f->transport, "UNRULY:nest", NULL);
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = harness_connect (f->transport, endpoint, CONNECT_MS, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (hypha_endpoint_to_string (hypha_channel_get_remote (channel)), ==,
                   "unruly:nest");
  g_assert_cmpint (hypha_channel_get_flags (channel), ==, HYPHA_CHANNEL_NONE);
  return channel;
}

/* What the first use of GLib's machinery opens stays open, so this is counted after one whole
 * round.
 */
static guint
count_at_rest (Fixture *f)
{
  static gboolean warm;
  guint n = harness_count_descriptors ();

  if (warm)
    return n;
  warm = TRUE;
  start (f, "good");
  g_object_unref (connect_to (f));
  hypha_transport_stop (f->transport);
  g_clear_object (&f->transport);
  g_assert_true (harness_wait_stable (&n));
  return n;
}

/* What nobody asked for is closed, and does not stand in the way. */
static void
test_tolerated (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (HyphaChannel) another = NULL;

  start (f, data);
  channel = connect_to (f);
  another = connect_to (f);
  g_assert_cmpint (hypha_program_transport_get_pid (HYPHA_PROGRAM_TRANSPORT (f->transport)), ==,
                   g_array_index (f->pids, int, 0));
}

static void
test_unfit_host_is_left_out (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;

  start (f, "piecewise");
  channel = connect_to (f);
  g_assert_null (hypha_channel_get_host (channel));
}

static void
test_wrong_tickets (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  char buffer[16] = "";

  start (f, "wrong-ticket");
  channel = connect_to (f);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, "at last");
  /* What came right behind the ticket is the channel's. */
  g_assert_cmpint (harness_read (hypha_channel_get_fd (channel), buffer, sizeof buffer), ==, 5);
  g_assert_cmpstr (buffer, ==, "first");
}

static gboolean
has_another_pid (gpointer data)
{
  Fixture *f = data;
  int pid = hypha_program_transport_get_pid (HYPHA_PROGRAM_TRANSPORT (f->transport));

  return pid > 0 && pid != g_array_index (f->pids, int, 0) && is_answering (f) && !probe_fails (f);
}

static void
on_changed (HyphaProgramTransport *transport, guint *n)
{
  (*n)++;
}

static void
test_starts_again (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (HyphaChannel) refused = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  start (f, "good");
  endpoint = harness_parse (f->transport, "unruly:nest", NULL);
  channel = connect_to (f);
  listener = harness_listen (f->transport, endpoint, &error);
  g_signal_connect (listener, "accepted", G_CALLBACK (ignore_channel), NULL);
  g_signal_connect (listener, "failed", G_CALLBACK (on_failed), &error);
  g_signal_connect (f->transport, "changed", G_CALLBACK (on_changed), &changes);
  kill (g_array_index (f->pids, int, 0), SIGKILL);
  g_assert_true (harness_wait (has_failed, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "signal 9"));
  g_clear_error (&error);
  /* It says so at once, and does not wait for the next start. */
  refused = harness_connect (f->transport, endpoint, CONNECT_MS, &error);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "started again after 1 s"));
  g_assert_true (harness_wait (has_another_pid, f));
  g_assert_cmpuint (changes, ==, 2);
  g_object_unref (connect_to (f));
}

/* Whatever it does about it: SIGKILL is the end. */
static void
test_stubborn_is_killed (Fixture *f, gconstpointer data)
{
  gint64 begin;

  start (f, "stubborn");
  g_assert_true (harness_wait (is_answering, f));
  hypha_program_patience_set (QUICK_MS);
  begin = g_get_monotonic_time ();
  hypha_transport_stop (f->transport);
  g_assert_true (harness_wait (has_gone, &g_array_index (f->pids, int, 0)));
  g_assert_cmpint (g_get_monotonic_time () - begin, >=,
                   2 * (QUICK_MS / 10) * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpint (g_get_monotonic_time () - begin, <, 10 * G_TIME_SPAN_SECOND);
}

/* One that hangs while it is asked is ended, and the next one is asked again. */
static void
test_hanging_is_ended (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  start (f, "silent-at-connect");
  g_assert_true (harness_wait (is_answering, f));
  hypha_program_patience_set (QUICK_MS);
  error = fail (f, CONNECT_QUICK);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  hypha_program_patience_set (PATIENCE_MS);
  g_assert_true (harness_wait (has_another_pid, f));
}

/* A program that has Hypha's library in it may bury every child, or none, by ways of its own. */
static void
test_is_buried_by_others (Fixture *f, gconstpointer data)
{
  struct sigaction other = { .sa_handler = SIG_IGN }, usual;
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (sigaction (SIGCHLD, &other, &usual), ==, 0);
  start (f, "dies-at-connect");
  error = fail (f, CONNECT);
  g_assert_cmpint (sigaction (SIGCHLD, &usual, NULL), ==, 0);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, "it ended"));
}

static gboolean
has_ended_with_9 (gpointer data)
{
  Fixture *f = data;
  g_autoptr (GError) error = NULL;

  return !hypha_transport_probe (f->transport, NULL, &error) &&
         strstr (error->message, "status 9") != NULL;
}

/* Nobody has it any more, and its address is to be free. This one ends when it is told so. */
static void
test_late_listener_is_closed (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  start (f, "listens-too-late");
  g_assert_true (harness_wait (is_answering, f));
  hypha_program_patience_set (500);
  error = fail (f, LISTEN);
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  hypha_program_patience_set (PATIENCE_MS);
  g_assert_true (harness_wait (has_ended_with_9, f));
}

/* It may have answered when it is told that nobody wants it. */
static void
test_cancelled_listener_frees_its_address (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (GError) error = NULL;

  start (f, "has-each-address-once");
  g_assert_true (harness_wait (is_answering, f));
  endpoint = harness_parse (f->transport, "unruly:nest", NULL);
  for (guint i = 0; i < 5; i++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GAsyncResult) result = NULL;
    g_autoptr (GError) cancelled = NULL;

    hypha_transport_listen_async (f->transport, endpoint, cancellable, harness_keep_result,
                                  &result);
    g_cancellable_cancel (cancellable);
    harness_wait_result (&result);
    g_assert_null (hypha_transport_listen_finish (f->transport, result, &cancelled));
    g_assert_error (cancelled, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  }
  listener = harness_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  hypha_listener_close (listener);
}

static void
test_never_reads (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  GAsyncResult *results[1000] = { NULL };
  g_autofree char *long_one = g_strnfill (1000, 'x');
  g_autofree char *uri = g_strconcat ("unruly:", long_one, NULL);

  start (f, "never-reads");
  g_assert_true (harness_wait (is_answering, f));
  endpoint = harness_parse (f->transport, uri, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++)
    hypha_transport_connect_async (f->transport, endpoint, CONNECT_MS, NULL, harness_keep_result,
                                   &results[i]);
  for (guint i = 0; i < G_N_ELEMENTS (results); i++) {
    g_autoptr (GError) error = NULL;

    harness_wait_result (&results[i]);
    g_assert_null (hypha_transport_connect_finish (f->transport, results[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
    if (i == 0)
      g_assert_nonnull (strstr (error->message, "does not read"));
    g_clear_object (&results[i]);
  }
}

static void
test_channels_wait_for_who_takes_them (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HarnessSink) sink = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  guint before;

  start (f, "accepts-too-early");
  endpoint = harness_parse (f->transport, "unruly:nest", NULL);
  listener = harness_listen (f->transport, endpoint, NULL);
  /* All of them have come: of this program the next answer is behind them. */
  before = harness_count_descriptors ();
  channel = connect_to (f);
  g_assert_cmpuint (harness_count_descriptors (), <=, before + 65);
  sink = harness_sink_new (listener);
  g_assert_true (harness_wait_accepted (sink, 64));
  g_assert_cmpuint (sink->channels->len, ==, 64);
  hypha_listener_close (listener);
}

static void
test_events_of_a_later_protocol (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (HyphaListener) listener = NULL;
  g_autoptr (HarnessSink) sink = NULL;
  HyphaChannel *channel;

  start (f, "other-events");
  endpoint = harness_parse (f->transport, "unruly:nest", NULL);
  listener = harness_listen (f->transport, endpoint, NULL);
  sink = harness_sink_new (listener);
  g_assert_true (harness_wait_accepted (sink, 1));
  channel = sink->channels->pdata[0];
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, "me");
  g_assert_null (hypha_channel_get_remote (channel));
  g_assert_true (hypha_endpoint_equal (hypha_channel_get_local (channel), endpoint));
  hypha_listener_close (listener);
}

static void
test_details_and_options (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *options, *words;
  } wrong[] = {
    { "{'depth': <'3'>}", "'depth' of the transport 'unruly' takes a value of the kind 'integer'" },
    { "{'depth': <uint64 9223372036854775808>}", "one of the type 't'" },
    { "{'word': <true>}", "type 'b'" },
    { "{'words': <true>}", "no option 'words'" },
  };
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GVariant) good =
      g_variant_ref_sink (g_variant_new_parsed ("{'depth': <int64 -3>, 'word': <'a\\nb'>}"));
  const char *colour = NULL;
  gint64 lines = 0;
  gboolean fast = TRUE;

  start (f, "good");
  g_assert_true (harness_wait (is_answering, f));
  g_assert_true (hypha_transport_probe (f->transport, &details, NULL));
  g_assert_true (g_variant_dict_lookup (&details, "colour", "&s", &colour));
  g_assert_true (g_variant_dict_lookup (&details, "lines", "x", &lines));
  g_assert_true (g_variant_dict_lookup (&details, "fast", "b", &fast));
  g_assert_cmpstr (colour, ==, "grey");
  g_assert_cmpint (lines, ==, 3);
  g_assert_false (fast);
  g_assert_false (g_variant_dict_contains (&details, "nested"));
  g_assert_true (hypha_transport_configure (f->transport, good, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (GVariant) options = g_variant_ref_sink (g_variant_new_parsed (wrong[i].options));
    g_autoptr (GError) error = NULL;

    g_assert_false (hypha_transport_configure (f->transport, options, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING);
    g_assert_nonnull (strstr (error->message, wrong[i].words));
  }
  g_assert_cmpuint (hypha_transport_get_link_cost (f->transport, NULL), ==, 7);
}

static void
set_depth (Fixture *f)
{
  g_autoptr (GVariant) options = g_variant_ref_sink (g_variant_new_parsed ("{'depth': <int64 9>}"));

  g_assert_true (hypha_transport_configure (f->transport, options, NULL));
}

/* That it cannot work is an answer, whatever it is called. */
static void
test_its_own_deadline_is_an_answer (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  start (f, "times-out-at-probe");
  error = fail (f, PROBE);
  g_assert_true (is_answering (f));
  g_assert_cmpint (hypha_program_transport_get_pid (HYPHA_PROGRAM_TRANSPORT (f->transport)), ==,
                   g_array_index (f->pids, int, 0));
}

/* The probe was under way, and goes well after that. */
static void
test_refused_options_are_told (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  start (f, "probe-waits-for-refusal");
  set_depth (f);
  g_assert_true (harness_wait (is_answering, f));
  g_assert_false (hypha_transport_probe (f->transport, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, "does not take its options: too deep"));
}

static gboolean
has_been_asked_again (gpointer data)
{
  Fixture *f = data;
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);

  g_assert_true (hypha_transport_probe (f->transport, &details, NULL));
  return g_variant_dict_contains (&details, "asked");
}

/* What it said without them is not told any more. */
static void
test_asked_again_with_new_options (Fixture *f, gconstpointer data)
{
  start (f, "probe-waits-for-options");
  set_depth (f);
  g_assert_true (harness_wait (has_been_asked_again, f));
}

/* That it took too long over its options is forgotten once it works. */
static void
test_unanswered_options_are_forgotten (Fixture *f, gconstpointer data)
{
  start (f, "probe-waits-for-cancel");
  hypha_program_patience_set (QUICK_MS);
  set_depth (f);
  hypha_program_patience_set (PATIENCE_MS);
  g_assert_true (harness_wait (is_answering, f));
  g_assert_true (hypha_transport_probe (f->transport, NULL, NULL));
}

static guint said;

static GLogWriterOutput
count_lines (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  for (gsize i = 0; i < n_fields; i++)
    if (g_str_equal (fields[i].key, "MESSAGE")) {
      g_assert_null (strchr (fields[i].value, '\033'));
      said += strstr (fields[i].value, "says: line") != NULL;
    }
  return G_LOG_WRITER_HANDLED;
}

/* A thousand lines at once are twenty and a number. In a process of its own, for its log. */
static void
test_log_is_bounded (Fixture *f, gconstpointer data)
{
  if (!g_test_subprocess ()) {
    g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed ();
    return;
  }
  g_log_set_writer_func (count_lines, NULL, NULL);
  start (f, "talks");
  g_assert_true (harness_wait (is_answering, f));
  hypha_transport_stop (f->transport);
  g_assert_true (harness_wait (has_gone, &g_array_index (f->pids, int, 0)));
  g_assert_cmpuint (said, >, 0);
  g_assert_cmpuint (said, <=, 60);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  for (guint i = 0; i < G_N_ELEMENTS (misdeeds); i++) {
    g_autofree char *path = g_strconcat ("/program-run/fails-by-itself/", misdeeds[i].how, NULL);

    g_test_add (path, Fixture, &misdeeds[i], set_up, test_misdeed, tear_down);
  }
#define ADD(path, data, function) \
  g_test_add ("/program-run/" path, Fixture, data, set_up, function, tear_down)
  ADD ("bears/an-answer-in-pieces", "piecewise", test_tolerated);
  ADD ("bears/an-answer-twice", "twice", test_tolerated);
  ADD ("bears/a-ticket-twice", "ticket-twice", test_tolerated);
  ADD ("bears/much-on-standard-error", "talks", test_tolerated);
  ADD ("host/that-is-unfit-is-left-out", NULL, test_unfit_host_is_left_out);
  ADD ("rendezvous/wrong-tickets-are-closed", NULL, test_wrong_tickets);
  ADD ("life/starts-again-after-a-while", NULL, test_starts_again);
  ADD ("life/stubborn-is-killed", NULL, test_stubborn_is_killed);
  ADD ("life/hanging-is-ended", NULL, test_hanging_is_ended);
  ADD ("listen/too-late-is-closed", NULL, test_late_listener_is_closed);
  ADD ("listen/cancelled-frees-its-address", NULL, test_cancelled_listener_frees_its_address);
  ADD ("life/is-buried-by-others", NULL, test_is_buried_by_others);
  ADD ("life/does-not-read-is-ended", NULL, test_never_reads);
  ADD ("listen/channels-wait-for-who-takes-them", NULL, test_channels_wait_for_who_takes_them);
  ADD ("listen/other-events-are-passed-over", NULL, test_events_of_a_later_protocol);
  ADD ("probe/details-and-options", NULL, test_details_and_options);
  ADD ("probe/its-own-deadline-is-an-answer", NULL, test_its_own_deadline_is_an_answer);
  ADD ("configure/refused-options-are-told", NULL, test_refused_options_are_told);
  ADD ("configure/asked-again-with-new-options", NULL, test_asked_again_with_new_options);
  ADD ("configure/unanswered-options-are-forgotten", NULL, test_unanswered_options_are_forgotten);
  ADD ("log/is-bounded-and-escaped", NULL, test_log_is_bounded);
#undef ADD
  return g_test_run ();
}
