/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"
#include "harness.h"
#include "vsock-probe.h"
#include "vsock.h"

/* Over CID 1, the kernel's loopback, and never where that cannot be bound: a connection to it would
 * then go to the machine's hypervisor. */

static HyphaTransport *
create (void)
{
  return hypha_plugin_vsock.create (NULL);
}

static gboolean
has_loopback (char **why)
{
  if (vsock_has_cid (VMADDR_CID_LOCAL))
    return TRUE;
  *why = g_strdup ("CID 1 cannot be bound here: this machine has no vsock loopback "
                   "(sudo modprobe vsock_loopback)");
  return FALSE;
}

static char *
fresh (const char *directory)
{
  return g_strdup ("vsock://1:0");
}

static int
handed_over (const char *directory)
{
  const struct sockaddr_vm address = { .svm_family = AF_VSOCK,
                                       .svm_cid = VMADDR_CID_LOCAL,
                                       .svm_port = VMADDR_PORT_ANY };

  return harness_listening_socket ((const struct sockaddr *) &address, sizeof address);
}

/* All of them are in test-vsock.c, which runs without a loopback, too. */
static const ContractSpelling spellings[] = {
  { "vsock://local:any", "vsock://1:0", NULL },
  { "VSOCK-LISTEN:4974?cost=3", "vsock://any:4974?cost=3", NULL },
  { "vsock:host:4294967295", "vsock://2:0", NULL },
  { "vsock://2:4294967296", NULL, "port" },
  { "vsock://-1:80", NULL, "CID" },
  { NULL, NULL, NULL },
};

static const Contract loopback = {
  .name = "vsock",
  .create = create,
  .usable = has_loopback,
  .made_anywhere = TRUE,
  .fresh = fresh,
  /* A full queue resets what comes, so nobody is silent. */
  .silent = NULL,
  .handed_over = handed_over,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE,
  .host = "1",
  .has_cid = TRUE,
  .half_close = TRUE,
  .cost = 5,
};

int
main (int argc, char *argv[])
{
  contract_init (&argc, &argv);
  contract_add_tests (&loopback);
  return g_test_run ();
}
