/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vsock-address.h"

#include <glib/gi18n-lib.h>
#include <string.h>

/* Ports from here on are for everybody. */
#define FIRST_FREE_PORT 1024

static const struct {
  const char *name;
  guint32 cid;
} names[] = {
  { "any", VMADDR_CID_ANY },
  { "hypervisor", VMADDR_CID_HYPERVISOR },
  { "local", VMADDR_CID_LOCAL },
  { "host", VMADDR_CID_HOST },
};

/* WHAT is the part that TEXT is, and INSTEAD what may stand there besides a number. */
static gboolean
parse_number (HyphaEndpoint *endpoint, const char *what, const char *text, const char *instead,
              guint32 *value, GError **error)
{
  g_autoptr (GError) local = NULL;
  guint64 number;

  if (*text == '\0')
    return hypha_endpoint_refuse (endpoint, error, _ ("the %s is empty"), what);
  if (!g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT32, &number, &local)) {
    if (g_error_matches (local, G_NUMBER_PARSER_ERROR, G_NUMBER_PARSER_ERROR_OUT_OF_BOUNDS))
      return hypha_endpoint_refuse (endpoint, error, _ ("the %s '%s' is above %u"), what, text,
                                    G_MAXUINT32);
    return hypha_endpoint_refuse (
        endpoint, error, _ ("the %s '%s' is neither a decimal number nor %s"), what, text, instead);
  }
  if (text[0] == '0' && text[1] != '\0')
    return hypha_endpoint_refuse (endpoint, error, _ ("the %s '%s' begins with a zero"), what,
                                  text);
  *value = (guint32) number;
  return TRUE;
}

static gboolean
parse_cid (HyphaEndpoint *endpoint, const char *text, guint32 *cid, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    if (g_str_equal (text, names[i].name)) {
      *cid = names[i].cid;
      return TRUE;
    }
  }
  return parse_number (endpoint, "CID", text, _ ("one of any, hypervisor, local, host"), cid,
                       error);
}

static gboolean
parse_port (HyphaEndpoint *endpoint, const char *text, guint32 *port, GError **error)
{
  *port = 0;
  if (g_str_equal (text, "any"))
    return TRUE;
  if (!parse_number (endpoint, _ ("port"), text, "any", port, error))
    return FALSE;
  /* The kernel's own way to write "you choose". */
  if (*port == VMADDR_PORT_ANY)
    *port = 0;
  return TRUE;
}

gboolean
vsock_address_parse (HyphaEndpoint *endpoint, VsockAddress *self, GError **error)
{
  const char *scheme = hypha_endpoint_get_scheme (endpoint);
  const char *rest = hypha_endpoint_get_rest (endpoint);
  g_autofree char *cid = NULL;
  const char *colon;

  if (g_str_equal (scheme, "VSOCK-LISTEN")) {
    self->cid = VMADDR_CID_ANY;
    return parse_port (endpoint, rest, &self->port, error);
  }
  if (g_str_equal (scheme, "vsock") && g_str_has_prefix (rest, "//"))
    rest += 2;
  colon = strchr (rest, ':');
  if (colon == NULL)
    return hypha_endpoint_refuse (endpoint, error,
                                  _ ("the port is missing: write vsock://CID:PORT"));
  cid = g_strndup (rest, (gsize) (colon - rest));
  return parse_cid (endpoint, cid, &self->cid, error) &&
         parse_port (endpoint, colon + 1, &self->port, error);
}

HyphaEndpoint *
vsock_address_to_endpoint (const VsockAddress *self, HyphaEndpoint *options_of)
{
  g_autofree char *rest = self->cid == VMADDR_CID_ANY
                              ? g_strdup_printf ("//any:%u", self->port)
                              : g_strdup_printf ("//%u:%u", self->cid, self->port);

  return hypha_endpoint_new ("vsock", rest, options_of);
}

void
vsock_address_to_sockaddr (const VsockAddress *self, struct sockaddr_vm *out)
{
  *out = (struct sockaddr_vm){
    .svm_family = AF_VSOCK,
    .svm_cid = self->cid,
    /* To the kernel, port 0 is a port like any other. */
    .svm_port = self->port == 0 ? VMADDR_PORT_ANY : self->port,
  };
}

void
vsock_address_from_sockaddr (VsockAddress *self, const struct sockaddr_vm *sockaddr)
{
  *self = (VsockAddress){ .cid = sockaddr->svm_cid, .port = sockaddr->svm_port };
}

gboolean
vsock_address_is_privileged (const VsockAddress *self)
{
  return self->port != 0 && self->port < FIRST_FREE_PORT;
}
