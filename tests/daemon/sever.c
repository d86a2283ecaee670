/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Cuts a socket of another process from outside: sever PID TEXT shuts down every connected socket
 * of PID whose local or remote address holds TEXT (a path, a port as ":4974:", or
 * "vsock://1:4974/"), by a duplicate of its descriptor. The process is not asked and not told; for
 * it, the connection just dies. sever --allow COMMAND... runs COMMAND so that this may be done to
 * it where Yama restricts ptrace to one's children. */

#include <sys/socket.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int
allow (char **argv)
{
  prctl (PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  execvp (argv[0], argv);
  fprintf (stderr, "sever: cannot run %s: %s\n", argv[0], strerror (errno));
  return 1;
}

static void
print_address (const struct sockaddr_storage *address, socklen_t length, char *text, size_t size)
{
  char host[INET6_ADDRSTRLEN] = "";

  text[0] = '\0';
  if (address->ss_family == AF_UNIX && length > offsetof (struct sockaddr_un, sun_path)) {
    const struct sockaddr_un *un = (const void *) address;
    int n = (int) (length - offsetof (struct sockaddr_un, sun_path));

    if (un->sun_path[0] == '\0')
      snprintf (text, size, "@%.*s", n - 1, un->sun_path + 1);
    else
      snprintf (text, size, "%.*s", n, un->sun_path);
  } else if (address->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const void *) address;

    inet_ntop (AF_INET, &in->sin_addr, host, sizeof host);
    snprintf (text, size, "%s:%u:", host, ntohs (in->sin_port));
  } else if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const void *) address;

    inet_ntop (AF_INET6, &in6->sin6_addr, host, sizeof host);
    snprintf (text, size, "[%s]:%u:", host, ntohs (in6->sin6_port));
  } else if (address->ss_family == AF_VSOCK) {
    const struct sockaddr_vm *vm = (const void *) address;

    snprintf (text, size, "vsock://%u:%u/", vm->svm_cid, vm->svm_port);
  }
}

static int
sever_one (int fd, const char *text)
{
  struct sockaddr_storage address = { 0 };
  socklen_t length = sizeof address;
  char local[256] = "", remote[256] = "";

  if (getpeername (fd, (struct sockaddr *) &address, &length) != 0)
    return 0; /* no socket, or one that listens */
  print_address (&address, length, remote, sizeof remote);
  length = sizeof address;
  if (getsockname (fd, (struct sockaddr *) &address, &length) == 0)
    print_address (&address, length, local, sizeof local);
  if (strstr (local, text) == NULL && strstr (remote, text) == NULL)
    return 0;
  return shutdown (fd, SHUT_RDWR) == 0;
}

int
main (int argc, char **argv)
{
  char path[64];
  int pidfd, cut = 0, refused = 0;
  struct dirent *entry;
  DIR *dir;

  if (argc > 2 && strcmp (argv[1], "--allow") == 0)
    return allow (argv + 2);
  if (argc != 3) {
    fprintf (stderr, "usage: sever PID TEXT | sever --allow COMMAND...\n");
    return 2;
  }
  pidfd = (int) syscall (SYS_pidfd_open, atoi (argv[1]), 0);
  snprintf (path, sizeof path, "/proc/%d/fd", atoi (argv[1]));
  dir = pidfd >= 0 ? opendir (path) : NULL;
  if (dir == NULL) {
    fprintf (stderr, "sever: process %s: %s\n", argv[1], strerror (errno));
    return 1;
  }
  while ((entry = readdir (dir)) != NULL) {
    int fd = entry->d_name[0] == '.'
                 ? -1
                 : (int) syscall (SYS_pidfd_getfd, pidfd, atoi (entry->d_name), 0);

    if (fd < 0) {
      refused = errno == EPERM ? errno : refused;
      continue;
    }
    cut += sever_one (fd, argv[2]);
    close (fd);
  }
  closedir (dir);
  close (pidfd);
  if (cut == 0)
    fprintf (stderr, "sever: process %s has no connection with '%s'%s\n", argv[1], argv[2],
             refused ? " that may be touched: ptrace is not permitted here" : "");
  return cut > 0 ? 0 : 1;
}
