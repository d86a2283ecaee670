/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How streams begin, go on and end. */

#include "pair.h"

#include <string.h>

#define KIB 1024

static void
test_open_write_finish (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  g_assert_cmpuint (hypha_session_stream_room (p->session[0], a), ==, 0);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_WRITABLE, 0));
  b = pair_other (p, 0, a);
  g_assert_cmpstr (hypha_session_stream_get_service (b), ==, "echo");
  g_assert_true (hypha_session_stream_is_mine (a));
  g_assert_false (hypha_session_stream_is_mine (b));
  g_assert_cmpuint (pair_write (p, 0, a, 3000), ==, 3000);
  g_assert_cmpuint (pair_write (p, 1, b, 5000), ==, 5000);
  hypha_session_stream_finish (p->session[0], a);
  g_assert_cmpuint (pair_write (p, 0, a, 1), ==, 0);
  pair_pass (p, 20000);
  pair_assert_received (p, 1, 0, 3000);
  pair_assert_received (p, 0, 0, 5000);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_FINISHED, 0));
  g_assert_true (hypha_session_stream_at_end (b));

  /* Half-closed: the other direction goes on. */
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ENDED, 0));
  g_assert_cmpuint (pair_write (p, 1, b, 1000), ==, 1000);
  pair_pass (p, 20000);
  pair_assert_received (p, 0, 0, 6000);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  pair_assert_ended (p, 0, 0, -1);
  pair_assert_ended (p, 1, 0, -1);
  pair_assert_empty (p);
}

static void
test_ticket_comes_with_its_stream (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GError) error = NULL;
  guint8 ticket[HYPHA_TICKET_BYTES];
  HyphaSessionStream *a, *b, *plain;
  Wire *wire = pair_link (p, 5);

  memset (ticket, 0xa5, sizeof ticket);
  a = hypha_session_open_direct (p->session[0], "echo", ticket, &error);
  g_assert_no_error (error);
  plain = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  g_assert_cmpmem (hypha_session_stream_get_ticket (b), HYPHA_TICKET_BYTES, ticket, sizeof ticket);
  g_assert_cmpstr (hypha_session_stream_get_service (b), ==, "echo");
  g_assert_null (hypha_session_stream_get_ticket (pair_other (p, 0, plain)));

  pair_inject (
      p, wire, 1,
      &(HyphaFrame){ .type = HYPHA_FRAME_OPEN, .data = (const guint8 *) "echo", .length = 4 });
  pair_drain (p);
  pair_assert_over (p, 1, HYPHA_ERROR_PROTOCOL);
}

/* The OPEN is lost with its link, and sent again over the next. */
static void
test_ticket_survives_its_link (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GError) error = NULL;
  const guint8 ticket[HYPHA_TICKET_BYTES] = { 1, 2, 3 };
  HyphaSessionStream *a;
  Wire *wire = pair_link (p, 5);

  pair_run (p);
  a = hypha_session_open_direct (p->session[0], "echo", ticket, &error);
  g_assert_no_error (error);
  g_assert_true (pair_send_one (p, wire, 0));
  pair_cut (p, wire);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpmem (hypha_session_stream_get_ticket (pair_other (p, 0, a)), HYPHA_TICKET_BYTES,
                   ticket, sizeof ticket);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
}

static void
test_ids_by_parity (void)
{
  g_autoptr (Pair) p = pair_new ();

  pair_link (p, 5);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 0, "a")), ==, 0);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 0, "a")), ==, 2);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 1, "a")), ==, 1);
  g_assert_cmpuint (hypha_session_stream_get_id (pair_open (p, 1, "a")), ==, 3);
  pair_run (p);
  g_assert_cmpuint (hypha_session_n_streams (p->session[0]), ==, 4);
  g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 4);
}

static void
test_empty_stream (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;

  pair_link (p, 5);
  a = pair_open (p, 1, "echo");
  hypha_session_stream_finish (p->session[1], a);
  pair_run (p);
  hypha_session_stream_finish (p->session[0], pair_other (p, 1, a));
  pair_run (p);
  pair_assert_ended (p, 0, 1, -1);
  pair_assert_ended (p, 1, 1, -1);
  pair_assert_empty (p);
}

static void
test_acceptance_later (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  Wire *first;

  p->holding = TRUE;
  first = pair_link (p, 5);
  a = pair_open (p, 0, "exec");
  pair_pass (p, 100000);
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_OPENED, 0));
  g_assert_cmpstr (pair_find (p, 1, HYPHA_SESSION_OPENED, 0)->text, ==, "exec");

  /* Neither a change of link nor a second OPEN counts as an answer, or opens it twice. */
  pair_link (p, 20);
  pair_run (p);
  pair_cut (p, first);
  pair_pass (p, 100000);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_OPEN], ==, 2);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OPENED), ==, 1);
  g_assert_null (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 0));
  b = pair_other (p, 0, a);
  g_assert_cmpuint (pair_write (p, 1, b, 10), ==, 0);
  hypha_session_accept (p->session[1], b);
  hypha_session_accept (p->session[1], b);
  pair_run (p);
  g_assert_cmpuint (pair_count (p, 0, HYPHA_SESSION_ACCEPTED), ==, 1);
  g_assert_cmpuint (pair_write (p, 0, a, 10), ==, 10);
}

static void
test_refusal (void)
{
  static const struct {
    HyphaCode code;
    HyphaError error;
  } table[] = {
    { HYPHA_CODE_REFUSED, HYPHA_ERROR_REFUSED },
    { HYPHA_CODE_NO_SUCH_SERVICE, HYPHA_ERROR_NO_SUCH_SERVICE },
    { HYPHA_CODE_NOT_ALLOWED, HYPHA_ERROR_PERMISSION_DENIED },
    { HYPHA_CODE_BUSY, HYPHA_ERROR_BUSY },
    { HYPHA_CODE_GONE, HYPHA_ERROR_GONE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (Pair) p = pair_new ();
    HyphaSessionStream *a;

    p->holding = TRUE;
    pair_link (p, 5);
    a = pair_open (p, 0, "nothing");
    pair_run (p);
    hypha_session_refuse (p->session[1], pair_other (p, 0, a), table[i].code);
    g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 0);
    pair_run (p);
    pair_drain (p);
    pair_assert_ended (p, 0, 0, (int) table[i].error);
    pair_assert_ended (p, 1, 0, HYPHA_ERROR_REFUSED);
    pair_assert_empty (p);
  }
}

/* The refusal dies with its link: the second OPEN finds nothing, and must not open anything. */
static void
test_refusal_lost (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;
  Wire *first;

  p->holding = TRUE;
  first = pair_link (p, 5);
  a = pair_open (p, 0, "nothing");
  pair_run (p);
  hypha_session_refuse (p->session[1], pair_other (p, 0, a), HYPHA_CODE_REFUSED);
  while (pair_send_one (p, first, 1))
    ;
  pair_cut (p, first);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpuint (pair_count (p, 1, HYPHA_SESSION_OPENED), ==, 1);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_GONE);
  pair_assert_empty (p);
}

static void
test_reset_ends_one_direction (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  p->reading[1] = FALSE;
  g_assert_cmpuint (pair_write (p, 0, a, 4000), ==, 4000);
  pair_run (p);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 4000);
  hypha_session_stream_reset (p->session[0], a, HYPHA_CODE_APPLICATION);
  pair_run (p);
  /* Held bytes are gone, and so is what was promised for them. */
  g_assert_nonnull (pair_find (p, 1, HYPHA_SESSION_PEER_RESET, 0));
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 0);
  g_assert_false (hypha_session_stream_at_end (b));
  g_assert_cmpuint (pair_write (p, 1, b, 100), ==, 100);
  pair_run (p);
  pair_assert_received (p, 0, 0, 100);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  pair_assert_ended (p, 1, 0, HYPHA_ERROR_RESET);
  pair_assert_empty (p);
}

static void
test_stop (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;

  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  p->reading[1] = FALSE;
  g_assert_cmpuint (pair_write (p, 0, a, 100000), ==, 8 * KIB);
  pair_run (p);
  hypha_session_stream_stop (p->session[1], b, HYPHA_CODE_APPLICATION);
  g_assert_cmpuint (hypha_session_get_memory (p->session[1]), ==, 0);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_STOPPED, 0));
  g_assert_cmpuint (hypha_session_stream_room (p->session[0], a), ==, 0);
  g_assert_cmpuint (hypha_session_get_memory (p->session[0]), ==, 0);
  hypha_session_stream_finish (p->session[1], b);
  pair_pass (p, 20000);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  pair_assert_ended (p, 1, 0, -1); /* it wanted no more, and all that it wrote arrived */
  pair_assert_empty (p);
}

static void
test_reset_before_the_answer (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a;

  p->holding = TRUE;
  pair_link (p, 5);
  a = pair_open (p, 0, "echo");
  pair_run (p);
  hypha_session_stream_reset (p->session[0], a, HYPHA_CODE_APPLICATION);
  hypha_session_stream_stop (p->session[0], a, HYPHA_CODE_APPLICATION);
  pair_pass (p, 20000);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  pair_assert_ended (p, 1, 0, HYPHA_ERROR_RESET);
  pair_assert_empty (p);
}

static void
test_taken_back_offline (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a = pair_open (p, 0, "echo");

  hypha_session_stream_stop (p->session[0], a, HYPHA_CODE_APPLICATION);
  hypha_session_stream_reset (p->session[0], a, HYPHA_CODE_APPLICATION);
  pair_drain (p);
  pair_assert_ended (p, 0, 0, HYPHA_ERROR_RESET);
  pair_link (p, 5);
  pair_open (p, 0, "echo");
  pair_run (p);
  g_assert_cmpuint (p->frames_sent[0][HYPHA_FRAME_OPEN], ==, 1);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 2));
}

static void
test_limits (void)
{
  HyphaSessionLimits few, many;
  g_autoptr (Pair) p = NULL;
  g_autoptr (GError) error = NULL;

  hypha_session_limits_init (&few);
  hypha_session_limits_init (&many);
  few.streams = 2;
  many.streams = 3;
  p = pair_new_with (&many, &few);
  pair_link (p, 5);
  for (guint i = 0; i < 3; i++)
    pair_open (p, 0, "echo");
  g_assert_null (hypha_session_open (p->session[0], "echo", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_BUSY);
  pair_run (p);
  g_assert_nonnull (pair_find (p, 0, HYPHA_SESSION_ACCEPTED, 2));
  pair_assert_ended (p, 0, 4, HYPHA_ERROR_BUSY);
  g_assert_cmpuint (hypha_session_n_streams (p->session[1]), ==, 2);
}

static void
test_names_of_services (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autofree char *longest = g_strnfill (HYPHA_SERVICE_MAX, 'x');
  g_autofree char *too_long = g_strnfill (HYPHA_SERVICE_MAX + 1, 'x');
  const char *bad[] = { "", "a\nb", "\xff", too_long };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_session_open (p->session[0], bad[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  }
  pair_open (p, 0, longest);
  pair_link (p, 5);
  pair_run (p);
  g_assert_cmpstr (pair_find (p, 1, HYPHA_SESSION_OPENED, 0)->text, ==, longest);
}

static void
test_counts (void)
{
  g_autoptr (Pair) p = pair_new ();
  HyphaSessionStream *a, *b;
  guint64 received, sent;
  Wire *wire = pair_link (p, 5);

  a = pair_open (p, 0, "echo");
  pair_run (p);
  b = pair_other (p, 0, a);
  pair_write (p, 0, a, 5000);
  pair_send_one (p, wire, 0);
  pair_cut (p, wire); /* sent twice, counted once */
  pair_link (p, 5);
  pair_write (p, 1, b, 77);
  pair_pass (p, 20000);
  hypha_session_stream_counts (a, &received, &sent);
  g_assert_cmpuint (received, ==, 77);
  g_assert_cmpuint (sent, ==, 5000);
  hypha_session_stream_counts (b, &received, &sent);
  g_assert_cmpuint (received, ==, 5000);
  g_assert_cmpuint (sent, ==, 77);
}

static void
note (HyphaSessionStream *stream, gpointer user_data)
{
  g_array_append_vals (user_data, &stream->id, 1);
}

static void
test_foreach_rises (void)
{
  g_autoptr (Pair) p = pair_new ();
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  const guint32 expected[] = { 0, 1, 2, 3, 4, 5, 7 };

  pair_link (p, 5);
  for (guint i = 0; i < 3; i++)
    pair_open (p, 0, "a");
  for (guint i = 0; i < 4; i++)
    pair_open (p, 1, "b");
  pair_run (p);
  hypha_session_foreach_stream (p->session[1], note, ids);
  g_assert_cmpmem (ids->data, ids->len * sizeof (guint32), expected, sizeof expected);
}

#define ADD(name, func) g_test_add_func ("/session/" name, func)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("stream/open-write-finish-by-halves", test_open_write_finish);
  ADD ("stream/ticket-comes-with-it", test_ticket_comes_with_its_stream);
  ADD ("stream/ticket-survives-its-link", test_ticket_survives_its_link);
  ADD ("stream/ids-by-parity", test_ids_by_parity);
  ADD ("stream/finished-without-a-byte", test_empty_stream);
  ADD ("stream/accepted-later-and-once", test_acceptance_later);
  ADD ("stream/refused-with-its-reason", test_refusal);
  ADD ("stream/lost-refusal-is-found-out", test_refusal_lost);
  ADD ("stream/reset-ends-one-direction", test_reset_ends_one_direction);
  ADD ("stream/stop-makes-the-peer-reset", test_stop);
  ADD ("stream/reset-before-the-answer", test_reset_before_the_answer);
  ADD ("stream/taken-back-before-it-was-sent", test_taken_back_offline);
  ADD ("stream/counts-bytes-once", test_counts);
  ADD ("stream/foreach-rises", test_foreach_rises);
  ADD ("stream/limit-of-each-side", test_limits);
  ADD ("stream/names-of-services", test_names_of_services);
  return g_test_run ();
}
