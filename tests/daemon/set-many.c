/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets a key of a node very often and does not wait for one answer before the next call, then asks
 * for it: set-many ADDRESS KEY COUNT prints how many were done and how many were refused as busy,
 * and the value at the end. */
#include <stdlib.h>

#include "client/client.h"

/* A bus lets one client wait for so many answers. */
#define MAX_WAITING 100

static guint left, done, busy;

static void
on_set (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  if (hypha_dbus_config1_call_set_finish (HYPHA_DBUS_CONFIG1 (source), result, &error))
    done++;
  else if (g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_BUSY))
    busy++;
  else
    g_printerr ("%s\n", error->message);
  left--;
}

int
main (int argc, char **argv)
{
  g_auto (HyphaBus) bus = { .address = g_strdup (argv[1]) };
  g_autoptr (GError) error = NULL;
  g_autoptr (HyphaClient) client = NULL;
  g_autoptr (HyphaDBusConfig1) config = NULL;
  g_autoptr (GVariant) boxed = NULL;
  g_autoptr (GVariant) value = NULL;
  guint count = argc == 4 ? (guint) atoi (argv[3]) : 0;
  GDBusProxy *node;

  client = hypha_client_new_on_bus (&bus, NULL, &error);
  if (client == NULL)
    g_error ("%s", error->message);
  node = G_DBUS_PROXY (hypha_client_get_node (client));
  config = hypha_dbus_config1_proxy_new_sync (g_dbus_proxy_get_connection (node), 0,
                                              g_dbus_proxy_get_name (node), HYPHA_DBUS_ROOT, NULL,
                                              &error);
  if (config == NULL)
    g_error ("%s", error->message);
  for (guint i = 0; i < count; i++) {
    while (left >= MAX_WAITING)
      g_main_context_iteration (NULL, TRUE);
    left++;
    hypha_dbus_config1_call_set (config, argv[2],
                                 g_variant_new_variant (g_variant_new_uint32 (1000 + i)),
                                 G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_set, NULL);
  }
  while (left > 0)
    g_main_context_iteration (NULL, TRUE);
  /* Others may keep the node busy. */
  while (!hypha_dbus_config1_call_get_sync (config, argv[2], G_DBUS_CALL_FLAGS_NONE, -1, &boxed,
                                            NULL, &error)) {
    if (!g_error_matches (error, HYPHA_ERROR, HYPHA_ERROR_BUSY))
      g_error ("%s", error->message);
    g_clear_error (&error);
  }
  value = g_variant_get_variant (boxed);
  g_print ("%u %u %u\n", done, busy, g_variant_get_uint32 (value));
  return EXIT_SUCCESS;
}
