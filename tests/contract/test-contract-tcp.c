/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "contract.h"
#include "harness.h"
#include "silent.h"
#include "tcp.h"

static HyphaTransport *
create (void)
{
  return hypha_plugin_tcp.create (NULL);
}

static char *
fresh_ipv4 (const char *directory)
{
  return g_strdup ("tcp://127.0.0.1:0");
}

static char *
fresh_ipv6 (const char *directory)
{
  return g_strdup ("tcp://[::1]:0");
}

static char *
silent_ipv4 (const char *directory, GArray *held)
{
  return silent_inet (AF_INET, SOCK_STREAM, "tcp://127.0.0.1:%u", held);
}

static char *
silent_ipv6 (const char *directory, GArray *held)
{
  return silent_inet (AF_INET6, SOCK_STREAM, "tcp://[::1]:%u", held);
}

static int
handed_over_ipv4 (const char *directory)
{
  const struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };

  return harness_listening_socket ((const struct sockaddr *) &address, sizeof address);
}

static int
handed_over_ipv6 (const char *directory)
{
  const struct sockaddr_in6 address = { .sin6_family = AF_INET6,
                                        .sin6_addr = IN6ADDR_LOOPBACK_INIT };

  return harness_listening_socket ((const struct sockaddr *) &address, sizeof address);
}

static const ContractSpelling spellings[] = {
  { "tcp://127.0.0.1:4974", "tcp://127.0.0.1:4974", NULL },
  { "tcp://[::1]:4974", "tcp://[::1]:4974", NULL },
  { "tcp://[0:0:0:0:0:0:0:1]:4974", "tcp://[::1]:4974", NULL },
  { "tcp://[2001:DB8::A]:1", "tcp://[2001:db8::a]:1", NULL },
  { "tcp://[fe80::1%25eth0]:1", "tcp://[fe80::1%25eth0]:1", NULL },
  { "tcp://[::ffff:127.0.0.1]:1", "tcp://127.0.0.1:1", NULL },
  { "tcp://Example.ORG:any", "tcp://example.org:0", NULL },
  { "tcp://example.org.:80", "tcp://example.org.:80", NULL },
  { "tcp://my_host-1:80", "tcp://my_host-1:80", NULL },
  { "tcp://b\303\274cher.example:80", "tcp://xn--bcher-kva.example:80", NULL },
  { "tcp://any:4974", "tcp://[::]:4974", NULL },
  { "tcp://ANY:4974", "tcp://[::]:4974", NULL },
  { "tcp://\357\275\201ny:4974", "tcp://[::]:4974", NULL },
  { "tcp://*:any", "tcp://[::]:0", NULL },
  { "tcp://0.0.0.0:65535", "tcp://0.0.0.0:65535", NULL },
  { "tcp:127.0.0.1:80", NULL, "//HOST:PORT" },
  { "tcp://127.0.0.1", NULL, "port" },
  { "tcp://127.0.0.1:", NULL, "port" },
  { "tcp://127.0.0.1:65536", NULL, "port" },
  { "tcp://127.0.0.1:99999999999999999999", NULL, "port" },
  { "tcp://127.0.0.1:-1", NULL, "port" },
  { "tcp://127.0.0.1:+1", NULL, "port" },
  { "tcp://127.0.0.1:080", NULL, "port" },
  { "tcp://127.0.0.1:80x", NULL, "port" },
  { "tcp://127.0.0.1:80/", NULL, "port" },
  { "tcp://:80", NULL, "host" },
  { "tcp://fe80::1:80", NULL, "brackets" },
  { "tcp://[::1:80", NULL, "']'" },
  { "tcp://[::g]:80", NULL, "IPv6" },
  { "tcp://[127.0.0.1]:80", NULL, "IPv6" },
  { "tcp://[::1%25lo]:80", NULL, "scope" },
  { "tcp://[fe80::1%25]:80", NULL, "IPv6" },
  { "tcp://[fe80::1%25an-overlong-interface]:80", NULL, "scope" },
  { "tcp://256.0.0.1:80", NULL, "256.0.0.1" },
  { "tcp://127.1:80", NULL, "IPv4" },
  { "tcp://127.0.0.01:80", NULL, "IPv4" },
  { "tcp://0x7f000001:80", NULL, "IPv4" },
  { "tcp://2130706433:80", NULL, "IPv4" },
  { "tcp://example.0x1:80", NULL, "IPv4" },
  { "tcp://a..b:80", NULL, "part ''" },
  { "tcp://.:80", NULL, "part ''" },
  { "tcp://-a:80", NULL, "part '-a'" },
  { "tcp://a,b:80", NULL, "part 'a,b'" },
  { "tcp://user@host:80", NULL, "host" },
  { "tcp://host%0a:80", NULL, "host" },
  { NULL, NULL, NULL },
};

static const Contract ipv4 = {
  .name = "tcp-ipv4",
  .create = create,
  .fresh = fresh_ipv4,
  .silent = silent_ipv4,
  .handed_over = handed_over_ipv4,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_KERNEL,
  .host = "127.0.0.1",
  .half_close = TRUE,
  .cost = 15,
  .tells_cut = TRUE,
};

static const Contract ipv6 = {
  .name = "tcp-ipv6",
  .create = create,
  .usable = harness_has_ipv6,
  .made_anywhere = TRUE,
  .fresh = fresh_ipv6,
  .silent = silent_ipv6,
  .handed_over = handed_over_ipv6,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_KERNEL,
  .host = "::1",
  .half_close = TRUE,
  .cost = 10,
  .tells_cut = TRUE,
};

int
main (int argc, char *argv[])
{
  contract_init (&argc, &argv);
  contract_add_tests (&ipv4);
  contract_add_tests (&ipv6);
  return g_test_run ();
}
