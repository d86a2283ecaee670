/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock-probe.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const load_a_carrier =
    N_ ("in a virtual machine: sudo modprobe vmw_vsock_virtio_transport (and give the machine a "
        "vsock device); on a host of virtual machines: sudo modprobe vhost_vsock");

char *
vsock_explain_family (int code, const char *module)
{
  switch (code) {
  case EAFNOSUPPORT:
    if (!g_file_test (module, G_FILE_TEST_EXISTS))
      return g_strdup_printf (_ ("this kernel has no vsock; %s"), _ (load_a_carrier));
    return g_strdup (_ ("the kernel has vsock, but this process may not use it: add AF_VSOCK to "
                        "RestrictAddressFamilies= by `systemctl edit` of the service"));
  case EACCES:
  case EPERM:
    return g_strdup (
        _ ("this process may not open vsock sockets: look for a sandbox that filters "
           "system calls (of a container: podman run --security-opt seccomp=PROFILE)"));
  default:
    return g_strdup_printf (_ ("a vsock socket cannot be opened: %s"), g_strerror (code));
  }
}

char *
vsock_explain_device (int code, const char *device)
{
  switch (code) {
  case ENOENT:
  case ENXIO:
  case ENODEV:
    return g_strdup_printf (
        _ ("there is no %s; try: sudo modprobe vsock (in a container, hand it in: "
           "podman run --device %s)"),
        device, device);
  case EACCES:
  case EPERM:
    return g_strdup_printf (_ ("this user may not open %s; try: sudo chmod a+r %s"), device,
                            device);
  case ENOTTY:
    return g_strdup_printf (_ ("%s is not the vsock device; put it aside, then: sudo mknod %s c 10 "
                               "$(awk '$2 == \"vsock\" { print $1 }' /proc/misc)"),
                            device, device);
  default:
    return g_strdup_printf (_ ("%s cannot be asked: %s"), device, g_strerror (code));
  }
}

/* 0, or errno. */
static int
ask_local_cid (const char *device, guint32 *cid)
{
  /* Whatever lies there instead must not block. */
  int fd = open (device, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  unsigned int answer = VMADDR_CID_ANY;
  int code = 0;

  if (fd < 0)
    return errno;
  if (ioctl (fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &answer) < 0)
    code = errno;
  close (fd);
  *cid = answer;
  return code;
}

static int
try_socket (int type)
{
  int fd = socket (AF_VSOCK, type | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return errno;
  close (fd);
  return 0;
}

gboolean
vsock_has_cid (guint32 cid)
{
  const VsockAddress address = { .cid = cid };
  struct sockaddr_vm sockaddr;
  int fd = socket (AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  gboolean has;

  if (fd < 0)
    return FALSE;
  vsock_address_to_sockaddr (&address, &sockaddr);
  has = bind (fd, (const struct sockaddr *) &sockaddr, sizeof sockaddr) == 0;
  close (fd);
  return has;
}

gboolean
vsock_probe (const char *device, const char *module, GVariantDict *details, GError **error)
{
  gboolean loopback = vsock_has_cid (VMADDR_CID_LOCAL);
  gboolean guests = vsock_has_cid (VMADDR_CID_HOST);
  int family = try_socket (SOCK_STREAM);
  g_autofree char *why = NULL;
  guint32 cid = VMADDR_CID_ANY;
  int code;

  g_variant_dict_insert (details, "stream", "b", family == 0);
  g_variant_dict_insert (details, "seqpacket", "b", try_socket (SOCK_SEQPACKET) == 0);
  g_variant_dict_insert (details, "loopback", "b", loopback);
  g_variant_dict_insert (details, "guests", "b", guests);
  if (family != 0) {
    why = vsock_explain_family (family, module);
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, why);
    return FALSE;
  }
  code = ask_local_cid (device, &cid);
  if (code == 0 && cid != VMADDR_CID_ANY)
    g_variant_dict_insert (details, "local-cid", "u", cid);
  else {
    why = code != 0 ? vsock_explain_device (code, device)
                    : g_strdup (_ ("no hypervisor gave this machine a CID"));
    g_variant_dict_insert (details, "local-cid-unknown", "s", why);
  }
  /* Sockets could be opened and listened on, but nobody would ever come. */
  if (code == 0 && cid == VMADDR_CID_ANY && !loopback && !guests) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("this kernel has vsock, but nothing that carries it; %s; within one machine: "
                    "sudo modprobe vsock_loopback"),
                 _ (load_a_carrier));
    return FALSE;
  }
  return TRUE;
}
