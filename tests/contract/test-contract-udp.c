/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "contract.h"
#include "harness.h"
#include "udp.h"

static HyphaTransport *
create (void)
{
  return hypha_plugin_udp.create (NULL);
}

static char *
fresh_ipv4 (const char *directory)
{
  return g_strdup ("udp://127.0.0.1:0");
}

static char *
fresh_ipv6 (const char *directory)
{
  return g_strdup ("udp://[::1]:0");
}

/* How a host and a port are written is held in test-contract-tcp.c. */
static const ContractSpelling spellings[] = {
  { "udp://127.0.0.1:53", "udp://127.0.0.1:53", NULL },
  { "udp://[0:0::1]:53", "udp://[::1]:53", NULL },
  { "udp://[fe80::1%25eth0]:1", "udp://[fe80::1%25eth0]:1", NULL },
  { "udp://[::ffff:127.0.0.1]:1", "udp://127.0.0.1:1", NULL },
  { "udp://Example.ORG:any", "udp://example.org:0", NULL },
  { "udp://any:53", "udp://[::]:53", NULL },
  { "udp:127.0.0.1:53", NULL, "//HOST:PORT" },
  { "udp://127.0.0.1", NULL, "port" },
  { "udp://127.0.0.1:65536", NULL, "port" },
  { "udp://127.1:53", NULL, "IPv4" },
  { NULL, NULL, NULL },
};

static const Contract ipv4 = {
  .name = "udp-ipv4",
  .create = create,
  .fresh = fresh_ipv4,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_LOSSY,
  .host = "127.0.0.1",
  .lossy = TRUE,
};

static const Contract ipv6 = {
  .name = "udp-ipv6",
  .create = create,
  .usable = harness_has_ipv6,
  .made_anywhere = TRUE,
  .fresh = fresh_ipv6,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_LOSSY,
  .host = "::1",
  .lossy = TRUE,
};

int
main (int argc, char *argv[])
{
  contract_init (&argc, &argv);
  contract_add_tests (&ipv4);
  contract_add_tests (&ipv6);
  return g_test_run ();
}
