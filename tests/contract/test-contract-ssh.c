/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "contract.h"
#include "harness.h"
#include "ssh.h"

/* A program in the place of ssh (far-ssh.c): the host is the name of the socket that stands for the
 * other machine. The real one is in tests/daemon. */

static char host[32]; /* this process's alone */

static HyphaTransport *
create (void)
{
  HyphaTransport *transport = hypha_plugin_ssh.create (NULL);
  g_autoptr (GVariant) options =
      g_variant_ref_sink (g_variant_new_parsed ("{'ssh': <%s>}", FAR_SSH));

  g_assert_true (hypha_transport_configure (transport, options, NULL));
  return transport;
}

static char *
far (const char *directory, int *fd)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  memcpy (address.sun_path + 1, host, strlen (host));
  *fd = harness_listening_socket (
      (const struct sockaddr *) &address,
      (socklen_t) (offsetof (struct sockaddr_un, sun_path) + 1 + strlen (host)));
  return g_strconcat ("ssh://", host, NULL);
}

static char *
silent (const char *directory, GArray *held)
{
  return g_strconcat ("ssh://", host, ".silent", NULL);
}

#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define WRONG_HOST "the host is not 1 to 255"
#define WRONG_USER "the user before '@'"
#define WRONG_PORT "not a number from 1 to 65535"

static const ContractSpelling spellings[] = {
  { "ssh://web1", "ssh://web1", NULL },
  { "ssh://web1/", "ssh://web1", NULL },
  { "ssh://Web-1_a.example.net", "ssh://Web-1_a.example.net", NULL },
  { "ssh://root@web1", "ssh://root@web1", NULL },
  { "ssh://first.last+x@web1:2222/", "ssh://first.last+x@web1:2222", NULL },
  { "ssh://web1:1", "ssh://web1:1", NULL },
  { "ssh://web1:65535", "ssh://web1:65535", NULL },
  { "ssh://192.0.2.7", "ssh://192.0.2.7", NULL },
  { "ssh://[::1]", "ssh://[::1]", NULL },
  { "ssh://[2001:DB8:0::7]:22", "ssh://[2001:db8::7]:22", NULL },
  { "ssh://a@[fe80::1%25eth0]:22", "ssh://a@[fe80::1%25eth0]:22", NULL },
  { "ssh://web1?cost=3", "ssh://web1?cost=3", NULL },
  { "ssh://" FIFTY FIFTY FIFTY FIFTY FIFTY "01234", "ssh://" FIFTY FIFTY FIFTY FIFTY FIFTY "01234",
    NULL },
  { "ssh://" FIFTY FIFTY FIFTY FIFTY FIFTY "012345", NULL, WRONG_HOST },
  { "ssh:web1", NULL, "ssh://[USER@]HOST[:PORT]" },
  { "ssh://", NULL, WRONG_HOST },
  { "ssh:///", NULL, WRONG_HOST },
  { "ssh://:22", NULL, WRONG_HOST },
  { "ssh://web1/path", NULL, "path behind the host" },
  { "ssh://web1//", NULL, "path behind the host" },
  { "ssh://-oProxyCommand=id", NULL, WRONG_HOST },
  { "ssh://-v", NULL, WRONG_HOST },
  { "ssh://a@-v", NULL, WRONG_HOST },
  { "ssh://web1;id", NULL, WRONG_HOST },
  { "ssh://$(id)", NULL, WRONG_HOST },
  { "ssh://`id`", NULL, WRONG_HOST },
  { "ssh://web1|id", NULL, WRONG_HOST },
  { "ssh://web1%20-v", NULL, WRONG_HOST },
  { "ssh://web1%0A", NULL, WRONG_HOST },
  { "ssh://web1%00", NULL, "" },
  { "ssh://%25h", NULL, WRONG_HOST },
  { "ssh://~", NULL, WRONG_HOST },
  { "ssh://*", NULL, WRONG_HOST },
  { "ssh://b\303\274cher", NULL, WRONG_HOST },
  { "ssh://'web1'", NULL, WRONG_HOST },
  { "ssh://@web1", NULL, WRONG_USER },
  { "ssh://-l@web1", NULL, WRONG_USER },
  { "ssh://a%25u@web1", NULL, WRONG_USER },
  { "ssh://a;b@web1", NULL, WRONG_USER },
  { "ssh://a:secret@web1", NULL, WRONG_USER },
  { "ssh://a@b@web1", NULL, WRONG_USER },
  { "ssh://" FIFTY TEN "01234@web1", NULL, WRONG_USER },
  { "ssh://web1:", NULL, WRONG_PORT },
  { "ssh://web1:0", NULL, WRONG_PORT },
  { "ssh://web1:022", NULL, WRONG_PORT },
  { "ssh://web1:+22", NULL, WRONG_PORT },
  { "ssh://web1:65536", NULL, WRONG_PORT },
  { "ssh://web1:22:22", NULL, WRONG_PORT },
  { "ssh://web1:any", NULL, WRONG_PORT },
  { "ssh://::1", NULL, WRONG_HOST },
  { "ssh://[::1", NULL, "bracket" },
  { "ssh://[::1]x", NULL, "bracket" },
  { "ssh://[::1]:", NULL, WRONG_PORT },
  { "ssh://[192.0.2.7]", NULL, "not an IPv6 address" },
  { "ssh://[web1]", NULL, "not an IPv6 address" },
  { "ssh://[fe80::1%25;id]", NULL, "not an IPv6 address" },
  { "ssh://[fe80::1%25]", NULL, "not an IPv6 address" },
  { NULL, NULL, NULL },
};

static const Contract contract = {
  .name = "ssh",
  .create = create,
  .far = far,
  .silent = silent,
  .spellings = spellings,
  .flags = HYPHA_CHANNEL_NONE,
  .host = host,
  .cost = 25,
};

int
main (int argc, char *argv[])
{
  g_snprintf (host, sizeof host, "far-of-%d", (int) getpid ());
  contract_init (&argc, &argv);
  contract_add_tests (&contract);
  return g_test_run ();
}
