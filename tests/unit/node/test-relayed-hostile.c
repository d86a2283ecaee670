/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links that go through other nodes, where one of these lies, takes all it can get, or is full. */

#include "relayed-world.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>

static void
say (HyphaStream *stream, const char *line)
{
  g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (stream)), line,
                             strlen (line), NULL, NULL, NULL);
}

/* What HOST answers when ONE says LINE to it; "": nothing. */
static char *
ask (World *w, const char *line)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaStream) stream = open_stream (peer_at (w, "one", "host"), "via", &error);
  GInputStream *input;
  GString *answer = g_string_new (NULL);
  gssize n;

  if (stream == NULL)
    return g_string_free (answer, FALSE);
  input = g_io_stream_get_input_stream (G_IO_STREAM (stream));
  say (stream, line);
  do {
    char c;

    n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (input), &c, 1, NULL,
                                                  &error);
    if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
      g_clear_error (&error);
      g_main_context_iteration (NULL, FALSE);
      continue;
    }
    if (n <= 0 || c == '\n')
      break;
    g_string_append_c (answer, c);
  } while (TRUE);
  return g_string_free (answer, FALSE);
}

static void
test_liars_get_nowhere (void)
{
  World w;
  const char *host, *one, *two;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "host", "unix") && goes_over (&w, "host", "two", "unix"));
  host = member (&w, "host")->id;
  one = member (&w, "one")->id;
  two = member (&w, "two")->id;
  {
    g_autofree char *through_host = g_strdup_printf ("via/1 go 1000 0 %s two\n", host);
    g_autofree char *through_one = g_strdup_printf ("via/1 go 1000 0 %s two\n", one);
    g_autofree char *through_two = g_strdup_printf ("via/1 go 1000 0 %s %s\n", two, two);
    g_autofree char *long_line = g_strnfill (5000, 'x');
    const struct {
      const char *line, *answer;
    } cases[] = {
      { "nonsense\n", "no malformed" },
      { long_line, "" },
      { "via/1 go 1000 0 - nobody\n", "no unreachable" },
      { "via/1 go 1000 0 - one\n", "no loop" },
      { "via/1 go 1000 0 - host\n", "no unreachable" },
      { through_host, "no loop" },
      { through_one, "no loop" },
      { through_two, "no loop" },
      { "via/1 go 1000 0 - -\n", "no malformed" },
      { "via/1 go 1000 0 - two/one\n", "no unreachable" },
    };

    for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
      g_autofree char *answer = ask (&w, cases[i].line);

      g_test_message ("%.40s: %s", cases[i].line, answer);
      g_assert_cmpstr (answer, ==, cases[i].answer);
    }
  }
  world_down (&w);
}

/* A node whose service is a program of the worst kind: it says LINE, whoever asks for what, and
 * then nothing; NULL: nothing at all. */
typedef struct {
  char *line, *path;
  gboolean once; /* to whoever asks first */
  GSocketService *service;
  GPtrArray *held;
} Liar;

static gboolean
on_liar_asked (GSocketService *service, GSocketConnection *connection, GObject *source, Liar *self)
{
  if (self->line != NULL && (!self->once || self->held->len == 0))
    g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), self->line,
                               strlen (self->line), NULL, NULL, NULL);
  g_ptr_array_add (self->held, g_object_ref (connection));
  return TRUE;
}

static void
liar_up (Liar *self, World *w, const char *name, char *line)
{
  g_autofree char *path = g_build_filename (w->dir, "service.sock", NULL);
  g_autofree char *services = g_strdup_printf ("{'via': {'target': <'unix://%s'>}}", path);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_autoptr (GError) error = NULL;

  *self = (Liar){ .line = line, .path = g_steal_pointer (&path) };
  self->held = g_ptr_array_new_with_free_func (g_object_unref);
  self->service = g_socket_service_new ();
  g_signal_connect (self->service, "incoming", G_CALLBACK (on_liar_asked), self);
  g_assert_true (g_socket_listener_add_address (G_SOCKET_LISTENER (self->service), address,
                                                G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT,
                                                NULL, NULL, &error));
  g_assert_no_error (error);
  let_pass (w, name, services);
}

static void
liar_down (Liar *self)
{
  g_socket_service_stop (self->service);
  while (g_main_context_iteration (NULL, FALSE)) /* it is still accepting */
    ;
  g_socket_listener_close (G_SOCKET_LISTENER (self->service));
  g_object_unref (self->service);
  g_ptr_array_unref (self->held);
  g_unlink (self->path);
  g_free (self->path);
  g_free (self->line);
}

static char *
make_id (guint n)
{
  HyphaNodeId id = { .bytes = { (guint8) n, 1, 2 } };

  return hypha_node_id_to_string (&id);
}

/* A host that names one node again and again, and by as many ways: one is dialled. */
static void
test_told_of_many_times (void)
{
  World w;
  Liar liar;
  g_autofree char *through_a = make_id (1);
  g_autofree char *through_b = make_id (2);
  const char *two;

  guests_up (&w);
  listen_at (&w, "one", "via://any");
  two = member (&w, "two")->id;
  liar_up (&liar, &w, "host",
           g_strdup_printf ("seen 3:%s/%s 3:%s/%s 9:%s 0:%s/%s 3:%s/%s\n", through_a, two,
                            through_a, two, two, through_b, two, through_a, two));
  dial_all (&w, "one", "host");
  wait_until (explains (&w, "one", "two", through_a));
  g_assert_false (explains (&w, "one", "two", through_b));
  liar_down (&liar);
  world_down (&w);
}

static void
on_state (GObject *peer, GParamSpec *pspec, gpointer member)
{
  Member *m = member;

  m->stopped = TRUE;
  hypha_node_stop (m->node);
}

/* A program that stops its node when it hears that a peer is not dialled any more. */
static void
test_stopped_by_what_is_withdrawn (void)
{
  static const char nobody[] = "seen\n";
  World w;
  Liar liar;
  GOutputStream *output;

  guests_up (&w);
  listen_at (&w, "one", "via://any");
  liar_up (&liar, &w, "host", g_strdup_printf ("seen 3:%s\n", member (&w, "two")->id));
  liar.once = TRUE;
  dial_all (&w, "one", "host");
  wait_until (liar.held->len >= 2); /* asked, and dialled */
  g_signal_connect (peer_at (&w, "one", "two"), "notify::state", G_CALLBACK (on_state),
                    member (&w, "one"));
  output = g_io_stream_get_output_stream (liar.held->pdata[0]);
  g_assert_true (g_output_stream_write_all (output, nobody, strlen (nobody), NULL, NULL, NULL));
  wait_until (member (&w, "one")->stopped);
  liar_down (&liar);
  world_down (&w);
}

/* A guest that says of another that the way to it leads through itself, and costs nothing. */
static void
test_guest_is_not_believed_of_others (void)
{
  static const char *const names[] = { "host", "one", "two", "liar", NULL };
  World w;
  Liar liar;
  g_autofree char *dear = NULL;
  g_autofree char *direct = NULL;

  world_up (&w, names);
  for (guint i = 1; i < 4; i++)
    befriend (&w, "host", names[i]);
  befriend (&w, "one", "two");
  listen_at (&w, "host", "@");
  listen_at (&w, "one", "via://any");
  listen_at (&w, "two", "@,via://any");
  listen_at (&w, "liar", "@");
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one', 'two', 'liar']>}}");
  liar_up (&liar, &w, "liar", g_strdup_printf ("seen 0:%s\n", member (&w, "two")->id));
  dear = g_strdup_printf ("liar,unix://%s?cost=50", member (&w, "two")->socket);
  direct = g_strdup_printf ("via://host/%s", member (&w, "two")->id);
  dial_all (&w, "host", "liar");
  wait_until (liar.held->len > 0);
  dial_all (&w, "one", "host");
  wait_until (explains (&w, "one", "two", member (&w, "liar")->id));
  dial_all (&w, "host", dear);
  wait_until (explains (&w, "one", "two", direct) &&
              !explains (&w, "one", "two", member (&w, "liar")->id));
  wait_until (goes_over (&w, "one", "two", "via"));
  liar_down (&liar);
  world_down (&w);
}

/* One that takes all the places there are for going to another leaves some to the rest. */
static void
test_nobody_takes_all_ways_to_another (void)
{
  static const char *const names[] = { "host", "two", "one", "three", NULL };
  World w;
  Liar liar;
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *answer = NULL;

  world_up (&w, names);
  for (guint i = 1; i < 4; i++)
    befriend (&w, "host", names[i]);
  listen_at (&w, "host", "@");
  liar_up (&liar, &w, "two", NULL); /* for as long as that takes */
  let_pass (&w, "host", "{'via': {'target': <'transport'>, 'peers': <['one', 'two', 'three']>}}");
  for (guint i = 1; i < 4; i++)
    dial_all (&w, names[i], "host");
  wait_until (goes_over (&w, "host", "one", "unix") && goes_over (&w, "host", "two", "unix"));
  wait_until (goes_over (&w, "three", "host", "unix") && goes_over (&w, "one", "host", "unix"));
  for (guint i = 0; i < 64; i++) {
    HyphaStream *stream = open_stream (peer_at (&w, "three", "host"), "via", NULL);

    g_assert_nonnull (stream);
    g_ptr_array_add (streams, stream);
    say (stream, "via/1 go 60000 0 - two\n");
  }
  wait_until (liar.held->len >= 32);
  /* It is led on, to where nobody answers. */
  answer = ask (&w, "via/1 go 500 0 - two\n");
  g_assert_cmpstr (answer, ==, "no timed-out");
  g_assert_cmpuint (liar.held->len, <, 64);
  liar_down (&liar);
  g_ptr_array_set_size (streams, 0);
  world_down (&w);
}

/* More streams than a peer may have, of which none says anything. */
static void
test_silence_is_bounded (void)
{
  World w;
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  guint refused = 0;

  guests_up (&w);
  let_pass (&w, "host", GUESTS_PASS);
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "host", "unix") && goes_over (&w, "host", "two", "unix"));
  for (guint i = 0; i < 200; i++) {
    HyphaStream *stream = open_stream (peer_at (&w, "one", "host"), "via", NULL);

    if (stream != NULL)
      g_ptr_array_add (streams, stream);
    else
      refused++;
  }
  g_assert_cmpuint (refused, >=, 200 - 2 * 64);
  g_assert_cmpuint (streams->len, >=, 64);
  {
    /* The other guest does not suffer: what is led to it is counted apart. */
    g_autofree char *answer = NULL;

    g_ptr_array_set_size (streams, 0);
    wait_until (n_streams (peer_at (&w, "host", "one")) < 8);
    answer = ask (&w, "via/1 go 1000 0 - two\n");
    g_assert_true (g_str_has_prefix (answer, "ok "));
  }
  world_down (&w);
}

/* It may see others, was offered it long ago, and came when there was no room. */
static void
test_full_host_is_asked_again (void)
{
  World w;
  g_autoptr (GPtrArray) streams = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *found = NULL;
  HyphaStream *stream;

  guests_up (&w);
  found = g_strdup_printf ("via://host/%s", member (&w, "two")->id);
  let_pass (&w, "host", GUESTS_PASS);
  dial_all (&w, "one", "host");
  dial_all (&w, "two", "host");
  wait_until (goes_over (&w, "one", "host", "unix") && goes_over (&w, "host", "two", "unix"));
  while ((stream = open_stream (peer_at (&w, "one", "host"), "via", NULL)) != NULL)
    g_ptr_array_add (streams, stream);
  /* It takes part from now on. What was asked before is answered before. */
  listen_at (&w, "one", "via://any");
  g_assert_null (open_stream (peer_at (&w, "one", "host"), "via", NULL));
  g_ptr_array_set_size (streams, 0);
  wait_until (explains (&w, "one", "two", found));
  world_down (&w);
}

/* A host whose list changes all the time: each change would cost a handshake. */
static void
test_list_that_changes_all_the_time (void)
{
  static const char nobody[] = "seen\n";
  World w;
  Liar liar;
  GOutputStream *output;
  guint before;

  guests_up (&w);
  listen_at (&w, "one", "via://any");
  liar_up (&liar, &w, "host", g_strdup_printf ("seen 3:%s\n", member (&w, "two")->id));
  liar.once = TRUE;
  dial_all (&w, "one", "host");
  wait_until (liar.held->len >= 2); /* asked, and dialled */
  before = liar.held->len;
  output = g_io_stream_get_output_stream (liar.held->pdata[0]);
  for (guint i = 0; i < 24; i++) {
    const char *line = i % 2 == 0 ? nobody : liar.line;

    g_assert_true (g_output_stream_write_all (output, line, strlen (line), NULL, NULL, NULL));
    let_time_pass (500);
  }
  g_test_message ("dialled %u times", liar.held->len - before);
  g_assert_cmpuint (liar.held->len - before, <=, 5);
  /* The last that it said counts. */
  wait_until (explains (&w, "one", "two", "via://host"));
  liar_down (&liar);
  world_down (&w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relayed-hostile/liars-get-nowhere", test_liars_get_nowhere);
  g_test_add_func ("/relayed-hostile/told-of-many-times", test_told_of_many_times);
  g_test_add_func ("/relayed-hostile/stopped-by-what-is-withdrawn",
                   test_stopped_by_what_is_withdrawn);
  g_test_add_func ("/relayed-hostile/guest-is-not-believed-of-others",
                   test_guest_is_not_believed_of_others);
  g_test_add_func ("/relayed-hostile/nobody-takes-all-ways-to-another",
                   test_nobody_takes_all_ways_to_another);
  g_test_add_func ("/relayed-hostile/silence-is-bounded", test_silence_is_bounded);
  g_test_add_func ("/relayed-hostile/full-host-is-asked-again", test_full_host_is_asked_again);
  g_test_add_func ("/relayed-hostile/list-that-changes-all-the-time",
                   test_list_that_changes_all_the_time);
  return g_test_run ();
}
