/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#define FIRST 3 /* where they begin, by the protocol */
#define MOST 1024

struct _HyphaActivation {
  int first, n; /* the next one, and how many there are */
  char **names; /* NULL: nobody gave them names */
};

/* FALSE: there is nothing for this process. */
static gboolean
read_count (const char *pid, const char *count, int *n)
{
  guint64 number;

  /* Of another process, which has passed its environment on. */
  if (pid == NULL || count == NULL ||
      !g_ascii_string_to_unsigned (pid, 10, 1, G_MAXINT, &number, NULL) ||
      number != (guint64) getpid ())
    return FALSE;
  if (!g_ascii_string_to_unsigned (count, 10, 0, MOST, &number, NULL)) {
    g_autofree char *escaped = g_strescape (count, NULL);

    g_warning ("LISTEN_FDS is '%s', and no number up to %d: no socket is taken over", escaped,
               MOST);
    return FALSE;
  }
  *n = (int) number;
  return TRUE;
}

/**
 * hypha_activation_take:
 *
 * Finds the sockets by LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and unsets these, whosever they
 * are. To be called while the process has one thread. No child will inherit the descriptors.
 *
 * Returns: (transfer full): the sockets, perhaps none
 */
HyphaActivation *
hypha_activation_take (void)
{
  HyphaActivation *self = g_new0 (HyphaActivation, 1);
  const char *names = g_getenv ("LISTEN_FDNAMES");

  self->first = FIRST;
  if (read_count (g_getenv ("LISTEN_PID"), g_getenv ("LISTEN_FDS"), &self->n) && names != NULL)
    self->names = g_strsplit (names, ":", -1);
  if (self->names != NULL && g_strv_length (self->names) != (guint) self->n) {
    g_warning ("LISTEN_FDNAMES has %u names for %d descriptors: none of them is used",
               g_strv_length (self->names), self->n);
    g_clear_pointer (&self->names, g_strfreev);
  }
  /* A number that nobody has opened would be that of something of our own before long. */
  for (int i = 0; i < self->n; i++) {
    if (fcntl (FIRST + i, F_SETFD, FD_CLOEXEC) == 0)
      continue;
    g_warning ("LISTEN_FDS is %d, but descriptor %d is not open: no more than %d are taken over",
               self->n, FIRST + i, i);
    self->n = i;
  }
  g_unsetenv ("LISTEN_PID");
  g_unsetenv ("LISTEN_FDS");
  g_unsetenv ("LISTEN_FDNAMES");
  return self;
}

/**
 * hypha_activation_free:
 * @self: (transfer full): the sockets
 *
 * Closes those that no node has.
 */
void
hypha_activation_free (HyphaActivation *self)
{
  for (int i = 0; i < self->n; i++)
    close (self->first + i);
  g_strfreev (self->names);
  g_free (self);
}

/**
 * hypha_activation_hand_over:
 * @self: the sockets
 * @node: a node that listens on nothing yet
 *
 * Gives them to @node. One that is no listening stream socket is told, by its name, and closed.
 */
void
hypha_activation_hand_over (HyphaActivation *self, HyphaNode *node)
{
  for (int i = 0; self->n > 0; i++) {
    g_autofree char *escaped = self->names != NULL ? g_strescape (self->names[i], NULL) : NULL;
    g_autofree char *name = escaped != NULL
                                ? g_strdup_printf ("descriptor %d (%s)", self->first, escaped)
                                : g_strdup_printf ("descriptor %d", self->first);
    g_autoptr (GError) error = NULL;

    self->n--;
    if (!hypha_node_adopt (node, self->first++, name, &error))
      g_warning ("not taken over: %s", error->message);
  }
}
