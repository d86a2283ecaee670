/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "contract.h"
#include "harness.h"
#include "hvsock.h"
#include "silent.h"
#include "vmm.h"

/* By way of a machine whose guest leads every port straight back to the host's. */

static HyphaTransport *
create (void)
{
  return hypha_plugin_hvsock.create (NULL);
}

static gpointer
begin (const char *directory, VmmKind kind)
{
  g_autofree char *path = g_build_filename (directory, "v.sock", NULL);

  return vmm_new (path, kind);
}

static gpointer
begin_firecracker (const char *directory)
{
  return begin (directory, VMM_FIRECRACKER);
}

static gpointer
begin_cloud_hypervisor (const char *directory)
{
  return begin (directory, VMM_CLOUD_HYPERVISOR);
}

static gpointer
begin_vhost_device (const char *directory)
{
  return begin (directory, VMM_VHOST_DEVICE);
}

static void
end (gpointer vmm)
{
  vmm_free (vmm);
}

static char *
fresh (const char *directory)
{
  return g_strdup_printf ("hvsock://%s/v.sock:4974", directory);
}

static char *
silent (const char *directory, GArray *held)
{
  g_autofree char *path = g_build_filename (directory, "silent", NULL);
  union {
    struct sockaddr generic;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
  } address = { .un = { .sun_family = AF_UNIX } };
  socklen_t length = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (path) + 1);

  memcpy (address.un.sun_path, path, strlen (path));
  silent_listen (&address.generic, &length, held);
  return g_strdup_printf ("hvsock://%s:4974", path);
}

static const ContractSpelling spellings[] = {
  { "hvsock:///run/vm/v.sock:4974", "hvsock:///run/vm/v.sock:4974", NULL },
  { "vsock-mux/run/vm/v.sock:22", "hvsock:///run/vm/v.sock:22", NULL },
  { "hvsock:///run/vm/*/v.sock:4974?cost=3", "hvsock:///run/vm/*/v.sock:4974?cost=3", NULL },
  { "hvsock:///run/vm/v.sock", NULL, "the port is missing" },
  { "hvsock://run/v.sock:1", NULL, "is not absolute" },
  { NULL, NULL, NULL },
};

#define MACHINE(NAME, BEGIN)                                                                       \
  {                                                                                                \
    .name = NAME, .create = create, .begin = BEGIN, .end = end, .fresh = fresh, .silent = silent,  \
    .spellings = spellings, .flags = HYPHA_CHANNEL_VOUCHED_ADDRESS, .host = "./v.sock", .cost = 5, \
  }

/* None of the three carries the end of one direction. */
static const Contract machines[] = {
  MACHINE ("hvsock-firecracker", begin_firecracker),
  MACHINE ("hvsock-cloud-hypervisor", begin_cloud_hypervisor),
  MACHINE ("hvsock-vhost-device-vsock", begin_vhost_device),
};

/* All of them, or the one that is named: they mostly wait, and can do that at once. */
int
main (int argc, char *argv[])
{
  guint n = 0;

  contract_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (machines); i++)
    if (argc < 2 || g_str_equal (argv[1], machines[i].name)) {
      contract_add_tests (&machines[i]);
      n++;
    }
  g_assert_cmpuint (n, >, 0);
  return g_test_run ();
}
