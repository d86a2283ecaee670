/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "contract.h"
#include "pumped.h"
#include "silent.h"

static char *
fresh (const char *directory)
{
  return g_strdup ("pumped://127.0.0.1:0");
}

static char *
silent (const char *directory, GArray *held)
{
  union {
    struct sockaddr generic;
    struct sockaddr_in in;
    struct sockaddr_storage storage;
  } address = { .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) } };
  socklen_t length = sizeof address.in;

  silent_listen (&address.generic, &length, held);
  return g_strdup_printf ("pumped://127.0.0.1:%u", ntohs (address.in.sin_port));
}

static const ContractSpelling spellings[] = {
  { "pumped://127.0.0.1:4974", "pumped://127.0.0.1:4974", NULL },
  { "pumped://name:4974", NULL, "host" },
  { NULL, NULL, NULL },
};

static const Contract contract = {
  .name = "pumped",
  .create = pumped_transport_new,
  .fresh = fresh,
  .silent = silent,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_NONE,
  .host = "127.0.0.1",
  .half_close = TRUE,
  .cost = 20,
};

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  contract_add_tests (&contract);
  return g_test_run ();
}
