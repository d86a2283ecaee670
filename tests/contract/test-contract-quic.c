/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract.h"
#include "harness.h"
#include "quic.h"
#include "silent.h"

static HyphaTransport *
create (void)
{
  return hypha_plugin_quic.create (NULL);
}

static char *
fresh_ipv4 (const char *directory)
{
  return g_strdup ("quic://127.0.0.1:0");
}

static char *
fresh_ipv6 (const char *directory)
{
  return g_strdup ("quic://[::1]:0");
}

static char *
silent_ipv4 (const char *directory, GArray *held)
{
  return silent_inet (AF_INET, SOCK_DGRAM, "quic://127.0.0.1:%u", held);
}

static char *
silent_ipv6 (const char *directory, GArray *held)
{
  return silent_inet (AF_INET6, SOCK_DGRAM, "quic://[::1]:%u", held);
}

/* How a host and a port are written is held in test-contract-tcp.c. */
static const ContractSpelling spellings[] = {
  { "quic://127.0.0.1:4974", "quic://127.0.0.1:4974", NULL },
  { "quic://[0:0::1]:4974", "quic://[::1]:4974", NULL },
  { "quic://[FE80::1%25eth0]:1", "quic://[fe80::1%25eth0]:1", NULL },
  { "quic://[::ffff:127.0.0.1]:1", "quic://127.0.0.1:1", NULL },
  { "quic://Example.ORG:any", "quic://example.org:0", NULL },
  { "quic://any:4974", "quic://[::]:4974", NULL },
  { "quic:127.0.0.1:4974", NULL, "//HOST:PORT" },
  { "quic://127.0.0.1", NULL, "port" },
  { "quic://127.0.0.1:65536", NULL, "port" },
  { "quic://127.1:4974", NULL, "IPv4" },
  { NULL, NULL, NULL },
};

static const Contract ipv4 = {
  .name = "quic-ipv4",
  .create = create,
  .fresh = fresh_ipv4,
  .silent = silent_ipv4,
  .spellings = spellings,
  .host = "127.0.0.1",
  .encrypted = TRUE,
  .half_close = TRUE,
  .tells_cut = TRUE,
  .cost = 12,
};

static const Contract ipv6 = {
  .name = "quic-ipv6",
  .create = create,
  .usable = harness_has_ipv6,
  .made_anywhere = TRUE,
  .fresh = fresh_ipv6,
  .silent = silent_ipv6,
  .spellings = spellings,
  .host = "::1",
  .encrypted = TRUE,
  .half_close = TRUE,
  .tells_cut = TRUE,
  .cost = 7,
};

int
main (int argc, char *argv[])
{
  contract_init (&argc, &argv);
  contract_add_tests (&ipv4);
  contract_add_tests (&ipv6);
  return g_test_run ();
}
