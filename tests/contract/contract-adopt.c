/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "contract-fixture.h"

/* Sockets that somebody else has made. */

static HyphaListener *
adopt (Fixture *f, int fd)
{
  g_autoptr (GError) error = NULL;
  HyphaListener *listener = hypha_transport_adopt (f->transport, fd, &error);

  g_assert_no_error (error);
  return listener;
}

static void
test_adopted (Fixture *f)
{
  g_autoptr (HyphaEndpoint) bound = NULL;
  guint before;
  int fd;

  if (f->contract->handed_over == NULL) {
    g_test_skip ("this transport takes over no sockets");
    return;
  }
  before = fixture_count_at_rest (f);
  fd = f->contract->handed_over (f->directory);
  /* Twice: whoever made it has it still when the first listener is closed. */
  for (guint i = 0; i < 2; i++) {
    g_autoptr (HyphaListener) listener = NULL;
    g_autoptr (HyphaChannel) early = NULL;
    g_autoptr (HyphaChannel) late = NULL;
    g_autoptr (HarnessSink) sink = NULL;

    /* Who comes in between waits. */
    if (bound != NULL)
      early = fixture_connect (f, bound);
    listener = adopt (f, fd);
    sink = harness_sink_new (listener);
    if (bound != NULL)
      g_assert_true (hypha_endpoint_equal (bound, hypha_listener_get_bound (listener)));
    else
      bound = hypha_endpoint_ref (hypha_listener_get_bound (listener));
    late = fixture_connect (f, bound);
    g_assert_true (harness_wait_accepted (sink, 1 + i));
    for (guint j = 0; j < sink->channels->len; j++) {
      HyphaChannel *accepted = sink->channels->pdata[j];

      g_assert_cmpuint (hypha_channel_get_flags (accepted), ==, f->contract->flags);
      g_assert_cmpstr (hypha_channel_get_host (accepted), ==, f->contract->host);
    }
    hypha_listener_close (listener);
  }
  close (fd);
  g_assert_true (harness_wait_descriptors (before));
}

static void
test_stop_ends_adopted (Fixture *f)
{
  g_autoptr (HyphaListener) listener = NULL;
  int fd;

  if (f->contract->handed_over == NULL) {
    g_test_skip ("this transport takes over no sockets");
    return;
  }
  fd = f->contract->handed_over (f->directory);
  listener = adopt (f, fd);
  hypha_transport_stop (f->transport);
  g_assert_true (hypha_listener_is_closed (listener));
  close (fd);
}

/* Of any transport: a socket of another kind, one that does not listen, and none at all. */
static void
test_foreign_is_not_adopted (Fixture *f)
{
  int fds[3];
  guint before;

  before = fixture_count_at_rest (f);
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  fds[2] = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (hypha_transport_adopt (f->transport, fds[i], &error));
    /* One that takes over none need not look what it is. */
    if (f->contract->handed_over != NULL ||
        !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED))
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
    close (fds[i]);
  }
  g_assert_true (harness_wait_descriptors (before));
}

const ContractTest contract_adopt_tests[] = {
  { "adopt/serves-a-socket-that-is-handed-over", test_adopted, NEEDS_CHANNEL,
    "a listening socket of its kind is taken over, and stays its maker's" },
  { "adopt/refuses-what-does-not-listen", test_foreign_is_not_adopted, NEEDS_CHANNEL,
    "what is no listening socket of its kind is refused, and closed" },
  { "stop/ends-what-was-handed-over", test_stop_ends_adopted, NEEDS_CHANNEL,
    "its stop ends the listeners that it took over" },
  { NULL, NULL, 0, NULL },
};
