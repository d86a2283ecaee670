/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What two nodes say to each other of a forward that one asks of the other. */

#include "service/forward-talk.h"

#include <string.h>

#include "service/mirror.h"

#define NO_NEWS                  \
  {                              \
    NULL, NULL, NULL, 0, 0, NULL \
  }

static void
test_order_is_read_as_it_was_written (void)
{
  static const char local[] = "tcp://127.0.0.1:*?ports=80", target[] = "tcp:*\"\\\n\x1f";
  g_autofree char *line = hypha_forward_order_to_line (local, target, NULL);
  g_auto (HyphaForwardOrder) order = { NULL, NULL };
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (line[strlen (line) - 1], ==, '\n');
  g_assert_null (memchr (line, '\n', strlen (line) - 1));
  g_assert_true (hypha_forward_order_parse (&order, line, strlen (line) - 1, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (order.local, ==, local);
  g_assert_cmpstr (order.target, ==, target);
}

static void
test_order_that_is_too_long_is_not_written (void)
{
  g_autofree char *local = g_strnfill (HYPHA_FORWARD_ORDER_MAX, 'x');
  g_autoptr (GError) error = NULL;

  g_assert_null (hypha_forward_order_to_line (local, "web", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT);
}

static void
test_longest_news_fit_into_a_line (void)
{
  /* Six bytes is the longest spelling of one. */
  g_autofree char *text = g_strnfill (5000, '\x01');
  g_autoptr (GVariantBuilder) builder = g_variant_builder_new (G_VARIANT_TYPE ("aq"));
  g_autoptr (GVariant) ports = NULL;
  g_autofree char *line = NULL;
  g_auto (HyphaForwardNews) news = NO_NEWS;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < HYPHA_MIRROR_MAX_PORTS; i++)
    g_variant_builder_add (builder, "q", (guint16) (G_MAXUINT16 - i));
  ports = g_variant_ref_sink (g_variant_builder_end (builder));
  line = hypha_forward_news_to_line ("listening", text, text, G_MAXUINT64, G_MAXUINT64, ports);
  g_assert_cmpuint (strlen (line), <=, HYPHA_FORWARD_NEWS_MAX);
  g_assert_true (hypha_forward_news_parse (&news, line, strlen (line) - 1, &error));
  g_assert_no_error (error);
  g_assert_true (g_str_has_prefix (text, news.reason));
  g_assert_cmpuint (news.received, ==, G_MAXINT64);
  g_assert_true (g_variant_equal (news.ports, ports));
}

static void
test_text_is_not_cut_within_a_character (void)
{
  g_autoptr (GString) text = g_string_new ("x");
  g_auto (HyphaForwardNews) news = NO_NEWS;
  g_autofree char *line = NULL;
  g_autoptr (GError) error = NULL;

  while (text->len < 3000)
    g_string_append (text, "\u96fb");
  line = hypha_forward_news_to_line ("failed", "tcp://127.0.0.1:0", text->str, 0, 0, NULL);
  g_assert_true (hypha_forward_news_parse (&news, line, strlen (line) - 1, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (strlen (news.reason), >, 1000);
  g_assert_true (g_str_has_prefix (text->str, news.reason));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/forward-talk/order-is-read-as-it-was-written",
                   test_order_is_read_as_it_was_written);
  g_test_add_func ("/forward-talk/order-that-is-too-long-is-not-written",
                   test_order_that_is_too_long_is_not_written);
  g_test_add_func ("/forward-talk/longest-news-fit-into-a-line", test_longest_news_fit_into_a_line);
  g_test_add_func ("/forward-talk/text-is-not-cut-within-a-character",
                   test_text_is_not_cut_within_a_character);
  return g_test_run ();
}
