/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tcp-holder.h"

#include <glib/gi18n-lib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* It runs on the main thread: on a machine with too much to look through, the user has to do. */
#define PATIENCE_MS 100
#define STATE_LISTEN 0x0a /* TCP_LISTEN, as /proc/net/tcp prints it */

/* As /proc/net/tcp and tcp6 print an address: words in the machine's own byte order. */
static void
print_address (const HyphaInetSockaddr *address, char out[33])
{
  const struct sockaddr *any = (const struct sockaddr *) &address->storage;
  guint32 words[4];

  if (any->sa_family == AF_INET) {
    memcpy (words, &((const struct sockaddr_in *) (const void *) any)->sin_addr, 4);
    g_snprintf (out, 33, "%08X", words[0]);
  } else {
    memcpy (words, &((const struct sockaddr_in6 *) (const void *) any)->sin6_addr, 16);
    g_snprintf (out, 33, "%08X%08X%08X%08X", words[0], words[1], words[2], words[3]);
  }
}

static gboolean
is_any (const char *hex)
{
  return strspn (hex, "0") == strlen (hex);
}

/* The kernel prints the listening sockets first; of the others there may be a hundred thousand. */
static gboolean
find_in_table (const char *table, const HyphaInetSockaddr *address, guint *uid, gulong *inode)
{
  guint port = g_ntohs (((const struct sockaddr_in *) (const void *) &address->storage)->sin_port);
  FILE *file = fopen (table, "re");
  gboolean found = FALSE;
  guint state = STATE_LISTEN;
  char wanted[33];
  char line[256];

  if (file == NULL || fgets (line, sizeof line, file) == NULL) /* the heading */
    state = 0;
  print_address (address, wanted);
  while (!found && state == STATE_LISTEN && fgets (line, sizeof line, file) != NULL) {
    char local[33];
    guint local_port;

    if (sscanf (line, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x %*s %*s %*s %u %*u %lu", local,
                &local_port, &state, uid, inode) != 5)
      break;
    found = state == STATE_LISTEN && local_port == port &&
            (is_any (local) || is_any (wanted) || strcmp (local, wanted) == 0);
  }
  if (file != NULL)
    fclose (file);
  return found;
}

/* Whether one of the descriptors of process PID is WANTED, such as "socket:[1234]". */
static gboolean
process_holds (const char *pid, const char *wanted, gint64 patience)
{
  g_autofree char *path = g_build_filename ("/proc", pid, "fd", NULL);
  g_autoptr (GDir) fds = g_dir_open (path, 0, NULL);
  const char *fd;

  while (fds != NULL && (fd = g_dir_read_name (fds)) != NULL &&
         g_get_monotonic_time () < patience) {
    g_autofree char *link = g_build_filename (path, fd, NULL);
    char target[64];
    gssize length = readlink (link, target, sizeof target - 1);

    if (length > 0) {
      target[length] = '\0';
      if (strcmp (target, wanted) == 0)
        return TRUE;
    }
  }
  return FALSE;
}

static char *
describe_process (const char *pid)
{
  g_autofree char *path = g_build_filename ("/proc", pid, "comm", NULL);
  g_autofree char *name = NULL;
  g_autofree char *escaped = NULL;

  if (!g_file_get_contents (path, &name, NULL, NULL))
    return g_strdup_printf (_ ("process %s"), pid);
  /* A process chooses its own name. */
  escaped = g_strescape (g_strchomp (name), NULL);
  return g_strdup_printf (_ ("process %s (%s)"), pid, escaped);
}

char *
tcp_holder_describe (const HyphaInetSockaddr *address)
{
  g_autoptr (GDir) processes = NULL;
  g_autofree char *wanted = NULL;
  const char *pid;
  gint64 patience;
  gulong inode = 0;
  guint uid = 0;

  if (!find_in_table ("/proc/net/tcp", address, &uid, &inode) &&
      !find_in_table ("/proc/net/tcp6", address, &uid, &inode))
    return NULL;
  wanted = g_strdup_printf ("socket:[%lu]", inode);
  /* The likeliest first: the same endpoint, listed twice. */
  if (process_holds ("self", wanted, G_MAXINT64))
    return g_strdup_printf (_ ("this very process (%d)"), (int) getpid ());
  patience = g_get_monotonic_time () + PATIENCE_MS * G_TIME_SPAN_MILLISECOND;
  processes = g_dir_open ("/proc", 0, NULL);
  while (processes != NULL && (pid = g_dir_read_name (processes)) != NULL &&
         g_get_monotonic_time () < patience)
    if (g_ascii_isdigit (*pid) && process_holds (pid, wanted, patience))
      return describe_process (pid);
  return g_strdup_printf (_ ("a process of user %u"), uid);
}
