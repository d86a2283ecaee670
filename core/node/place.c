/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "node/place.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "api/hypha-text.h"

struct _HyphaPlace {
  char *text;
  HyphaEndpoint *endpoint; /* with its options, without uid */
  gboolean pattern, has_uid;
  guint32 uid;
};

static gboolean
read_uid (HyphaPlace *self, const char *value, GError **error)
{
  guint64 uid;

  if (self->has_uid || !g_ascii_string_to_unsigned (value, 10, 0, G_MAXUINT32 - 1, &uid, NULL) ||
      (value[0] == '0' && value[1] != '\0')) {
    g_autofree char *quoted = hypha_text_quote (self->text);

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ENDPOINT,
                 _ ("%s: uid has to be given once, as a decimal number"), quoted);
    return FALSE;
  }
  self->uid = (guint32) uid;
  self->has_uid = TRUE;
  return TRUE;
}

/* Takes uid=N out; the rest is an endpoint. NULL: it is wrong. */
static char *
take_uid (HyphaPlace *self, GError **error)
{
  const char *question = strchr (self->text, '?');
  g_auto (GStrv) options = question != NULL ? g_strsplit (question + 1, "&", -1) : NULL;
  g_autoptr (GString) rest = NULL;
  char separator = '?';

  if (question == NULL)
    return g_strdup (self->text);
  rest = g_string_new_len (self->text, question - self->text);
  for (char **option = options; *option != NULL; option++) {
    if (g_str_has_prefix (*option, "uid=")) {
      if (!read_uid (self, *option + strlen ("uid="), error))
        return NULL;
      continue;
    }
    g_string_append_printf (rest, "%c%s", separator, *option);
    separator = '&';
  }
  if (options[0] == NULL)
    g_string_append_c (rest, '?'); /* an empty list of options: let the endpoint say so */
  return g_string_free (g_steal_pointer (&rest), FALSE);
}

HyphaPlace *
hypha_place_parse (const char *text, GError **error)
{
  g_autoptr (HyphaPlace) self = g_new0 (HyphaPlace, 1);
  g_autofree char *uri = NULL;

  self->text = g_strdup (text);
  uri = take_uid (self, error);
  self->endpoint = uri != NULL ? hypha_endpoint_parse (uri, error) : NULL;
  if (self->endpoint == NULL)
    return NULL;
  self->pattern = strchr (hypha_endpoint_get_rest (self->endpoint), '*') != NULL;
  return g_steal_pointer (&self);
}

void
hypha_place_free (HyphaPlace *self)
{
  g_clear_pointer (&self->endpoint, hypha_endpoint_unref);
  g_free (self->text);
  g_free (self);
}

const char *
hypha_place_to_string (HyphaPlace *self)
{
  return self->text;
}

HyphaEndpoint *
hypha_place_get_endpoint (HyphaPlace *self)
{
  return self->endpoint;
}

/* ENDPOINT as TRANSPORT spells it, also with '*' for a port. A pattern of hosts that the transport
 * does not know for one stays as it is. */
static HyphaEndpoint *
spell (HyphaEndpoint *endpoint, HyphaTransport *transport, GError **error)
{
  const char *rest = hypha_endpoint_get_rest (endpoint), *star = strchr (rest, '*');
  gboolean any_port = g_str_has_suffix (rest, ":*");
  gboolean pattern = star != NULL && !(any_port && star[1] == '\0');
  int length = (int) strlen (rest) - 1;
  g_autoptr (HyphaEndpoint) example = NULL, spelled = NULL;
  g_autofree char *with_port = NULL, *with_star = NULL;

  if (any_port) {
    with_port = g_strdup_printf ("%.*s1", length, rest);
    example = hypha_endpoint_new (hypha_endpoint_get_scheme (endpoint), with_port, NULL);
  }
  spelled =
      hypha_transport_parse (transport, any_port ? example : endpoint, pattern ? NULL : error);
  if (spelled == NULL)
    return pattern ? hypha_endpoint_ref (endpoint) : NULL;
  if (!any_port)
    return g_steal_pointer (&spelled);
  rest = hypha_endpoint_get_rest (spelled);
  if (!g_str_has_suffix (rest, ":1"))
    return hypha_endpoint_ref (endpoint);
  with_star = g_strdup_printf ("%.*s*", (int) strlen (rest) - 1, rest);
  return hypha_endpoint_new (hypha_endpoint_get_scheme (spelled), with_star, NULL);
}

gboolean
hypha_place_spell (HyphaPlace *self, HyphaTransport *transport, GError **error)
{
  HyphaEndpoint *spelled = spell (self->endpoint, transport, error);

  if (spelled == NULL)
    return FALSE;
  hypha_endpoint_unref (self->endpoint);
  self->endpoint = spelled;
  return TRUE;
}

gboolean
hypha_place_has_uid (HyphaPlace *self)
{
  return self->has_uid;
}

gboolean
hypha_place_has_options (HyphaPlace *self)
{
  g_autoptr (HyphaEndpoint) bare = hypha_endpoint_without_options (self->endpoint);

  return !hypha_endpoint_equal (bare, self->endpoint);
}

/* ---- comparing ---- */

/* '*' takes as little as it can, and more only when the rest asks for it: linear for each star. */
static gboolean
fits (const char *pattern, const char *text)
{
  const char *star = NULL, *taken = NULL;

  while (*text != '\0') {
    if (*pattern == '*' && *text != '/' && *text != ':') {
      star = pattern++;
      taken = ++text;
    } else if (*pattern != '*' && *pattern == *text) {
      pattern++;
      text++;
    } else if (star != NULL && *taken != '/' && *taken != ':') {
      pattern = star + 1;
      text = ++taken;
    } else {
      return FALSE;
    }
  }
  return *pattern == '\0';
}

static gboolean
fits_endpoint (HyphaPlace *self, HyphaEndpoint *other)
{
  return other != NULL &&
         g_str_equal (hypha_endpoint_get_scheme (self->endpoint),
                      hypha_endpoint_get_scheme (other)) &&
         fits (hypha_endpoint_get_rest (self->endpoint), hypha_endpoint_get_rest (other));
}

gboolean
hypha_place_covers (HyphaPlace *self, HyphaEndpoint *endpoint)
{
  return fits_endpoint (self, endpoint);
}

static gboolean
fits_uid (HyphaPlace *self, HyphaChannel *channel)
{
  guint32 uid;

  return !self->has_uid || (hypha_channel_get_uid (channel, &uid) && uid == self->uid);
}

/* The other end; where that has no address (whoever dials a Unix socket), the door it came to. */
static HyphaEndpoint *
known_end (HyphaChannel *channel)
{
  HyphaEndpoint *remote = hypha_channel_get_remote (channel);

  return remote != NULL ? remote : hypha_channel_get_local (channel);
}

static gboolean
same_host (HyphaPlace *self, HyphaChannel *channel)
{
  HyphaEndpoint *known = known_end (channel);
  g_autofree char *host = NULL;
  guint32 port;

  if (known == NULL ||
      !g_str_equal (hypha_endpoint_get_scheme (self->endpoint), hypha_endpoint_get_scheme (known)))
    return FALSE;
  if (hypha_endpoint_split_host_port (self->endpoint, G_MAXUINT32, &host, &port, NULL))
    return g_strcmp0 (host, hypha_channel_get_host (channel)) == 0;
  return fits_endpoint (self, hypha_channel_get_local (channel)) ||
         fits_endpoint (self, hypha_channel_get_remote (channel));
}

gboolean
hypha_place_holds (HyphaPlace *self, HyphaChannel *channel, HyphaEndpoint *dialled)
{
  if (!fits_uid (self, channel))
    return FALSE;
  if (dialled != NULL)
    return fits_endpoint (self, dialled);
  return self->pattern ? fits_endpoint (self, known_end (channel)) : same_host (self, channel);
}

gboolean
hypha_place_vouches (HyphaPlace *self, HyphaChannel *channel)
{
  HyphaChannelFlags flags = hypha_channel_get_flags (channel);
  gboolean by_uid =
      flags & HYPHA_CHANNEL_PEER_IS_NODE && hypha_channel_get_uid (channel, NULL) && self->has_uid;

  return (by_uid || (flags & HYPHA_CHANNEL_VOUCHED_ADDRESS && !self->has_uid)) &&
         fits_uid (self, channel) && fits_endpoint (self, known_end (channel));
}

char *
hypha_place_bind (HyphaPlace *self, HyphaChannel *channel)
{
  HyphaEndpoint *known = known_end (channel), *place = self->endpoint;
  const char *wanted = hypha_endpoint_get_rest (self->endpoint);
  const char *found = hypha_endpoint_get_rest (known);
  const char *wanted_port = strrchr (wanted, ':'), *found_port = strrchr (found, ':');
  gsize length = wanted_port != NULL ? (gsize) (wanted_port - wanted) : strlen (wanted);
  g_autofree char *rest = NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;

  if (memchr (wanted, '*', length) != NULL) {
    if (wanted_port != NULL && found_port != NULL)
      rest = g_strdup_printf ("%.*s%s", (int) (found_port - found), found, wanted_port);
    place = bound =
        hypha_endpoint_new (hypha_endpoint_get_scheme (known), rest != NULL ? rest : found, NULL);
  }
  return self->has_uid ? g_strdup_printf ("%s?uid=%u", hypha_endpoint_to_string (place), self->uid)
                       : g_strdup (hypha_endpoint_to_string (place));
}
