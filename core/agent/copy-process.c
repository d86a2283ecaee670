/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/copy.h"

#include <glib/gi18n-lib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/copy-request.h"
#include "agent/copy-roots.h"
#include "copy/receiver.h"
#include "copy/sender.h"
#include "copy/wire.h"

/* Both ends are told of a problem by the copy itself: the caller tells people. */
static void
on_file (const char *path, guint64 size, gpointer user_data)
{
}

static void
on_moved (guint64 position, gpointer user_data)
{
}

static void
on_problem (const char *sentence, gboolean far, gpointer user_data)
{
}

static const HyphaCopyEvents quiet = { .file = on_file, .moved = on_moved, .problem = on_problem };

static int
open_root (const char *const *roots, const char *path, const char **rest, GError **error)
{
  const char *root = hypha_agent_copy_roots_find (roots, path, rest, error);

  return root ? hypha_copy_open_root (root, error) : -1;
}

/* ---- from here ---- */

/* What PATH is called, if it is a root or relative to one. */
static char *
dup_text (const char *const *roots, const char *path)
{
  return *path == '/' ? g_strdup (path) : g_build_filename (roots[0], path, NULL);
}

static gboolean
send_one (HyphaCopySender *sender, const char *const *roots, const char *path, GError **error)
{
  g_autofree char *text = dup_text (roots, path);
  g_auto (HyphaCopySource) source = { .fd = -1 };
  g_autoptr (GError) reason = NULL;
  const char *rest;
  int root = open_root (roots, path, &rest, &reason);
  gboolean opened;

  /* The first root itself, without its name: what is in it. */
  opened = root >= 0 && hypha_copy_source_open (&source, root, rest, *path ? text : "", &reason);
  if (root >= 0)
    close (root);
  return opened ? hypha_copy_sender_add (sender, &source, text, error)
                : hypha_copy_sender_miss (sender, reason->message, error);
}

static void
send_all (const HyphaAgentCopyRequest *request, const char *const *roots)
{
  g_autoptr (HyphaCopySender) sender = hypha_copy_sender_new (STDIN_FILENO, &quiet, NULL);
  g_autoptr (GError) error = NULL;
  HyphaCopyCounts counts;
  gboolean goes_on = TRUE;

  for (char **path = request->get; goes_on && *path; path++)
    goes_on = send_one (sender, roots, *path, &error);
  if (!goes_on || !hypha_copy_sender_finish (sender, &counts, &error))
    hypha_copy_sender_fail (sender, error);
}

/* ---- to here ---- */

static void
fail (const char *sentence)
{
  static const HyphaCopyWireEvents deaf = { 0 };
  g_autoptr (HyphaCopyWire) wire = hypha_copy_wire_new (STDIN_FILENO, &deaf, NULL);

  hypha_copy_wire_fail (wire, sentence);
  hypha_copy_wire_finish (wire);
}

static void
receive (const HyphaAgentCopyRequest *request, const char *const *roots)
{
  g_autofree char *text = dup_text (roots, request->put);
  g_auto (HyphaCopyDestination) destination = { .fd = -1 };
  g_autoptr (GError) error = NULL;
  HyphaCopyCounts counts;
  const char *rest;
  int root = open_root (roots, request->put, &rest, &error);
  gboolean opened = root >= 0 && hypha_copy_destination_open (&destination, root, rest, text,
                                                              request->into, &error);

  if (root >= 0)
    close (root);
  if (opened)
    hypha_copy_receive (STDIN_FILENO, &destination, &quiet, NULL, &counts, NULL);
  else
    fail (error->message);
}

/**
 * hypha_agent_copy_serve:
 * @roots: (array zero-terminated=1): the directories that may be copied from and to
 *
 * Serves the stream that is standard input, as whoever this process is, and waits as it likes: it
 * does nothing else. Whether it went well is said over the stream.
 *
 * Returns: what to exit with
 */
int
hypha_agent_copy_serve (const char *const *roots)
{
  g_autofree char *text = g_strdup (g_getenv (HYPHA_AGENT_COPY_REQUEST));
  g_autoptr (HyphaAgentCopyRequest) request = NULL;
  g_autoptr (GError) error = NULL;
  int type;
  socklen_t length = sizeof type;

  if (text == NULL || roots[0] == NULL ||
      getsockopt (STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &length) != 0) {
    g_printerr ("hypha-agent: %s\n", _ ("this is for hypha-agent itself"));
    return EXIT_FAILURE;
  }
  g_unsetenv (HYPHA_AGENT_COPY_REQUEST);
  hypha_copy_wire_end_by_signal (STDIN_FILENO);
  request = hypha_agent_copy_request_parse ((const guint8 *) text, strlen (text), &error);
  if (request == NULL)
    fail (error->message);
  else if (request->get)
    send_all (request, roots);
  else
    receive (request, roots);
  return EXIT_SUCCESS;
}
