/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

HyphaEndpoint *
fixture_parse (Fixture *f, const char *uri)
{
  g_autoptr (GError) error = NULL;
  HyphaEndpoint *endpoint = harness_parse (f->transport, uri, &error);

  g_assert_no_error (error);
  return endpoint;
}

HyphaEndpoint *
fixture_fresh (Fixture *f)
{
  g_autofree char *uri = NULL;

  if (f->contract->fresh != NULL)
    uri = f->contract->fresh (f->directory);
  else
    uri = f->contract->far (f->directory, &f->far);
  return fixture_parse (f, uri);
}

HyphaEndpoint *
fixture_silent (Fixture *f)
{
  g_autofree char *uri = NULL;

  if (f->contract->silent == NULL) {
    g_test_skip ("there is no silent endpoint of this transport");
    return NULL;
  }
  uri = f->contract->silent (f->directory, f->held);
  return fixture_parse (f, uri);
}

/* ---- listening, where the transport does, and in its place where it does not ---- */

static HyphaChannel *
on_far_end (int fd, const struct sockaddr *remote, socklen_t length, gpointer data, GError **error)
{
  return hypha_channel_new (fd, NULL, NULL, HYPHA_CHANNEL_KERNEL);
}

HyphaListener *
fixture_listen (Fixture *f, HyphaEndpoint *endpoint)
{
  g_autoptr (GError) error = NULL;
  HyphaListener *listener;

  if (f->far >= 0) {
    listener = hypha_socket_listener_new (f->far, endpoint, on_far_end, NULL, NULL);
    f->far = -1;
    return listener;
  }
  listener = harness_listen (f->transport, endpoint, &error);
  g_assert_no_error (error);
  g_assert_true (HYPHA_IS_LISTENER (listener));
  return listener;
}

HyphaChannel *
fixture_connect (Fixture *f, HyphaEndpoint *endpoint)
{
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = harness_connect (f->transport, endpoint, CONNECT_MS, &error);

  g_assert_no_error (error);
  g_assert_true (HYPHA_IS_CHANNEL (channel));
  return channel;
}

void
fixture_knock (Fixture *f, HyphaChannel *dialled)
{
  if (f->contract->lossy)
    g_assert_true (harness_write_all (hypha_channel_get_fd (dialled), "\0\5knock", 7));
}

void
fixture_welcome (Fixture *f, HyphaChannel *accepted)
{
  char knocked[7] = "";

  for (gssize got = 0; f->contract->lossy && got < 7;) {
    gssize n = harness_read (hypha_channel_get_fd (accepted), knocked + got, 7 - (gsize) got);

    g_assert_cmpint (n, >, 0);
    got += n;
  }
  g_assert_true (!f->contract->lossy || memcmp (knocked, "\0\5knock", 7) == 0);
}

/* ---- both ends of a channel ---- */

Pair
pair_new (Fixture *f)
{
  g_autoptr (HyphaEndpoint) endpoint = fixture_fresh (f);
  Pair pair;

  pair.listener = fixture_listen (f, endpoint);
  pair.sink = harness_sink_new (pair.listener);
  pair.dialled = fixture_connect (f, hypha_listener_get_bound (pair.listener));
  fixture_knock (f, pair.dialled);
  g_assert_true (harness_wait_accepted (pair.sink, 1));
  pair.accepted = g_object_ref (pair.sink->channels->pdata[0]);
  fixture_welcome (f, pair.accepted);
  return pair;
}

void
pair_clear (Pair *pair)
{
  hypha_listener_close (pair->listener);
  g_clear_object (&pair->listener);
  g_clear_pointer (&pair->sink, harness_sink_free);
  g_clear_object (&pair->dialled);
  g_clear_object (&pair->accepted);
}

int
pair_get_fd (const Pair *pair, guint end)
{
  return hypha_channel_get_fd (end == 0 ? pair->dialled : pair->accepted);
}

void
pair_close_end (Pair *pair, guint end)
{
  if (end == 0)
    g_clear_object (&pair->dialled);
  else
    g_clear_object (&pair->accepted);
  /* The sink has it, too. */
  if (end == 1)
    g_ptr_array_set_size (pair->sink->channels, 0);
}

/* What the first use of GLib's machinery opens stays open, so this is counted after one whole
 * round; and what an earlier test left behind may still be ending. */
guint
fixture_count_at_rest (Fixture *f)
{
  static guint at_rest = 0;
  guint expected;

  if (at_rest == 0) {
    Pair pair = pair_new (f);

    pair_clear (&pair);
    g_assert_true (harness_wait_stable (&at_rest));
    at_rest -= f->held->len;
  }
  expected = at_rest + f->held->len;
  g_assert_true (harness_wait_descriptors (expected));
  /* On a busy machine something may have been about to end when they were counted. */
  at_rest = MIN (at_rest, harness_count_descriptors () - f->held->len);
  return at_rest + f->held->len;
}
