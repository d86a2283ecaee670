/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fault.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* What this program defines comes before what the C library defines, for the library under test as
 * for all others: so each of these functions sees every call, and looks at where it came from. */

typedef struct {
  const char *name;
  int errors[3]; /* that it may meet although all others are well; 0 ends them */
  void *_Atomic real;
  _Atomic guint count;
} Call;

static struct {
  Call *call;
  guint nth;
  int error;
  _Atomic gboolean happened;
} fault;

static struct {
  guintptr base, from, to;
} library;

static int
find_library (struct dl_phdr_info *info, size_t size, void *data)
{
  if (strstr (info->dlpi_name, "/libhypha-1.so") == NULL)
    return 0;
  library.base = info->dlpi_addr;
  for (guint i = 0; i < info->dlpi_phnum; i++) {
    const ElfW (Phdr) *part = &info->dlpi_phdr[i];

    if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
      library.from = info->dlpi_addr + part->p_vaddr;
      library.to = library.from + part->p_memsz;
    }
  }
  return 1;
}

static gboolean
is_library (const void *caller)
{
  return (guintptr) caller >= library.from && (guintptr) caller < library.to;
}

static gboolean
strikes (Call *call, const void *caller)
{
  guint number;

  if (!is_library (caller))
    return FALSE;
  number = atomic_fetch_add (&call->count, 1) + 1;
  if (fault.call != call || number != fault.nth)
    return FALSE;
  atomic_store (&fault.happened, TRUE);
  errno = fault.error;
  return TRUE;
}

/* On any thread, also before this program's constructors; two may find it at the same time. */
static void *
real (Call *call)
{
  void *found = atomic_load (&call->real);

  if (found == NULL) {
    found = dlsym (RTLD_NEXT, call->name);
    atomic_store (&call->real, found);
  }
  return found;
}

/* One call: it returns FAILURE instead of being made where the fault is to strike. What it may fail
 * with comes last. */
#define CALL(type, function, parameters, arguments, failure, ...)                 \
  static Call call_##function = { .name = #function, .errors = { __VA_ARGS__ } }; \
  __attribute__ ((visibility ("default"))) type function parameters               \
  {                                                                               \
    if (strikes (&call_##function, __builtin_return_address (0)))                 \
      return failure;                                                             \
    return ((__typeof__ (&function)) real (&call_##function)) arguments;          \
  }

CALL (int, access, (const char *path, int mode), (path, mode), -1, EACCES)
CALL (int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags),
      (fd, address, length, flags), -1, EMFILE, ECONNABORTED, EINTR)
CALL (int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length),
      -1, ENOSPC)
CALL (int, connect, (int fd, const struct sockaddr *address, socklen_t length),
      (fd, address, length), -1, ECONNREFUSED, EINTR)
CALL (int, epoll_create1, (int flags), (flags), -1, EMFILE)
CALL (int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event),
      (epoll, what, fd, event), -1, ENOMEM)
CALL (int, epoll_wait, (int epoll, struct epoll_event *events, int n, int timeout),
      (epoll, events, n, timeout), -1, EINTR)
CALL (int, eventfd, (unsigned int count, int flags), (count, flags), -1, EMFILE)
CALL (int, eventfd_read, (int fd, eventfd_t *value), (fd, value), -1, EINTR)
CALL (int, eventfd_write, (int fd, eventfd_t value), (fd, value), -1, EINTR)
CALL (int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
CALL (int, timerfd_settime,
      (int fd, int flags, const struct itimerspec *when, struct itimerspec *before),
      (fd, flags, when, before), -1, EINVAL)
CALL (int, fchmod, (int fd, mode_t mode), (fd, mode), -1, EPERM)
CALL (int, fchmodat, (int folder, const char *path, mode_t mode, int flags),
      (folder, path, mode, flags), -1, EIO)
CALL (int, flock, (int fd, int what), (fd, what), -1, ENOLCK)
CALL (int, fstat64, (int fd, struct stat64 *info), (fd, info), -1, EIO)
CALL (int, fstatat64, (int fd, const char *path, struct stat64 *info, int flags),
      (fd, path, info, flags), -1, EIO)
CALL (int, fstatfs64, (int fd, struct statfs64 *info), (fd, info), -1, EIO)
CALL (pid_t, fork, (void), (), -1, EAGAIN)
CALL (int, fsync, (int fd), (fd), -1, EIO)
CALL (int, ftruncate64, (int fd, off64_t length), (fd, length), -1, EIO)
CALL (int, getentropy, (void *buffer, size_t length), (buffer, length), -1, EIO)
CALL (int, getsockname, (int fd, struct sockaddr *address, socklen_t *length),
      (fd, address, length), -1, ENOBUFS)
CALL (int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
      (fd, level, name, value, length), -1, ENOPROTOOPT)
CALL (int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), -1,
      ENOSPC)
CALL (int, inotify_init1, (int flags), (flags), -1, EMFILE)
CALL (int, inotify_rm_watch, (int fd, int watch), (fd, watch), -1, EINVAL)
CALL (int, kill, (pid_t pid, int number), (pid, number), -1, EPERM)
CALL (int, listen, (int fd, int backlog), (fd, backlog), -1, EADDRINUSE)
CALL (int, lstat64, (const char *path, struct stat64 *info), (path, info), -1, EIO)
CALL (int, memfd_create, (const char *name, unsigned int flags), (name, flags), -1, EMFILE)
CALL (int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
CALL (int, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout), -1, EINTR, ENOMEM)
CALL (int, renameat, (int from, const char *old, int to, const char *new), (from, old, to, new), -1,
      EIO)
CALL (int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
      (fd, level, name, value, length), -1, ENOMEM)
CALL (int, shutdown, (int fd, int how), (fd, how), -1, ENOTCONN)
CALL (int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE)
CALL (int, socketpair, (int domain, int type, int protocol, int pair[2]),
      (domain, type, protocol, pair), -1, EMFILE)
CALL (int, waitid, (idtype_t of, id_t id, siginfo_t *info, int options), (of, id, info, options),
      -1, EINTR)
CALL (pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1, EINTR)
CALL (int, unlink, (const char *path), (path), -1, EIO)
CALL (int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1, EIO)
CALL (ssize_t, getrandom, (void *buffer, size_t length, unsigned int flags),
      (buffer, length, flags), -1, EINTR)
CALL (ssize_t, pread64, (int fd, void *buffer, size_t length, off64_t offset),
      (fd, buffer, length, offset), -1, EIO)
CALL (ssize_t, pwrite64, (int fd, const void *buffer, size_t length, off64_t offset),
      (fd, buffer, length, offset), -1, ENOSPC)
CALL (ssize_t, read, (int fd, void *buffer, size_t length), (fd, buffer, length), -1, EIO, EINTR)
CALL (ssize_t, readlinkat, (int fd, const char *path, char *buffer, size_t length),
      (fd, path, buffer, length), -1, EIO)
CALL (ssize_t, readv, (int fd, const struct iovec *pieces, int n), (fd, pieces, n), -1, ECONNRESET,
      EINTR)
CALL (ssize_t, recv, (int fd, void *buffer, size_t length, int flags), (fd, buffer, length, flags),
      -1, ECONNRESET, EINTR)
CALL (ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1,
      ECONNRESET, EINTR)
CALL (ssize_t, recvfrom,
      (int fd, void *buffer, size_t length, int flags, struct sockaddr *from, socklen_t *size),
      (fd, buffer, length, flags, from, size), -1, ENOBUFS, EINTR)
CALL (ssize_t, send, (int fd, const void *buffer, size_t length, int flags),
      (fd, buffer, length, flags), -1, ENOBUFS, EINTR)
CALL (ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1,
      ENOBUFS, EINTR)
CALL (ssize_t, sendto,
      (int fd, const void *buffer, size_t length, int flags, const struct sockaddr *to,
       socklen_t size),
      (fd, buffer, length, flags, to, size), -1, ENOBUFS)
CALL (ssize_t, write, (int fd, const void *buffer, size_t length), (fd, buffer, length), -1, ENOSPC,
      EINTR)
CALL (unsigned int, if_nametoindex, (const char *name), (name), 0, ENODEV)
CALL (char *, if_indextoname, (unsigned int index, char name[IF_NAMESIZE]), (index, name), NULL,
      ENXIO)
CALL (DIR *, fdopendir, (int fd), (fd), NULL, ENOMEM)
CALL (struct dirent64 *, readdir64, (DIR * folder), (folder), NULL, EIO)
/* These return the error. */
CALL (int, getgrgid_r,
      (gid_t id, struct group *group, char *buffer, size_t length, struct group **result),
      (id, group, buffer, length, result), errno, EIO)
CALL (int, getpwuid_r,
      (uid_t id, struct passwd *user, char *buffer, size_t length, struct passwd **result),
      (id, user, buffer, length, result), errno, EIO)
CALL (int, pthread_create,
      (pthread_t * thread, const pthread_attr_t *attributes, void *(*run) (void *), void *data),
      (thread, attributes, run, data), errno, EAGAIN)
/* Closed it is, whatever close says. */
CALL (int, close, (int fd), (fd),
      (((__typeof__ (&close)) real (&call_close)) (fd), errno = fault.error, -1), EIO, EINTR)
CALL (int, closedir, (DIR * folder), (folder),
      (((__typeof__ (&closedir)) real (&call_closedir)) (folder), errno = fault.error, -1), EIO)
/* These have one more argument now and then; to pass on what was not given does no harm. */
#define CALL_WITH_MORE(function, parameters, arguments, last, type, ...)          \
  static Call call_##function = { .name = #function, .errors = { __VA_ARGS__ } }; \
  __attribute__ ((visibility ("default"))) int function parameters                \
  {                                                                               \
    va_list rest;                                                                 \
    type more;                                                                    \
                                                                                  \
    if (strikes (&call_##function, __builtin_return_address (0)))                 \
      return -1;                                                                  \
    va_start (rest, last);                                                        \
    more = va_arg (rest, type);                                                   \
    va_end (rest);                                                                \
    return ((__typeof__ (&function)) real (&call_##function)) arguments;          \
  }

CALL_WITH_MORE (fcntl64, (int fd, int command, ...), (fd, command, more), command, void *, EIO)
CALL_WITH_MORE (open64, (const char *path, int flags, ...), (path, flags, more), flags, mode_t,
                EMFILE, EIO)
CALL_WITH_MORE (openat64, (int folder, const char *path, int flags, ...),
                (folder, path, flags, more), flags, mode_t, EMFILE, EIO)

/* By its number, where the C library has no function for it. A futex is GLib's: its g_cond_signal()
 * ends in a jump here, and so leaves the return address of who called it, which may be the library.
 */
static Call call_syscall = { .name = "syscall", .errors = { ENOSYS } };
__attribute__ ((visibility ("default"))) long
syscall (long number, ...)
{
  va_list rest;
  long more[3];

  if (number != SYS_futex && strikes (&call_syscall, __builtin_return_address (0)))
    return -1;
  va_start (rest, number);
  for (guint i = 0; i < G_N_ELEMENTS (more); i++)
    more[i] = va_arg (rest, long);
  va_end (rest);
  return ((__typeof__ (&syscall)) real (&call_syscall)) (number, more[0], more[1], more[2]);
}

/* Memory whose size somebody else chose. */
CALL (gpointer, g_try_malloc, (gsize size), (size), NULL, ENOMEM)
CALL (gpointer, g_try_malloc0, (gsize size), (size), NULL, ENOMEM)
CALL (gpointer, g_try_malloc0_n, (gsize n, gsize size), (n, size), NULL, ENOMEM)
CALL (gpointer, g_try_malloc_n, (gsize n, gsize size), (n, size), NULL, ENOMEM)
CALL (gpointer, g_try_realloc, (gpointer memory, gsize size), (memory, size), NULL, ENOMEM)
CALL (gpointer, g_try_realloc_n, (gpointer memory, gsize n, gsize size), (memory, n, size), NULL,
      ENOMEM)

/* Memory without which GLib ends the process: that has to be little. */
#define SMALL (4096 + 64)

static void
check_small (const char *name, gsize n, gsize size, const void *caller)
{
  if (!is_library (caller) || n * size <= SMALL)
    return;
  fprintf (stderr, "%s: %zu bytes that may not fail, for the code at +0x%zx\n", name, n * size,
           (gsize) ((guintptr) caller - library.base));
  abort ();
}

#define SMALL_CALL(function, parameters, arguments, n, size)             \
  static Call call_##function = { .name = #function };                   \
  __attribute__ ((visibility ("default"))) gpointer function parameters  \
  {                                                                      \
    check_small (#function, n, size, __builtin_return_address (0));      \
    return ((__typeof__ (&function)) real (&call_##function)) arguments; \
  }

SMALL_CALL (g_malloc, (gsize size), (size), 1, size)
SMALL_CALL (g_malloc0, (gsize size), (size), 1, size)
SMALL_CALL (g_malloc_n, (gsize n, gsize size), (n, size), n, size)
SMALL_CALL (g_malloc0_n, (gsize n, gsize size), (n, size), n, size)
SMALL_CALL (g_realloc, (gpointer memory, gsize size), (memory, size), 1, size)
SMALL_CALL (g_realloc_n, (gpointer memory, gsize n, gsize size), (memory, n, size), n, size)
SMALL_CALL (g_memdup2, (gconstpointer bytes, gsize size), (bytes, size), 1, size)

static Call *const calls[] = {
  &call_accept4,
  &call_access,
  &call_bind,
  &call_close,
  &call_closedir,
  &call_connect,
  &call_epoll_create1,
  &call_epoll_ctl,
  &call_epoll_wait,
  &call_eventfd,
  &call_eventfd_read,
  &call_eventfd_write,
  &call_fchmod,
  &call_fchmodat,
  &call_fcntl64,
  &call_fdopendir,
  &call_flock,
  &call_fork,
  &call_fstat64,
  &call_fstatat64,
  &call_fstatfs64,
  &call_fsync,
  &call_ftruncate64,
  &call_g_try_malloc,
  &call_g_try_malloc0,
  &call_g_try_malloc0_n,
  &call_g_try_malloc_n,
  &call_g_try_realloc,
  &call_g_try_realloc_n,
  &call_getentropy,
  &call_getgrgid_r,
  &call_getpwuid_r,
  &call_getrandom,
  &call_getsockname,
  &call_getsockopt,
  &call_if_indextoname,
  &call_if_nametoindex,
  &call_inotify_add_watch,
  &call_inotify_init1,
  &call_inotify_rm_watch,
  &call_kill,
  &call_listen,
  &call_lstat64,
  &call_memfd_create,
  &call_open64,
  &call_openat64,
  &call_pipe2,
  &call_poll,
  &call_pread64,
  &call_pthread_create,
  &call_pwrite64,
  &call_read,
  &call_readdir64,
  &call_readlinkat,
  &call_readv,
  &call_recv,
  &call_recvfrom,
  &call_recvmsg,
  &call_renameat,
  &call_send,
  &call_sendmsg,
  &call_sendto,
  &call_setsockopt,
  &call_shutdown,
  &call_socket,
  &call_socketpair,
  &call_syscall,
  &call_timerfd_create,
  &call_timerfd_settime,
  &call_unlink,
  &call_unlinkat,
  &call_waitid,
  &call_waitpid,
  &call_write,
};

static Call *
find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    if (g_str_equal (calls[i]->name, name))
      return calls[i];
  return NULL;
}

gboolean
fault_set (const char *name, guint nth, int error)
{
  Call *call = find (name);

  if (call == NULL)
    return FALSE;
  fault.error = error;
  fault.nth = atomic_load (&call->count) + nth;
  fault.call = call;
  return TRUE;
}

void
fault_clear (void)
{
  fault.call = NULL;
}

gboolean
fault_has_happened (void)
{
  return atomic_load (&fault.happened);
}

void
fault_print_counts (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++) {
    printf ("%s %u", calls[i]->name, atomic_load (&calls[i]->count));
    for (guint k = 0; k < G_N_ELEMENTS (calls[i]->errors) && calls[i]->errors[k] != 0; k++)
      printf (" %d", calls[i]->errors[k]);
    putchar ('\n');
  }
}

__attribute__ ((constructor)) static void
find_libraries (void)
{
  dl_iterate_phdr (find_library, NULL);
}
