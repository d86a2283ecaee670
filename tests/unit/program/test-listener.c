/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hypha-plugin.h>
#include <sys/socket.h>
#include <unistd.h>

#include "program/listener.h"

/* Channels that come before anybody is connected to the listener. */

static guint gone; /* of them */

static GError *
dup_no_error (gpointer data)
{
  return NULL;
}

static void
on_gone (gpointer data)
{
  gone++;
}

static void
take (HyphaProgramListener *listener, guint n)
{
  g_autoptr (HyphaEndpoint) remote = hypha_endpoint_new ("pigeon", "//there", NULL);

  for (guint i = 0; i < n; i++) {
    g_autoptr (HyphaChannel) channel = NULL;
    int fds[2];

    g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==,
                     0);
    close (fds[1]);
    channel = hypha_channel_new (fds[0], NULL, remote, HYPHA_CHANNEL_NONE);
    hypha_channel_set_dup_error (channel, dup_no_error, NULL, on_gone);
    hypha_program_listener_take (listener, channel);
  }
}

static HyphaProgramListener *
listener_new (void)
{
  g_autoptr (HyphaEndpoint) bound = hypha_endpoint_new ("pigeon", "//here", NULL);

  return hypha_program_listener_new (bound, 1, NULL, NULL);
}

static void
on_accepted (HyphaListener *listener, HyphaChannel *channel, gpointer accepted)
{
  ++*(guint *) accepted;
}

static void
take_one (HyphaListener *listener, HyphaChannel *channel, gpointer accepted)
{
  ++*(guint *) accepted;
  g_signal_handlers_disconnect_by_data (listener, accepted);
}

static void
test_wait_until_somebody_listens (void)
{
  g_autoptr (HyphaProgramListener) listener = listener_new ();
  guint accepted = 0;

  take (listener, 2);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), &accepted);
  take (listener, 1);
  while (accepted < 3)
    g_main_context_iteration (NULL, TRUE);
}

/* Whoever takes one and listens no more leaves the others. */
static void
test_wait_while_nobody_listens (void)
{
  g_autoptr (HyphaProgramListener) listener = listener_new ();
  guint first = 0, others = 0;

  gone = 0;
  take (listener, 3);
  g_signal_connect (listener, "accepted", G_CALLBACK (take_one), &first);
  while (first == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (first, ==, 1);
  g_assert_cmpuint (gone, ==, 1);
  g_signal_connect (listener, "accepted", G_CALLBACK (on_accepted), &others);
  take (listener, 1);
  while (others < 3)
    g_main_context_iteration (NULL, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/program-listener/wait-until-somebody-listens",
                   test_wait_until_somebody_listens);
  g_test_add_func ("/program-listener/wait-while-nobody-listens", test_wait_while_nobody_listens);
  return g_test_run ();
}
