/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "ssh-address.h"
#include "ssh-dial.h"

#define COST 25

#define DEFAULT_PROGRAM "ssh"
/* It finds by itself where ssh came from. */
#define DEFAULT_COMMAND "hyphactl attach ssh"
#define MAX_OPTION 4096

struct _SshTransport {
  HyphaBaseTransport parent_instance;

  char *program;
  char *command;
};

static void ssh_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (SshTransport, ssh_transport, HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      ssh_transport_iface_init))

static void
ssh_transport_connect (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                       guint timeout_ms, GCancellable *cancellable)
{
  SshTransport *self = SSH_TRANSPORT (transport);

  ssh_dial (task, self->program, self->command, endpoint, timeout_ms, cancellable);
}

static void
ssh_transport_listen (HyphaBaseTransport *transport, GTask *task, HyphaEndpoint *endpoint,
                      GCancellable *cancellable)
{
  g_task_return_new_error (task, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED,
                           _ ("%s: there is nothing to listen on: sshd does that, and runs "
                              "'hyphactl attach' for whoever dials ssh://%s"),
                           hypha_endpoint_to_string (endpoint), g_get_host_name ());
  g_object_unref (task);
}

static const char *const *
ssh_transport_get_schemes (HyphaTransport *transport)
{
  static const char *const schemes[] = { "ssh", NULL };

  return schemes;
}

static HyphaEndpoint *
ssh_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  g_autoptr (SshAddress) address = ssh_address_parse (endpoint, error);

  return address != NULL ? ssh_address_to_endpoint (address, endpoint) : NULL;
}

static gboolean
is_printable (const char *text)
{
  gsize length = strlen (text);

  if (length == 0 || length > MAX_OPTION || text[0] == '-')
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if ((guchar) text[i] < ' ' || text[i] == 0x7f)
      return FALSE;
  return TRUE;
}

static const char *
read_option (HyphaOptions *options, const char *name, const char *fallback)
{
  const char *text = hypha_options_get_string (options, name, fallback);

  if (!is_printable (text))
    hypha_options_refuse (
        options, name,
        _ ("it is empty, begins with '-', is longer than %d bytes, or has a control character"),
        MAX_OPTION);
  return text;
}

static void
set_options (SshTransport *self, const char *program, const char *command)
{
  g_free (self->program);
  g_free (self->command);
  self->program = g_strdup (program);
  self->command = g_strdup (command);
}

static gboolean
ssh_transport_configure (HyphaTransport *transport, GVariant *values, GError **error)
{
  g_autoptr (HyphaOptions) options = hypha_options_new (transport, values);
  const char *program = read_option (options, "ssh", DEFAULT_PROGRAM);
  const char *command = read_option (options, "command", DEFAULT_COMMAND);

  if (program[0] != '/' && strchr (program, '/') != NULL)
    hypha_options_refuse (options, "ssh",
                          _ ("it is neither an absolute path nor a name to look for in PATH"));
  if (!hypha_options_finish (options, error))
    return FALSE;
  set_options (SSH_TRANSPORT (transport), program, command);
  return TRUE;
}

static gboolean
ssh_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  SshTransport *self = SSH_TRANSPORT (transport);
  g_autofree char *path = g_find_program_in_path (self->program);

  if (path == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                 _ ("there is no program '%s': install OpenSSH's client (openssh-client), or say "
                    "where it is by the option 'ssh' of the transport ssh"),
                 self->program);
    return FALSE;
  }
  g_variant_dict_insert (details, "program", "s", path);
  return TRUE;
}

static guint
ssh_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return COST;
}

static void
ssh_transport_finalize (GObject *object)
{
  SshTransport *self = SSH_TRANSPORT (object);

  g_free (self->program);
  g_free (self->command);
  G_OBJECT_CLASS (ssh_transport_parent_class)->finalize (object);
}

static void
ssh_transport_class_init (SshTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = ssh_transport_finalize;
  base_class->connect = ssh_transport_connect;
  base_class->listen = ssh_transport_listen;
}

static void
ssh_transport_init (SshTransport *self)
{
  set_options (self, DEFAULT_PROGRAM, DEFAULT_COMMAND);
}

static void
ssh_transport_iface_init (HyphaTransportInterface *iface)
{
  iface->get_schemes = ssh_transport_get_schemes;
  iface->parse = ssh_transport_parse;
  iface->configure = ssh_transport_configure;
  iface->probe = ssh_transport_probe;
  iface->get_link_cost = ssh_transport_get_link_cost;
}

static HyphaTransport *
create (GError **error)
{
  return g_object_new (SSH_TYPE_TRANSPORT, NULL);
}

HYPHA_DEFINE_PLUGIN (ssh, "ssh", "1.0", "Through the user's own ssh", "LGPL-2.1-or-later", 0,
                     create);
