/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/colour.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

typedef enum { AUTO, ALWAYS, NEVER } When;

static When chosen = AUTO;

/* What is well, what wants a look, and what is broken; all else has no colour. */
static const struct {
  const char *state, *colour;
} states[] = {
  { "online", GREEN },       { "active", GREEN },      { "up", GREEN },
  { "ready", GREEN },        { "listening", GREEN },   { "pending", YELLOW },
  { "suspect", YELLOW },     { "connecting", YELLOW }, { "trying", YELLOW },
  { "waiting", YELLOW },     { "resuming", YELLOW },   { "stale", YELLOW },
  { "unavailable", YELLOW }, { "failed", RED },        { "refused", RED },
};

/**
 * hypha_ctl_colour_choose:
 * @when: `auto`, `always` or `never`
 * @error: return location for an error: %G_OPTION_ERROR
 *
 * Chooses when there are colours.
 *
 * Returns: %FALSE if @when is none of them
 */
gboolean
hypha_ctl_colour_choose (const char *when, GError **error)
{
  if (g_str_equal (when, "auto"))
    chosen = AUTO;
  else if (g_str_equal (when, "always"))
    chosen = ALWAYS;
  else if (g_str_equal (when, "never"))
    chosen = NEVER;
  else {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("--color %s: it is auto, always or never"), when);
    return FALSE;
  }
  return TRUE;
}

static gboolean
is_on (void)
{
  const char *terminal = g_getenv ("TERM");
  const char *no_color = g_getenv ("NO_COLOR");

  if (chosen != AUTO)
    return chosen == ALWAYS;
  return isatty (STDOUT_FILENO) && terminal && !g_str_equal (terminal, "dumb") &&
         (no_color == NULL || *no_color == '\0');
}

/**
 * hypha_ctl_colour_begin:
 * @text: what will be printed
 *
 * Returns: what to print before it, perhaps nothing
 */
const char *
hypha_ctl_colour_begin (const char *text)
{
  for (gsize i = 0; i < G_N_ELEMENTS (states); i++) {
    if (g_str_equal (states[i].state, text))
      return is_on () ? states[i].colour : "";
  }
  return "";
}

/**
 * hypha_ctl_colour_end:
 * @text: what was printed
 *
 * Returns: what to print after it, perhaps nothing
 */
const char *
hypha_ctl_colour_end (const char *text)
{
  return *hypha_ctl_colour_begin (text) ? PLAIN : "";
}
