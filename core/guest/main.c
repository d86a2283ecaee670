/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hypha-guest: hyphad and hypha-agent in one program that is linked statically, with its
 * transports, for guests that have nothing. It is what its name says, and hyphad unless that is
 * hypha-agent. */
#include <glib.h>
#include <nss.h>

#include "agent/program.h"
#include "daemon/program.h"

#define AGENT "hypha-agent"

/* Which they are, tells meson.build. */
#define PLUGIN(name) extern const HyphaPlugin hypha_plugin_##name;
BUILT_IN
#undef PLUGIN

/* C libraries and GIO look for more of their code on the machine. What is there is of another
 * build, or of another C library, and is not to come into this program. */
static void
stay_alone (void)
{
  g_setenv ("GIO_MODULE_DIR", "", TRUE);
  g_unsetenv ("GIO_EXTRA_MODULES");
  /* Other character sets are modules, and GLib may be told of one in two ways of its own. */
  g_setenv ("LC_ALL", "C", TRUE);
  g_setenv ("CHARSET", "UTF-8", TRUE);
  g_setenv ("G_FILENAME_ENCODING", "UTF-8", TRUE);
  __nss_configure_lookup ("passwd", "files");
  __nss_configure_lookup ("group", "files");
  __nss_configure_lookup ("initgroups", "files");
  __nss_configure_lookup ("hosts", "files dns");
  __nss_configure_lookup ("services", "files");
}

int
main (int argc, char **argv)
{
#define PLUGIN(name) &hypha_plugin_##name,
  static const HyphaPlugin *const built_in[] = { BUILT_IN NULL };
#undef PLUGIN
  g_autofree char *name = g_path_get_basename (argc > 0 ? argv[0] : "");

  stay_alone ();
  return g_str_equal (name, AGENT) ? hypha_agent_main (argc, argv)
                                   : hypha_daemon_main (argc, argv, built_in);
}
