/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/output.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/text.h"

#define MAX_WIDTH 10000

static char *
format (GVariant *value, gboolean pretty)
{
  g_autoptr (GVariant) owned = g_variant_ref_sink (value);
  g_autoptr (JsonNode) node = json_gvariant_serialize (owned);
  g_autofree char *json = json_to_string (node, pretty);
  g_autofree char *safe = hypha_ctl_escape_json (json);

  return g_strconcat (safe, "\n", NULL);
}

/**
 * hypha_ctl_print_json:
 * @value: what to print; taken if it is floating
 *
 * Prints @value as indented JSON.
 */
void
hypha_ctl_print_json (GVariant *value)
{
  g_autofree char *json = format (value, TRUE);

  fputs (json, stdout);
}

/**
 * hypha_ctl_format_json_line:
 * @value: what to print; taken if it is floating
 *
 * Returns: (transfer full): @value as one line of JSON, with its line break
 */
char *
hypha_ctl_format_json_line (GVariant *value)
{
  return format (value, FALSE);
}

/**
 * hypha_ctl_print_json_line:
 * @value: what to print; taken if it is floating
 *
 * Prints @value as one line of JSON, at once.
 */
void
hypha_ctl_print_json_line (GVariant *value)
{
  g_autofree char *json = format (value, FALSE);

  fputs (json, stdout);
  fflush (stdout);
}

/**
 * hypha_ctl_end_by_broken_pipe:
 *
 * Ends the process without a word if whoever read its output has seen enough. SIGPIPE itself cannot
 * be left to the kernel, for GIO ignores it, and a stream is to be reset first.
 */
void
hypha_ctl_end_by_broken_pipe (void)
{
  struct pollfd pfd = { .fd = STDOUT_FILENO };

  if (poll (&pfd, 1, 0) != 1 || !(pfd.revents & POLLERR))
    return;
  signal (SIGPIPE, SIG_DFL);
  raise (SIGPIPE);
}

/**
 * hypha_ctl_json_cost:
 * @cost: of a link
 *
 * Returns: (transfer floating): the number, or what becomes `null`, for none
 */
GVariant *
hypha_ctl_json_cost (guint cost)
{
  return g_variant_new_maybe (G_VARIANT_TYPE_UINT32,
                              cost == G_MAXUINT ? NULL : g_variant_new_uint32 (cost));
}

/**
 * hypha_ctl_format_bytes:
 * @bytes: a count
 *
 * Returns: (transfer full): the same for people
 */
char *
hypha_ctl_format_bytes (guint64 bytes)
{
  return g_format_size_full (bytes, G_FORMAT_SIZE_IEC_UNITS);
}

/**
 * hypha_ctl_format_ms:
 * @microseconds: a time
 *
 * Returns: (transfer full): in milliseconds, with three decimals
 */
char *
hypha_ctl_format_ms (guint64 microseconds)
{
  return g_strdup_printf (_ ("%" PRIu64 ".%03u ms"), microseconds / 1000,
                          (guint) (microseconds % 1000));
}

/**
 * hypha_ctl_format_cost:
 * @cost: of a link
 *
 * Returns: (transfer full): the number, or `-` for none
 */
char *
hypha_ctl_format_cost (guint cost)
{
  return cost == G_MAXUINT ? g_strdup ("-") : g_strdup_printf ("%u", cost);
}

/**
 * hypha_ctl_format_yes:
 * @yes: something
 *
 * Returns: (transfer full): `yes` or `no`
 */
char *
hypha_ctl_format_yes (gboolean yes)
{
  return g_strdup (yes ? _ ("yes") : _ ("no"));
}

/**
 * hypha_ctl_terminal_width:
 *
 * COLUMNS is what the user says of the terminal; a pipe has no width, whatever the terminal has.
 *
 * Returns: the columns of standard output; 0 if it is no terminal
 */
guint
hypha_ctl_terminal_width (void)
{
  const char *columns = g_getenv ("COLUMNS");
  struct winsize size;
  guint64 width;

  if (!isatty (STDOUT_FILENO))
    return 0;
  if (columns && g_ascii_string_to_unsigned (columns, 10, 1, MAX_WIDTH, &width, NULL))
    return (guint) width;
  return ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ? 0 : size.ws_col;
}

/**
 * hypha_ctl_print_wrapped:
 * @safe: harmless UTF-8
 * @indent: columns before it, which are printed already
 *
 * Prints @safe and a line break; on a terminal, over as many lines as it takes.
 */
void
hypha_ctl_print_wrapped (const char *safe, guint indent)
{
  g_autoptr (GString) text = g_string_new (NULL);
  guint width = hypha_ctl_terminal_width ();

  hypha_ctl_text_append_wrapped (text, safe, indent, width > indent ? width - indent : 0);
  puts (text->str);
}
