/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A transport that is a program is started, asked for a connection, and ended. */

#include "scenario.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <hypha-api.h>
#include <signal.h>
#include <string.h>
#include "program/transport.h"

#define CONNECT_MS 3000

static const char program[] =
    "#!/bin/sh\n"
    "while read -r line; do\n"
    "  id=${line##*\\\"id\\\":}\n"
    "  id=${id%%[,\\}]*}\n"
    "  case $line in\n"
    "  *'\"do\":\"connect\"'*)\n"
    "    echo \"{\\\"id\\\":$id,\\\"error\\\":{\\\"code\\\":\\\"busy\\\",\\\"message\\\":\\\"full "
    "coop\\\"}}\" ;;\n"
    "  *) echo \"{\\\"id\\\":$id}\" ;;\n"
    "  esac\n"
    "done\n";

static const char manifest[] =
    "{\"protocol\": 1, \"name\": \"pigeon\", \"version\": \"1\", \"schemes\": [\"pigeon\"],"
    " \"cost\": 9, \"command\": [\"pigeon.sh\"]}";

static void
keep_result (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(GAsyncResult **) user_data = g_object_ref (result);
}

static gboolean
is_there (gpointer data)
{
  return *(GAsyncResult **) data != NULL;
}

/* What the program says of it comes back as it is: so it was asked, and heard. */
static gboolean
ask (HyphaTransport *transport, GError **error)
{
  g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse ("pigeon:coop", error);
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) answer = NULL;

  if (endpoint == NULL)
    return FALSE;
  hypha_transport_connect_async (transport, endpoint, CONNECT_MS, NULL, keep_result, &result);
  if (!scenario_wait (is_there, &result, "the program's answer", error))
    return FALSE;
  channel = hypha_transport_connect_finish (transport, result, &answer);
  g_assert_null (channel);
  if (g_error_matches (answer, HYPHA_ERROR, HYPHA_ERROR_BUSY) &&
      strstr (answer->message, "full coop") != NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&answer));
  return FALSE;
}

static gboolean
is_buried (gpointer data)
{
  return *(int *) data == 0 || kill (*(int *) data, 0) < 0;
}

gboolean
scenario_program (const char *folder, GError **error)
{
  g_autofree char *script = g_build_filename (folder, "pigeon.sh", NULL);
  g_autofree char *path = g_build_filename (folder, "pigeon.json", NULL);
  g_autoptr (GBytes) bytes = g_bytes_new_static (manifest, sizeof manifest - 1);
  g_autoptr (HyphaProgramManifest) parsed = NULL;
  g_autoptr (HyphaTransport) transport = NULL;
  gboolean answered;
  int pid;

  if (!g_file_set_contents (script, program, -1, error) || g_chmod (script, 0700) < 0)
    return FALSE;
  parsed = hypha_program_manifest_parse (bytes, "pigeon", path, error);
  if (parsed == NULL)
    return FALSE;
  transport = hypha_program_transport_new (parsed);
  answered = ask (transport, error);
  pid = hypha_program_transport_get_pid (HYPHA_PROGRAM_TRANSPORT (transport));
  hypha_transport_stop (transport);
  return scenario_wait (is_buried, &pid, "the program's end", answered ? error : NULL) && answered;
}
