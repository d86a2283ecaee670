/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh-reason.h"

#include <glib/gi18n-lib.h>
#include <string.h>
#include <sys/wait.h>

/* What ssh exits with when it is its own failure, and a shell when a command cannot be run. */
#define OWN_FAILURE 255
#define NOT_FOUND 127
#define NOT_RUN 126

/**
 * ssh_reason_dup_clean:
 * @bytes: anything
 * @length: how much of it
 *
 * Returns: (transfer full): its lines, joined by "; ", without what cannot be printed; not empty
 * ones and not those that only draw a frame
 */
char *
ssh_reason_dup_clean (const char *bytes, gsize length)
{
  g_autofree char *valid = g_utf8_make_valid (bytes, (gssize) length);
  g_auto (GStrv) lines = g_strsplit_set (valid, "\r\n", -1);
  GString *clean = g_string_new (NULL);

  for (guint i = 0; lines[i] != NULL; i++) {
    const char *line = g_strstrip (lines[i]);

    if (line[strspn (line, "@ ")] == '\0')
      continue;
    g_string_append (clean, clean->len > 0 ? "; " : "");
    for (const char *p = line; *p != '\0'; p = g_utf8_next_char (p)) {
      gunichar c = g_utf8_get_char (p);

      if (g_unichar_isprint (c))
        g_string_append_unichar (clean, c);
      else
        g_string_append_printf (clean, "\\u{%x}", c);
    }
  }
  return g_string_free (clean, FALSE);
}

/* How it ended, in a few words. */
static char *
describe (int wait_status)
{
  return WIFSIGNALED (wait_status)
             ? g_strdup_printf (_ ("signal %d ended ssh"), WTERMSIG (wait_status))
             : g_strdup_printf (_ ("ssh ended with status %d"), WEXITSTATUS (wait_status));
}

static gboolean
says (const char *words, const char *part)
{
  return strstr (words, part) != NULL;
}

/**
 * ssh_reason_of_failure:
 * @display: the endpoint
 * @address: the same
 * @command: what was to run there
 * @wait_status: of ssh, as waitpid() has it
 * @words: what it said
 *
 * Returns: (transfer full): %HYPHA_ERROR_CONNECT with why no channel came of it, and what to do
 */
GError *
ssh_reason_of_failure (const char *display, const SshAddress *address, const char *command,
                       int wait_status, const char *words)
{
  g_autofree char *how = describe (wait_status), *by_hand = ssh_address_dup_command (address);
  const char *said = *words != '\0' ? words : how;
  int status = WIFEXITED (wait_status) ? WEXITSTATUS (wait_status) : -1;

  if (status == OWN_FAILURE &&
      (says (words, "Host key verification failed") || says (words, "IDENTIFICATION HAS CHANGED")))
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: ssh does not know the other machine by the key that it shows (%s): "
                           "connect by hand once, as the user that the node runs as: %s"),
                        display, said, by_hand);
  if (status == OWN_FAILURE && says (words, "Permission denied"))
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: the other machine does not let this user in (%s): nobody can be "
                           "asked for a password here, so a key has to do; as the user that the "
                           "node runs as, this has to work: %s -o BatchMode=yes true"),
                        display, said, by_hand);
  if (status == OWN_FAILURE)
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT, _ ("%s: ssh could not connect: %s"),
                        display, said);
  if (status == NOT_FOUND || status == NOT_RUN)
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: the other machine cannot run '%s' (%s): install Hypha there, or "
                           "say where it is by the option 'command' of the transport ssh"),
                        display, command, said);
  if (status >= 0)
    return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT,
                        _ ("%s: '%s' at the other machine did not attach (status %d): %s"), display,
                        command, status, said);
  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_CONNECT, "%s: %s%s%s", display, how,
                      *words != '\0' ? ": " : "", words);
}

/**
 * ssh_reason_of_end:
 * @wait_status: of ssh, as waitpid() has it
 * @words: what it said
 *
 * Returns: (transfer full): %HYPHA_ERROR_RESET with why a channel ended
 */
GError *
ssh_reason_of_end (int wait_status, const char *words)
{
  g_autofree char *how = describe (wait_status);

  return g_error_new (HYPHA_ERROR, HYPHA_ERROR_RESET, "%s%s%s", how, *words != '\0' ? ": " : "",
                      words);
}
