/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <libintl.h>

/* Messages come from the library, its plug-ins and the programs alike, and nobody has to call
 * anything before the first one: so the catalogue is bound when the library is loaded. */
__attribute__ ((constructor)) static void
bind_messages (void)
{
  bindtextdomain (GETTEXT_PACKAGE, HYPHA_LOCALE_DIR);
  bind_textdomain_codeset (GETTEXT_PACKAGE, "UTF-8");
}
