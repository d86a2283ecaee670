/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How hyphad hears that its machine was cloned. */

#include "daemon/generation.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
test_is_told_by_one_word (void)
{
  static const struct {
    const char *message;
    gsize length;
    gboolean told;
  } cases[] = {
#define MESSAGE(TEXT, TOLD) { TEXT, sizeof TEXT - 1, TOLD }
    MESSAGE ("change@/devices/platform/VMGENID0\0ACTION=change\0NEW_VMGENID=1\0SEQNUM=7\0", TRUE),
    MESSAGE ("change@/x\0NEW_VMGENID=1", TRUE),
    MESSAGE ("change@/x\0ACTION=change\0SUBSYSTEM=block\0", FALSE),
    MESSAGE ("change@/x\0NEW_VMGENID=10\0", FALSE),
    MESSAGE ("change@/x\0NEW_VMGENID=0\0", FALSE),
    MESSAGE ("change@/x\0SYNTH_ARG_NEW_VMGENID=1\0", FALSE),
    /* The first word is a path, which somebody else may have chosen. */
    MESSAGE ("NEW_VMGENID=1\0ACTION=add\0", FALSE),
    MESSAGE ("\0", FALSE),
    MESSAGE ("", FALSE),
#undef MESSAGE
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    g_assert_cmpint (hypha_generation_is_told (cases[i].message, cases[i].length), ==,
                     cases[i].told);
}

static void
count (gpointer user_data)
{
  ++*(guint *) user_data;
}

static void
test_believes_the_kernel_alone (void)
{
  static const char forged[] = "change@/x\0NEW_VMGENID=1\0";
  g_autoptr (GError) error = NULL;
  guint told = 0;
  g_autoptr (HyphaGeneration) generation = hypha_generation_new (count, &told, &error);
  struct sockaddr_nl address = { .nl_family = AF_NETLINK };
  socklen_t length = sizeof address;
  int fd = socket (AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  gssize sent;

  g_assert_no_error (error);
  g_assert_cmpint (
      getsockname (hypha_generation_get_fd (generation), (struct sockaddr *) &address, &length), ==,
      0);
  sent = sendto (fd, forged, sizeof forged - 1, 0, (const struct sockaddr *) &address, length);
  close (fd);
  if (sent < 0) {
    g_test_skip (g_strerror (errno));
    return;
  }
  /* It has been looked at when there is nothing left to read. */
  for (char byte;
       recv (hypha_generation_get_fd (generation), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (told, ==, 0);
}

/* Whoever owns the network namespace may have the kernel say something. */
static void
let_kernel_say (int fd, const char *message, gsize length)
{
  struct {
    struct nlmsghdr header;
    char text[256];
  } packet = { .header = { .nlmsg_type = NLMSG_MIN_TYPE, .nlmsg_flags = NLM_F_REQUEST } };
  const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

  g_assert_cmpuint (length, <=, sizeof packet.text);
  memcpy (packet.text, message, length);
  packet.header.nlmsg_len = (guint32) NLMSG_LENGTH (length);
  g_assert_cmpint (sendto (fd, &packet, packet.header.nlmsg_len, 0,
                           (const struct sockaddr *) &kernel, sizeof kernel),
                   ==, packet.header.nlmsg_len);
}

static void
test_hears_the_kernel_whatever_else_it_tells (void)
{
  static const char added[] = "add@/devices/x\0ACTION=add\0";
  static const char cloned[] = "change@/devices/platform/VMGENID0\0NEW_VMGENID=1\0";
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaGeneration) generation = NULL;
  guint told = 0;
  int fd;

  /* For good: it is the last test. */
  if (unshare (CLONE_NEWUSER | CLONE_NEWNET) < 0) {
    g_test_skip (g_strerror (errno));
    return;
  }
  generation = hypha_generation_new (count, &told, &error);
  g_assert_no_error (error);
  fd = socket (AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  let_kernel_say (fd, cloned, sizeof cloned - 1);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (told, ==, 1);
  for (guint i = 0; i < 5000; i++)
    let_kernel_say (fd, added, sizeof added - 1);
  let_kernel_say (fd, cloned, sizeof cloned - 1);
  close (fd);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpuint (told, ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/generation/is-told-by-one-word", test_is_told_by_one_word);
  g_test_add_func ("/generation/believes-the-kernel-alone", test_believes_the_kernel_alone);
  g_test_add_func ("/generation/hears-the-kernel-whatever-else-it-tells",
                   test_hears_the_kernel_whatever_else_it_tells);
  return g_test_run ();
}
