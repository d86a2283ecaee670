/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contract-plugin.h"

#include <stdio.h>

#include "contract-file.h"
#include "loader/loader.h"

/* As hyphad does it: by the loader, and by nothing but the interface. */

static struct {
  HyphaLoader *loader;
  char *directory;
} plugin;

static HyphaModule *
find_module (void)
{
  /* Not owned: the loader's. */
  HyphaModule *module = g_list_model_get_item (G_LIST_MODEL (plugin.loader), 0);

  if (module != NULL)
    g_object_unref (module);
  return module;
}

static HyphaModule *
load (void)
{
  const char *const directories[] = { plugin.directory, NULL };

  plugin.loader = hypha_loader_new (directories);
  hypha_loader_start (plugin.loader);
  return find_module ();
}

static HyphaTransport *
create (void)
{
  HyphaModule *module = plugin.loader != NULL ? find_module () : load ();
  HyphaTransport *transport = hypha_module_get_transport (module);
  GVariant *options = contract_file_get_options ();
  g_autoptr (GError) error = NULL;

  g_assert_true (HYPHA_IS_TRANSPORT (transport));
  if (options != NULL)
    hypha_transport_configure (transport, options, &error);
  g_assert_no_error (error);
  return transport;
}

static void
release (HyphaTransport *transport)
{
  g_clear_object (&plugin.loader);
}

static int
refuse (const char *why, int status)
{
  printf ("%s\n", why);
  fflush (stdout);
  return status;
}

/* 0, and CONTRACT; or how the process ends. */
static int
prepare (const char *path, const char *contract_path, const Contract **contract)
{
  g_autoptr (GError) error = NULL;
  HyphaModule *module;

  if (!contract_file_read (contract_path, &error))
    return refuse (error->message, CONTRACT_PLUGIN_REFUSED);
  plugin.directory = g_path_get_dirname (path);
  module = load ();
  if (module == NULL)
    return refuse ("the loader does not see the file: a plug-in is called NAME.so or NAME.json",
                   CONTRACT_PLUGIN_REFUSED);
  if (hypha_module_get_state (module) == HYPHA_MODULE_UNAVAILABLE)
    return refuse (hypha_module_get_reason (module), CONTRACT_PLUGIN_UNAVAILABLE);
  if (hypha_module_get_state (module) != HYPHA_MODULE_READY)
    return refuse (hypha_module_get_reason (module), CONTRACT_PLUGIN_REFUSED);
  *contract = contract_file_make (g_intern_string (hypha_module_get_name (module)), create (),
                                  create, release);
  return 0;
}

int
contract_plugin_describe (const char *path, const char *contract_path)
{
  const Contract *contract = NULL;
  int status = prepare (path, contract_path, &contract);
  const char *promise;
  const char *name;

  for (guint i = 0; status == 0 && (name = contract_get_test (i, contract, &promise)); i++)
    printf ("%s\n", name);
  fflush (stdout);
  return status;
}

int
contract_plugin_test (const char *path, const char *contract_path, const char *test)
{
  const Contract *contract = NULL;
  int status = prepare (path, contract_path, &contract);
  g_autofree char *whole = NULL;
  char *words[] = { (char *) "hypha-contract", (char *) "-p", NULL, NULL };
  char **argv = words;
  int argc = 3;

  if (status != 0)
    return status;
  whole = words[2] = g_strconcat ("/contract/", contract->name, "/", test, NULL);
  g_test_init (&argc, &argv, NULL);
  contract_add_tests (contract);
  return g_test_run ();
}
