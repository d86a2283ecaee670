/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "contract.h"
#include "harness.h"
#include "silent.h"
#include "unix.h"

static HyphaTransport *
create (void)
{
  return hypha_plugin_unix.create (NULL);
}

static char *
fresh_path (const char *directory)
{
  return g_strdup_printf ("unix://%s/socket", directory);
}

static int
listen_on (const char *prefix, const char *name)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  gsize skip = *prefix == '@' ? 1 : 0;

  memcpy (address.sun_path + skip, name, strlen (name));
  return harness_listening_socket (
      (const struct sockaddr *) &address,
      (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (name) + 1));
}

static int
handed_over_path (const char *directory)
{
  g_autofree char *path = g_build_filename (directory, "handed-over", NULL);

  return listen_on ("", path);
}

static int
handed_over_abstract (const char *directory)
{
  return listen_on ("@", directory);
}

/* The directory's name is this test's alone, so this is, too. */
static char *
fresh_abstract (const char *directory)
{
  return g_strdup_printf ("unix:@%s", directory);
}

static void
listen_silently (const char *prefix, const char *name, GArray *held)
{
  union {
    struct sockaddr generic;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
  } address = { .un = { .sun_family = AF_UNIX } };
  gsize skip = *prefix == '@' ? 1 : 0;
  socklen_t length = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (name) + 1);

  memcpy (address.un.sun_path + skip, name, strlen (name));
  silent_listen (&address.generic, &length, held);
}

static char *
silent_path (const char *directory, GArray *held)
{
  g_autofree char *path = g_build_filename (directory, "silent", NULL);

  listen_silently ("", path, held);
  return g_strconcat ("unix://", path, NULL);
}

static char *
silent_abstract (const char *directory, GArray *held)
{
  g_autofree char *name = g_strconcat (directory, "-silent", NULL);

  listen_silently ("@", name, held);
  return g_strconcat ("unix:@", name, NULL);
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const ContractSpelling spellings[] = {
  { "unix:///run/hypha/socket", "unix:///run/hypha/socket", NULL },
  { "unix:/run/hypha/socket", "unix:///run/hypha/socket", NULL },
  { "unix:///with%20space", "unix:///with%20space", NULL },
  { "unix:///100%25", "unix:///100%25", NULL },
  { "unix:///a?cost=3", "unix:///a?cost=3", NULL },
  { "unix:///a%3Fcost=3", "unix:///a%3Fcost=3", NULL },
  { "unix:///" HUNDRED "123456", "unix:///" HUNDRED "123456", NULL },
  { "unix:@name", "unix:@name", NULL },
  { "unix:@/run/x", "unix:@/run/x", NULL },
  { "unix:@b\303\274cher", "unix:@b\303\274cher", NULL },
  { "unix:@" HUNDRED "1234567", "unix:@" HUNDRED "1234567", NULL },
  { "unix:@", NULL, "abstract name behind '@' is empty" },
  { "unix:@a%0Ab", NULL, "byte 2" },
  { "unix:@" HUNDRED "12345678", NULL, "at most 107" },
  { "unix:///" HUNDRED "1234567", NULL, "at most 107" },
  { "unix:relative", NULL, "not absolute" },
  { "unix://host/path", NULL, "no host" },
  { "unix://", NULL, "no host" },
  { "unix:///", NULL, "part 1 of the path is empty" },
  { "unix:////a", NULL, "part 1 of the path is empty" },
  { "unix:///a/", NULL, "part 2 of the path is empty" },
  { "unix:///a/../b", NULL, "'..'" },
  { "unix:///a/.", NULL, "'.'" },
  { "unix:///a%1Bb", NULL, "cannot be printed" },
  { NULL, NULL, NULL },
};

static const Contract path = {
  .name = "unix-path",
  .create = create,
  .fresh = fresh_path,
  .silent = silent_path,
  .handed_over = handed_over_path,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE,
  .host = "local",
  .has_uid = TRUE,
  .half_close = TRUE,
  .cost = 3,
  .tells_cut = TRUE,
};

static const Contract abstract = {
  .name = "unix-abstract",
  .create = create,
  .fresh = fresh_abstract,
  .silent = silent_abstract,
  .handed_over = handed_over_abstract,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_KERNEL | HYPHA_CHANNEL_PEER_IS_NODE,
  .host = "local",
  .has_uid = TRUE,
  .half_close = TRUE,
  .cost = 3,
  .tells_cut = TRUE,
};

int
main (int argc, char *argv[])
{
  contract_init (&argc, &argv);
  contract_add_tests (&path);
  contract_add_tests (&abstract);
  return g_test_run ();
}
