/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which ports are listened on: what people write, what nodes tell, and what the kernel says. */

#include "service/ports.h"

#include <hypha-api.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>

static void
assert_set (const HyphaPortSet *set, const char *line)
{
  g_autofree char *told = hypha_port_set_to_line (set);

  g_assert_cmpstr (told, ==, line);
}

static void
test_ranges_are_ports_with_commas_between (void)
{
  HyphaPortSet set = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_port_set_parse_ranges (&set, "8080,1,65534-65535,63-65,8080", &error));
  g_assert_no_error (error);
  assert_set (&set, "[1,63,64,65,8080,65534,65535]\n");
  g_assert_false (hypha_port_set_has (&set, 0));
  g_assert_false (hypha_port_set_has (&set, 65536));
  g_assert_cmpuint (hypha_port_set_next (&set, 65535), ==, 0);
  g_assert_cmpuint (hypha_port_set_next (&set, 65), ==, 8080);
}

static void
test_ranges_that_are_wrong_are_refused (void)
{
  static const char *const wrong[] = { "",   ",",    "80,",   "-",     "1-",      "-1",
                                       "0",  "0-9",  "9-1",   "65536", "1-65536", "08",
                                       "1 ", "http", "1-2-3", "1--2",  "+1" };

  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++) {
    HyphaPortSet set = { 0 };
    g_autoptr (GError) error = NULL;

    g_assert_false (hypha_port_set_parse_ranges (&set, wrong[i], &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
  }
}

static gboolean
parses (HyphaPortSet *set, const char *line)
{
  g_autoptr (GError) error = NULL;
  /* What is read beyond the end is seen by the sanitizer. */
  g_autofree char *copy = g_memdup2 (line, MAX (strlen (line), 1));
  gboolean good = hypha_port_set_parse_line (set, copy, strlen (line), &error);

  if (good)
    g_assert_no_error (error);
  else
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  return good;
}

static void
test_lines_are_json_arrays (void)
{
  static const char *const wrong[] = { "",
                                       "[",
                                       "]",
                                       "[1",
                                       "[1,",
                                       "[1,]",
                                       "[,1]",
                                       "[0]",
                                       "[65536]",
                                       "[01]",
                                       "[-1]",
                                       "[1.0]",
                                       "[1e3]",
                                       "[1 2]",
                                       "[\"1\"]",
                                       "[[1]]",
                                       "[1]]",
                                       "[1] 2",
                                       "{\"a\"}",
                                       "1,2",
                                       "null",
                                       "[+1]",
                                       "[18446744073709551617]" };
  HyphaPortSet set;

  g_assert_true (parses (&set, "[]"));
  assert_set (&set, "[]\n");
  g_assert_true (parses (&set, " [ 8080 ,\t22, 22 ] \r"));
  assert_set (&set, "[22,8080]\n");
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_assert_false (parses (&set, wrong[i]));
  g_assert_false (hypha_port_set_parse_line (&set, "[1\0]", 4, NULL));
}

static void
test_lists_have_an_end (void)
{
  HyphaPortSet all = { 0 }, set;
  g_autoptr (GString) more = g_string_new ("[1");
  g_autofree char *line = NULL;

  for (guint port = 0; port <= HYPHA_PORT_MAX + 9; port++)
    hypha_port_set_add (&all, HYPHA_PORT_MAX + 9 - port);
  line = hypha_port_set_to_line (&all);
  g_assert_cmpuint (strlen (line), <=, HYPHA_PORT_LINE_MAX);
  line[strlen (line) - 1] = '\0';
  g_assert_true (parses (&set, line));
  g_assert_true (hypha_port_set_has (&set, HYPHA_PORT_LIST_MAX));
  g_assert_cmpuint (hypha_port_set_next (&set, HYPHA_PORT_LIST_MAX), ==, 0);
  for (guint i = 0; i < HYPHA_PORT_LIST_MAX; i++)
    g_string_append (more, ",1");
  g_string_append (more, "]");
  g_assert_false (parses (&set, more->str));
}

/* ---- what the kernel says ---- */

static void
append (GByteArray *bytes, guint16 type, const void *payload, gsize length)
{
  struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_len = (guint32) (NLMSG_HDRLEN + length) };
  static const guint8 padding[NLMSG_ALIGNTO] = { 0 };

  g_byte_array_append (bytes, (const guint8 *) &header, sizeof header);
  g_byte_array_append (bytes, payload, (guint) length);
  g_byte_array_append (bytes, padding, (guint) (NLMSG_ALIGN (length) - length));
}

static void
append_socket (GByteArray *bytes, const char *address, guint16 port, guint8 state, guint32 index)
{
  g_autoptr (GInetAddress) inet = g_inet_address_new_from_string (address);
  struct inet_diag_msg message = { .idiag_state = state, .idiag_inode = 1000u + port };

  message.idiag_family =
      g_inet_address_get_family (inet) == G_SOCKET_FAMILY_IPV4 ? AF_INET : AF_INET6;
  message.id.idiag_sport = g_htons (port);
  message.id.idiag_if = index;
  memcpy (message.id.idiag_src, g_inet_address_to_bytes (inet),
          g_inet_address_get_native_size (inet));
  append (bytes, SOCK_DIAG_BY_FAMILY, &message, sizeof message);
}

static gboolean
kernel_says (GByteArray *bytes, gsize length, GArray *sockets, gboolean *done, GError **error)
{
  g_autofree guint8 *copy = g_memdup2 (bytes->data, MAX (length, 1));

  g_array_set_size (sockets, 0);
  return hypha_ports_parse (copy, length, sockets, done, error);
}

static void
test_sockets_count_that_the_loopback_leads_to (void)
{
  static const char *const near[] = { "0.0.0.0", "127.0.0.1",        "::",
                                      "::1",     "::ffff:127.0.0.1", "::ffff:0.0.0.0" };
  static const char *const far[] = { "127.0.0.53", "10.0.0.1", "fe80::1", "::2",
                                     "::ffff:10.0.0.1" };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GArray) sockets = g_array_new (FALSE, FALSE, sizeof (HyphaPortsSocket));
  gboolean done;

  for (guint i = 0; i < G_N_ELEMENTS (near); i++)
    append_socket (bytes, near[i], (guint16) (100 + i), 10, i % 2);
  for (guint i = 0; i < G_N_ELEMENTS (far); i++)
    append_socket (bytes, far[i], 200, 10, 0);
  append_socket (bytes, "0.0.0.0", 201, 10, 2); /* of another interface */
  append_socket (bytes, "0.0.0.0", 202, 1, 0);  /* a connection */
  append (bytes, NLMSG_NOOP, "", 0);
  g_assert_true (kernel_says (bytes, bytes->len, sockets, &done, NULL));
  g_assert_false (done);
  g_assert_cmpuint (sockets->len, ==, G_N_ELEMENTS (near));
  for (guint i = 0; i < sockets->len; i++) {
    HyphaPortsSocket *socket = &g_array_index (sockets, HyphaPortsSocket, i);

    g_assert_cmpuint (socket->port, ==, 100 + i);
    g_assert_cmpuint (socket->inode, ==, 1100 + i);
  }
}

static void
test_kernel_says_when_it_has_done_and_what_is_wrong (void)
{
  const gint32 good = 0, not_there = -2;
  g_autoptr (GArray) sockets = g_array_new (FALSE, FALSE, sizeof (HyphaPortsSocket));
  gboolean done;

  for (guint i = 0; i < 4; i++) {
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_autoptr (GError) error = NULL;
    guint16 type = i % 2 == 0 ? NLMSG_DONE : NLMSG_ERROR;

    append (bytes, type, i < 2 ? &good : &not_there, sizeof good);
    g_assert_cmpint (kernel_says (bytes, bytes->len, sockets, &done, &error), ==, i < 2);
    g_assert_true (done);
    if (i >= 2)
      g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  }
}

static void
test_bytes_that_lie_about_their_length_are_refused (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GArray) sockets = g_array_new (FALSE, FALSE, sizeof (HyphaPortsSocket));
  static const guint32 lies[] = { 0, 1, sizeof (struct nlmsghdr) - 1, G_MAXUINT32, G_MAXINT32 };
  guint whole;
  gboolean done;

  append_socket (bytes, "::1", 80, 10, 0);
  whole = bytes->len;
  append_socket (bytes, "::1", 81, 10, 0);
  for (gsize length = 0; length < bytes->len; length++) {
    g_autoptr (GError) error = NULL;

    if (length == 0 || length == whole) {
      g_assert_true (kernel_says (bytes, length, sockets, &done, &error));
      continue;
    }
    g_assert_false (kernel_says (bytes, length, sockets, &done, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (lies); i++) {
    memcpy (bytes->data + whole, &lies[i], sizeof lies[i]);
    g_assert_false (kernel_says (bytes, bytes->len, sockets, &done, NULL));
    g_assert_cmpuint (sockets->len, ==, 1);
  }
  /* A whole message that is too short for what it is. */
  for (guint32 length = 0; length < sizeof (struct inet_diag_msg); length++) {
    g_autoptr (GByteArray) some = g_byte_array_new ();
    const struct inet_diag_msg empty = { 0 };

    append (some, SOCK_DIAG_BY_FAMILY, &empty, length);
    g_assert_false (kernel_says (some, some->len, sockets, &done, NULL));
  }
  g_byte_array_set_size (bytes, 0);
  append (bytes, NLMSG_ERROR, "abc", 3);
  g_assert_false (kernel_says (bytes, bytes->len, sockets, &done, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ports/ranges-are-ports-with-commas-between",
                   test_ranges_are_ports_with_commas_between);
  g_test_add_func ("/ports/ranges-that-are-wrong-are-refused",
                   test_ranges_that_are_wrong_are_refused);
  g_test_add_func ("/ports/lines-are-json-arrays", test_lines_are_json_arrays);
  g_test_add_func ("/ports/lists-have-an-end", test_lists_have_an_end);
  g_test_add_func ("/ports/sockets-count-that-the-loopback-leads-to",
                   test_sockets_count_that_the_loopback_leads_to);
  g_test_add_func ("/ports/kernel-says-when-it-has-done-and-what-is-wrong",
                   test_kernel_says_when_it_has_done_and_what_is_wrong);
  g_test_add_func ("/ports/bytes-that-lie-about-their-length-are-refused",
                   test_bytes_that_lie_about_their_length_are_refused);
  return g_test_run ();
}
