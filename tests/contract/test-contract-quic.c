/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "contract.h"
#include "harness.h"
#include "quic.h"

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

/* A socket that nobody reads. */
static guint16
open_silent (const struct sockaddr *address, socklen_t length, GArray *held)
{
  int fd = socket (address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in6 bound = { 0 };
  socklen_t bound_length = sizeof bound;

  g_assert_cmpint (bind (fd, address, length), ==, 0);
  g_assert_cmpint (getsockname (fd, (struct sockaddr *) &bound, &bound_length), ==, 0);
  g_array_append_val (held, fd);
  /* The port is at one place in both. */
  return ntohs (bound.sin6_port);
}

static char *
silent_ipv4 (const char *directory, GArray *held)
{
  const struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };

  return g_strdup_printf ("quic://127.0.0.1:%u",
                          open_silent ((const struct sockaddr *) &address, sizeof address, held));
}

static char *
silent_ipv6 (const char *directory, GArray *held)
{
  const struct sockaddr_in6 address = { .sin6_family = AF_INET6,
                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT };

  return g_strdup_printf ("quic://[::1]:%u",
                          open_silent ((const struct sockaddr *) &address, sizeof address, held));
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
  g_test_init (&argc, &argv, NULL);
  contract_add_tests (&ipv4);
  contract_add_tests (&ipv6);
  return g_test_run ();
}
