/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <unistd.h>

#include "contract.h"
#include "harness.h"
#include "hypha-inspect.h"
#include "program/manifest.h"
#include "program/transport.h"
#include "silent.h"

/* The example in Python, with each of the two ways to hand a channel over. */

static HyphaProgramManifest *
read_manifest (void)
{
  g_autofree char *path =
      g_build_filename (g_getenv ("HYPHA_TEST_EXAMPLE"), "pytcp" HYPHA_PROGRAM_SUFFIX, NULL);
  g_autoptr (GError) error = NULL;
  g_auto (HyphaFd) fd = open (path, O_RDONLY | O_CLOEXEC);
  HyphaProgramManifest *manifest = hypha_program_manifest_read (fd, "pytcp", path, &error);

  g_assert_no_error (error);
  return manifest;
}

static gboolean
usable (char **why)
{
  g_autoptr (HyphaProgramManifest) manifest = read_manifest ();
  g_autofree char *python = g_find_program_in_path ("python3");
  g_autoptr (GError) error = NULL;
  HyphaStamp stamp;

  if (python == NULL) {
    *why = g_strdup ("there is no python3");
    return FALSE;
  }
  if (hypha_inspect_program (manifest->program, &stamp, &error))
    return TRUE;
  *why = g_strdup (error->message);
  return FALSE;
}

static gboolean
is_answering (gpointer transport)
{
  return hypha_program_transport_is_answering (transport);
}

/* Its program runs: what that takes of descriptors is not any single test's. */
static HyphaTransport *
create (const char *hand_over)
{
  g_autoptr (HyphaProgramManifest) manifest = read_manifest ();
  HyphaTransport *transport = hypha_program_transport_new (manifest);
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;

  g_variant_dict_insert (&options, "hand-over", "s", hand_over);
  hypha_transport_configure (transport, g_variant_dict_end (&options), &error);
  g_assert_no_error (error);
  hypha_transport_probe (transport, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (harness_wait (is_answering, transport));
  return transport;
}

static HyphaTransport *
create_passing (void)
{
  return create ("descriptor");
}

static HyphaTransport *
create_meeting (void)
{
  return create ("rendezvous");
}

static char *
fresh (const char *directory)
{
  return g_strdup ("pytcp://127.0.0.1:0");
}

static char *
silent (const char *directory, GArray *held)
{
  return silent_inet (AF_INET, SOCK_STREAM, "pytcp://127.0.0.1:%u", held);
}

static const ContractSpelling spellings[] = {
  { "pytcp://127.0.0.1:4974", "pytcp://127.0.0.1:4974", NULL },
  { "pytcp://[0:0:0:0:0:0:0:1]:4974", "pytcp://[::1]:4974", NULL },
  { "pytcp://Example.ORG:any", "pytcp://example.org:0", NULL },
  { "pytcp://127.0.0.1", NULL, "port" },
  { "pytcp://127.0.0.1:65536", NULL, "port" },
  { "pytcp:127.0.0.1:80", NULL, "//HOST:PORT" },
  { "pytcp://:80", NULL, "host" },
  { NULL, NULL, NULL },
};

#define WAY(NAME, CREATE, TELLS_CUT, AGAIN)                                             \
  {                                                                                     \
    .name = NAME, .create = CREATE, .usable = usable, .fresh = fresh, .silent = silent, \
    .spellings = spellings, .host = "127.0.0.1", .half_close = TRUE, .cost = 20,        \
    .tells_cut = TELLS_CUT, .again = AGAIN,                                             \
  }

/* By rendezvous, an end of file is all that a Unix socket tells. */
static const Contract passing = WAY ("program-descriptor", create_passing, TRUE, FALSE);
static const Contract meeting = WAY ("program-rendezvous", create_meeting, FALSE, TRUE);

int
main (int argc, char *argv[])
{
  contract_init (&argc, &argv);
  contract_add_tests (&passing);
  contract_add_tests (&meeting);
  return g_test_run ();
}
