/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/plugin.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <string.h>

#include "ctl/colour.h"
#include "ctl/output.h"
#include "ctl/text.h"

/* The contract is a program of its own (tests/contract), which speaks TAP: what a plug-in does to
 * the process that loads it is not done to this one. */

#define INDENT 9

typedef struct {
  HyphaCtl *ctl;
  GVariantBuilder *results; /* aa{sv} */
  guint passed, failed, skipped;
  char *name; /* of the test that failed last, whose reasons are still to come; nullable */
  GString *reason;
  char *cannot; /* why nothing is tested at all; nullable */
  gboolean bailed;
} Check;

static void
check_clear (Check *self)
{
  g_variant_builder_unref (self->results);
  g_string_free (self->reason, TRUE);
  g_free (self->name);
  g_free (self->cannot);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Check, check_clear)

/* ---- what it prints ---- */

static void
print_line (const char *verdict, const char *state, const char *text)
{
  g_autofree char *safe = hypha_ctl_escape (text);
  guint width = hypha_ctl_text_width (verdict);

  printf ("%s%s%s%*s", hypha_ctl_colour_begin (state), verdict, hypha_ctl_colour_end (state),
          width < INDENT ? (int) (INDENT - width) : 1, "");
  hypha_ctl_print_wrapped (safe, INDENT);
}

static void
add_result (Check *self, const char *test, const char *result, const char *reason)
{
  g_variant_builder_add_value (
      self->results, g_variant_new_parsed ("{'test': <%s>, 'result': <%s>, 'reason': <%s>}", test,
                                           result, reason));
}

/* The reasons of what failed come in lines behind it. */
static void
finish_failed (Check *self)
{
  g_auto (GStrv) lines = NULL;

  if (self->name == NULL)
    return;
  add_result (self, self->name, "failed", self->reason->str);
  lines = g_strsplit (self->reason->str, "\n", -1);
  for (char **line = lines; !self->ctl->json && *line != NULL; line++)
    if (**line != '\0')
      print_line ("", "", *line);
  g_clear_pointer (&self->name, g_free);
  g_string_truncate (self->reason, 0);
}

static void
take_passed (Check *self, const char *test)
{
  const char *skip = strstr (test, " # SKIP ");
  g_autofree char *name = skip != NULL ? g_strndup (test, (gsize) (skip - test)) : g_strdup (test);

  if (skip == NULL) {
    self->passed++;
    add_result (self, name, "ok", "");
    if (!self->ctl->json)
      print_line (_ ("ok"), "ready", name);
    return;
  }
  self->skipped++;
  add_result (self, name, "skipped", skip + strlen (" # SKIP "));
  if (!self->ctl->json) {
    g_autofree char *whole = g_strdup_printf ("%s: %s", name, skip + strlen (" # SKIP "));

    print_line (_ ("skipped"), "disabled", whole);
  }
}

/* The test's name behind "ok 3 - "; NULL: that is another line. */
static const char *
find_name (const char *line, const char *verdict)
{
  const char *dash;

  if (!g_str_has_prefix (line, verdict) || !g_ascii_isdigit (line[strlen (verdict)]))
    return NULL;
  dash = strstr (line, " - ");
  return dash == NULL ? NULL : dash + strlen (" - ");
}

static void
take_line (Check *self, const char *line)
{
  const char *ok = find_name (line, "ok ");
  const char *not_ok = find_name (line, "not ok ");

  if (g_str_has_prefix (line, "# ")) {
    if (self->name != NULL)
      g_string_append_printf (self->reason, "%s%s", self->reason->len > 0 ? "\n" : "", line + 2);
    else if (!self->ctl->json)
      print_line ("", "", line + 2);
    return;
  }
  finish_failed (self);
  if (ok != NULL) {
    take_passed (self, ok);
  } else if (not_ok != NULL) {
    self->failed++;
    self->name = g_strdup (not_ok);
    if (!self->ctl->json)
      print_line (_ ("failed"), "failed", not_ok);
  } else if (g_str_has_prefix (line, "1..0 # SKIP ")) {
    self->cannot = g_strdup (line + strlen ("1..0 # SKIP "));
  } else if (g_str_has_prefix (line, "Bail out!")) {
    self->bailed = TRUE;
  }
  fflush (stdout);
}

/* ---- running it ---- */

static GSubprocess *
start (const char *file, const HyphaCtlCheckOptions *options, GError **error)
{
  const char *program = g_getenv ("HYPHA_CONTRACT");
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autofree char *bytes = NULL;
  g_autoptr (GSubprocess) process = NULL;
  g_autoptr (GError) reason = NULL;

  g_ptr_array_add (words, (gpointer) (program != NULL ? program : HYPHA_CONTRACT_PROGRAM));
  if (options->contract != NULL) {
    g_ptr_array_add (words, (gpointer) "--contract");
    g_ptr_array_add (words, options->contract);
  }
  for (char **one = options->only; one != NULL && *one != NULL; one++) {
    g_ptr_array_add (words, (gpointer) "--only");
    g_ptr_array_add (words, *one);
  }
  if (options->bytes > 0) {
    bytes = g_strdup_printf ("--bytes=%" G_GINT64_FORMAT, options->bytes);
    g_ptr_array_add (words, bytes);
  }
  g_ptr_array_add (words, (gpointer) "--");
  g_ptr_array_add (words, (gpointer) file);
  g_ptr_array_add (words, NULL);
  process = g_subprocess_newv ((const char *const *) words->pdata, G_SUBPROCESS_FLAGS_STDOUT_PIPE,
                               &reason);
  if (process == NULL)
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
        _ ("the program that holds transports to their contract cannot be run: %s; it belongs at "
           "%s"),
        reason->message, HYPHA_CONTRACT_PROGRAM);
  return g_steal_pointer (&process);
}

static gboolean
read_all (Check *self, GSubprocess *process, GError **error)
{
  g_autoptr (GDataInputStream) lines =
      g_data_input_stream_new (g_subprocess_get_stdout_pipe (process));
  g_autoptr (GError) reason = NULL;
  char *line;

  while ((line = g_data_input_stream_read_line (lines, NULL, NULL, &reason)) != NULL) {
    g_autofree char *owned = line;
    g_autofree char *valid = g_utf8_make_valid (owned, -1);

    take_line (self, valid);
  }
  finish_failed (self);
  if (reason == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&reason));
  return FALSE;
}

/* What is to be said of all of them, after each. */
static gboolean
judge (Check *self, const char *file, GSubprocess *process, GError **error)
{
  guint all = self->passed + self->failed + self->skipped;
  gboolean ended = g_subprocess_get_if_exited (process) &&
                   g_subprocess_get_exit_status (process) == (self->failed > 0 ? 1 : 0);

  if (self->ctl->json)
    hypha_ctl_print_json (g_variant_builder_end (self->results));
  else if (all > 0)
    printf (_ ("Tests: %u ok, %u failed, %u skipped\n"), self->passed, self->failed, self->skipped);
  if (self->cannot != NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("%s cannot work on this machine, so nothing was tested: %s"), file,
                 self->cannot);
  else if (self->failed > 0)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s does not keep the contract of transports"), file);
  else if (self->bailed || !ended)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                 _ ("%s: the tests came to no end; what is above says why"), file);
  else if (self->passed == 0)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT, _ ("%s: no test was run"), file);
  else
    return TRUE;
  return FALSE;
}

/* Whoever mistypes is told here, and not by the other program. */
static gboolean
check_readable (const char *path, GError **error)
{
  g_autofree char *display = g_filename_display_name (path);

  if (g_file_test (path, G_FILE_TEST_IS_REGULAR))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT, _ ("there is no file %s"),
               display);
  return FALSE;
}

/**
 * hypha_ctl_check_plugin:
 * @ctl: what the run was given
 * @file: a plug-in
 * @options: what else was given
 * @error: return location for an error
 *
 * Runs the contract of transports over a plug-in, in processes of their own, and prints what
 * becomes of each test, as it does.
 *
 * Returns: %TRUE if it keeps the contract
 */
gboolean
hypha_ctl_check_plugin (HyphaCtl *ctl, const char *file, const HyphaCtlCheckOptions *options,
                        GError **error)
{
  g_auto (Check) check = { .ctl = ctl,
                           .results = g_variant_builder_new (G_VARIANT_TYPE ("aa{sv}")),
                           .reason = g_string_new (NULL) };
  g_autofree char *display = g_filename_display_name (file);
  g_autoptr (GSubprocess) process = NULL;

  if (!check_readable (file, error) ||
      (options->contract != NULL && !check_readable (options->contract, error)))
    return FALSE;
  process = start (file, options, error);
  return process != NULL && read_all (&check, process, error) &&
         g_subprocess_wait (process, NULL, error) && judge (&check, display, process, error);
}
