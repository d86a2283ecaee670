/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
  return silent_inet (AF_INET, SOCK_STREAM, "pumped://127.0.0.1:%u", held);
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
  contract_init (&argc, &argv);
  contract_add_tests (&contract);
  return g_test_run ();
}
