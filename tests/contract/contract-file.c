/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract-file.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"
#include "silent.h"

#define GROUP "Contract"
#define ARROW " -> "
#define MAX_SIZE (64 * 1024)

static struct {
  gboolean there;
  char *listen, *far, *silent, *host;
  GVariant *options;
  GArray *spellings; /* of ContractSpelling */
  Contract contract;
} file;

/* ---- reading ---- */

static gboolean
refuse (const char *key, const char *what, GError **error)
{
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING, "the key '%s': %s", key, what);
  return FALSE;
}

static gboolean
read_flags (GKeyFile *keys, const char *key, gpointer out, GError **error)
{
  g_auto (GStrv) nicks = g_key_file_get_string_list (keys, GROUP, key, NULL, error);
  g_autoptr (GFlagsClass) class = g_type_class_ref (HYPHA_TYPE_CHANNEL_FLAGS);
  HyphaChannelFlags *flags = out;

  for (guint i = 0; nicks != NULL && nicks[i] != NULL; i++) {
    const GFlagsValue *value = g_flags_get_value_by_nick (class, nicks[i]);

    if (value == NULL) {
      g_autofree char *what =
          g_strdup_printf ("there is no flag '%s': they are kernel, peer-is-node, privileged-port, "
                           "vouched-address and lossy",
                           nicks[i]);

      return refuse (key, what, error);
    }
    *flags |= value->value;
  }
  return nicks != NULL;
}

static gboolean
read_string (GKeyFile *keys, const char *key, gpointer out, GError **error)
{
  char **string = out;

  *string = g_key_file_get_string (keys, GROUP, key, error);
  return *string != NULL;
}

static gboolean
read_boolean (GKeyFile *keys, const char *key, gpointer out, GError **error)
{
  g_autoptr (GError) reason = NULL;

  *(gboolean *) out = g_key_file_get_boolean (keys, GROUP, key, &reason);
  return reason == NULL || refuse (key, "it is true or false", error);
}

static gboolean
read_cost (GKeyFile *keys, const char *key, gpointer out, GError **error)
{
  g_autofree char *text = g_key_file_get_string (keys, GROUP, key, NULL);
  guint64 cost = 0;

  if (text == NULL || !g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT, &cost, NULL))
    return refuse (key, "it is a number above 0", error);
  *(guint *) out = (guint) cost;
  return TRUE;
}

static gboolean
read_options (GKeyFile *keys, const char *key, gpointer out, GError **error)
{
  g_autofree char *text = g_key_file_get_string (keys, GROUP, key, NULL);
  g_autoptr (GError) reason = NULL;
  GVariant *options =
      text == NULL ? NULL : g_variant_parse (G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &reason);

  if (options == NULL)
    return refuse (key, "it is a dictionary as GVariant has it, such as {'nodelay': <true>}",
                   error);
  *(GVariant **) out = options;
  return TRUE;
}

static const struct {
  const char *name;
  gboolean (*read) (GKeyFile *keys, const char *key, gpointer out, GError **error);
  gpointer out;
} words[] = {
  { "listen", read_string, &file.listen },
  { "far", read_string, &file.far },
  { "silent", read_string, &file.silent },
  { "host", read_string, &file.host },
  { "options", read_options, &file.options },
  { "flags", read_flags, &file.contract.flags },
  { "cost", read_cost, &file.contract.cost },
  { "uid", read_boolean, &file.contract.has_uid },
  { "cid", read_boolean, &file.contract.has_cid },
  { "encrypted", read_boolean, &file.contract.encrypted },
  { "half-close", read_boolean, &file.contract.half_close },
  { "tells-cut", read_boolean, &file.contract.tells_cut },
};

static gboolean
read_word (GKeyFile *keys, const char *key, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (g_str_equal (words[i].name, key))
      return words[i].read (keys, key, words[i].out, error);
  return refuse (key, "there is no such key", error);
}

/* A line of [Accepted] or [Refused]: what it is called is for people. */
static gboolean
read_spelling (GKeyFile *keys, const char *group, const char *key, GError **error)
{
  g_autofree char *text = g_key_file_get_string (keys, group, key, error);
  gboolean refused = g_str_equal (group, "Refused");
  ContractSpelling spelling = { NULL, NULL, NULL };
  char *arrow;

  if (text == NULL)
    return FALSE;
  arrow = strstr (text, ARROW);
  if (refused && arrow == NULL)
    return refuse (key, "of what is refused, ' -> ' and a part of the message have to follow",
                   error);
  if (arrow != NULL)
    *arrow = '\0';
  /* They last as long as the process. */
  spelling.uri = g_intern_string (text);
  if (refused)
    spelling.part = g_intern_string (arrow + strlen (ARROW));
  else
    spelling.canonical = g_intern_string (arrow != NULL ? arrow + strlen (ARROW) : text);
  g_array_append_val (file.spellings, spelling);
  return TRUE;
}

static gboolean
read_group (GKeyFile *keys, const char *group, GError **error)
{
  g_auto (GStrv) names = g_key_file_get_keys (keys, group, NULL, error);
  gboolean spellings = g_str_equal (group, "Accepted") || g_str_equal (group, "Refused");

  if (!spellings && !g_str_equal (group, GROUP)) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_SETTING,
                 "there is no group '%s': they are Contract, Accepted and Refused", group);
    return FALSE;
  }
  for (guint i = 0; names != NULL && names[i] != NULL; i++)
    if (!(spellings ? read_spelling (keys, group, names[i], error)
                    : read_word (keys, names[i], error)))
      return FALSE;
  return names != NULL;
}

static gboolean
check_whole (GError **error)
{
  if ((file.listen == NULL) == (file.far == NULL))
    return refuse (file.far == NULL ? "listen" : "far",
                   "either 'listen' is there or, for a transport that only connects, 'far'", error);
  if (file.far != NULL && strstr (file.far, "${far-") == NULL)
    return refuse ("far", "it leads to ${far-unix}, a path, or ${far-tcp}, a port of 127.0.0.1",
                   error);
  return TRUE;
}

gboolean
contract_file_read (const char *path, GError **error)
{
  const ContractSpelling end = { NULL, NULL, NULL };
  g_autoptr (GKeyFile) keys = g_key_file_new ();
  g_autoptr (GError) reason = NULL;
  g_auto (GStrv) groups = NULL;
  g_autofree char *text = NULL;
  gsize size = 0;
  gboolean good;

  file.spellings = g_array_new (FALSE, FALSE, sizeof (ContractSpelling));
  file.there = path != NULL;
  if (path == NULL)
    return TRUE;
  good = g_file_get_contents (path, &text, &size, &reason);
  if (good && size > MAX_SIZE)
    good = refuse ("...", "the file is larger than 64 KiB", &reason);
  good = good && g_key_file_load_from_data (keys, text, size, G_KEY_FILE_NONE, &reason);
  groups = g_key_file_get_groups (keys, NULL);
  for (guint i = 0; good && groups[i] != NULL; i++)
    good = read_group (keys, groups[i], &reason);
  good = good && check_whole (&reason);
  g_array_append_val (file.spellings, end);
  if (!good)
    g_propagate_prefixed_error (error, g_steal_pointer (&reason), "%s: ", path);
  return good;
}

GVariant *
contract_file_get_options (void)
{
  return file.options;
}

/* ---- ${words} in endpoints ---- */

typedef union {
  struct sockaddr generic;
  struct sockaddr_in in;
  struct sockaddr_un un;
  struct sockaddr_storage storage;
} Address;

static socklen_t
set_address (Address *address, const char *path)
{
  *address =
      (Address){ .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) } };
  if (path == NULL)
    return sizeof address->in;
  *address = (Address){ .un = { .sun_family = AF_UNIX } };
  /* One that a test had before. */
  unlink (path);
  g_assert_cmpuint (strlen (path), <, sizeof address->un.sun_path);
  memcpy (address->un.sun_path, path, strlen (path) + 1);
  return (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (path) + 1);
}

static char *
get_port (int fd)
{
  Address address;
  socklen_t length = sizeof address;

  g_assert_cmpint (getsockname (fd, &address.generic, &length), ==, 0);
  return g_strdup_printf ("%u", ntohs (address.in.sin_port));
}

/* Nobody is let in: a queue that is full. */
static char *
make_silent (const char *path, GArray *held)
{
  Address address;
  socklen_t length = set_address (&address, path);

  silent_listen (&address.generic, &length, held);
  return path != NULL ? g_strdup (path) : g_strdup_printf ("%u", ntohs (address.in.sin_port));
}

/* Whoever comes is let in, and hears nothing: TYPE is SOCK_DGRAM or SOCK_STREAM. */
static char *
make_mute (const char *path, int type, GArray *held)
{
  Address address;
  socklen_t length = set_address (&address, path);
  int fd = socket (address.generic.sa_family, type | SOCK_CLOEXEC, 0);

  g_assert_cmpint (fd, >=, 0);
  g_array_append_val (held, fd);
  g_assert_cmpint (bind (fd, &address.generic, length), ==, 0);
  g_assert_true (type == SOCK_DGRAM || listen (fd, 64) == 0);
  return path != NULL ? g_strdup (path) : get_port (fd);
}

static char *
make_far (const char *path, int *fd)
{
  Address address;
  socklen_t length = set_address (&address, path);

  *fd = socket (address.generic.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (*fd, >=, 0);
  g_assert_cmpint (bind (*fd, &address.generic, length), ==, 0);
  g_assert_cmpint (listen (*fd, SOMAXCONN), ==, 0);
  return path != NULL ? g_strdup (path) : get_port (*fd);
}

/* What WORD stands for; NULL: nothing. HELD and FAR are NULL where there is no use for them. */
static char *
expand_word (const char *word, const char *directory, GArray *held, int *far)
{
  g_autofree char *silent = g_build_filename (directory, "silent", NULL);
  g_autofree char *end = g_build_filename (directory, "far", NULL);

  if (g_str_equal (word, "dir"))
    return g_strdup (directory);
  if (held != NULL && g_str_equal (word, "silent-tcp"))
    return make_silent (NULL, held);
  if (held != NULL && g_str_equal (word, "silent-unix"))
    return make_silent (silent, held);
  if (held != NULL && g_str_equal (word, "mute-tcp"))
    return make_mute (NULL, SOCK_STREAM, held);
  if (held != NULL && g_str_equal (word, "mute-udp"))
    return make_mute (NULL, SOCK_DGRAM, held);
  if (held != NULL && g_str_equal (word, "mute-unix"))
    return make_mute (silent, SOCK_STREAM, held);
  if (far != NULL && g_str_equal (word, "far-tcp"))
    return make_far (NULL, far);
  if (far != NULL && g_str_equal (word, "far-unix"))
    return make_far (end, far);
  return NULL;
}

static char *
expand (const char *text, const char *directory, GArray *held, int *far)
{
  g_autoptr (GString) out = g_string_new (NULL);

  for (const char *c = text; *c != '\0';) {
    const char *close = g_str_has_prefix (c, "${") ? strchr (c, '}') : NULL;
    g_autofree char *word = close == NULL ? NULL : g_strndup (c + 2, (gsize) (close - c - 2));
    g_autofree char *value = word == NULL ? NULL : expand_word (word, directory, held, far);

    if (word != NULL && value == NULL)
      g_error ("the contract's '%s' has ${%s}, which means nothing there", text, word);
    if (value == NULL) {
      g_string_append_c (out, *c++);
      continue;
    }
    g_string_append (out, value);
    c = close + 1;
  }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static char *
fresh (const char *directory)
{
  return expand (file.listen, directory, NULL, NULL);
}

static char *
silent_endpoint (const char *directory, GArray *held)
{
  return expand (file.silent, directory, held, NULL);
}

static char *
far_endpoint (const char *directory, int *fd)
{
  return expand (file.far, directory, NULL, fd);
}

/* ---- without a file ---- */

/* What many transports understand: NULL if this one does not. */
static char *
find_listen (HyphaTransport *transport)
{
  static const char *const guesses[] = { "://127.0.0.1:0", "://${dir}/socket", NULL };
  const char *scheme = hypha_transport_get_schemes (transport)[0];
  g_autofree char *directory = g_dir_make_tmp ("hypha-contract-XXXXXX", NULL);
  char *found = NULL;

  for (guint i = 0; directory != NULL && guesses[i] != NULL && found == NULL; i++) {
    g_autofree char *guess = g_strconcat (scheme, guesses[i], NULL);
    g_autofree char *uri = expand (guess, directory, NULL, NULL);
    g_autoptr (HyphaEndpoint) endpoint = harness_parse (transport, uri, NULL);
    g_autoptr (HyphaListener) listener =
        endpoint == NULL ? NULL : harness_listen (transport, endpoint, NULL);

    if (listener == NULL)
      continue;
    hypha_listener_close (listener);
    found = g_steal_pointer (&guess);
  }
  if (directory != NULL)
    rmdir (directory);
  return found;
}

const Contract *
contract_file_make (const char *name, HyphaTransport *transport, HyphaTransport *(*create) (void),
                    void (*release) (HyphaTransport *transport))
{
  Contract *contract = &file.contract;

  if (!file.there) {
    const ContractSpelling end = { NULL, NULL, NULL };

    file.listen = find_listen (transport);
    contract->unpromised = TRUE;
    if (file.listen != NULL && strstr (file.listen, "${") == NULL) {
      g_autoptr (HyphaEndpoint) endpoint = harness_parse (transport, file.listen, NULL);
      const char *canonical =
          endpoint == NULL ? NULL : g_intern_string (hypha_endpoint_to_string (endpoint));
      ContractSpelling spelling = { file.listen, canonical, NULL };

      g_array_append_val (file.spellings, spelling);
    }
    g_array_append_val (file.spellings, end);
  }
  contract->name = name;
  contract->create = create;
  contract->release = release;
  contract->fresh = file.listen != NULL ? fresh : NULL;
  contract->far = file.far != NULL ? far_endpoint : NULL;
  contract->silent = file.silent != NULL ? silent_endpoint : NULL;
  contract->host = file.host != NULL && *file.host != '\0' ? file.host : NULL;
  contract->spellings = (const ContractSpelling *) (const void *) file.spellings->data;
  contract->lossy = hypha_transport_is_lossy (transport);
  return contract;
}
