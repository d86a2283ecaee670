/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <libintl.h>
#include <stdlib.h>

/* Messages come from the library, its plug-ins and the programs alike, and nobody has to call
 * anything before the first one: so the catalogue is bound when the library is loaded. */
__attribute__ ((constructor)) static void
bind_messages (void)
{
  /* For trees that are not installed. Translations are formats: a process with raised privileges
   * does not take them from whoever started it. */
  const char *folder = secure_getenv ("HYPHA_LOCALE_DIR");

  bindtextdomain (GETTEXT_PACKAGE,
                  folder != NULL && g_path_is_absolute (folder) ? folder : HYPHA_LOCALE_DIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
}
