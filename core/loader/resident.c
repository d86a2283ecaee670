/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/resident.h"

#include <glib/gi18n-lib.h>
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>
#include "loader/elf-file.h"
#include "hypha-inspect.h"

#define MAX_TEXT 256

/* Of HyphaResident, by symbol. Main thread only, as transports are. */
static GHashTable *residents;

static GHashTable *
get_residents (void)
{
  if (residents == NULL)
    residents = g_hash_table_new (g_str_hash, g_str_equal);
  return residents;
}

static char *
symbol_of (const char *name)
{
  g_autofree char *symbol = g_strconcat (HYPHA_PLUGIN_SYMBOL_PREFIX, name, NULL);

  return g_strdelimit (g_steal_pointer (&symbol), "-", '_');
}

static const char *
program_name (void)
{
  const char *name = g_get_prgname ();
  const char *slash = name != NULL ? strrchr (name, '/') : NULL;

  if (slash != NULL)
    return slash + 1;
  return name != NULL ? name : _ ("this program");
}

/* Reads the plug-in's structure in the file: not even its constructors have run when it is judged.
 */
static gboolean
check_abi (GBytes *copy, const char *symbol, const char *path, GError **error)
{
  g_autofree char *display = g_filename_display_name (path);
  HyphaPlugin plugin = { 0 };
  gsize size = 0;
  gconstpointer found = hypha_elf_find_object (copy, symbol, &size);

  if (found == NULL) {
    g_set_error (
        error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
        _ ("%s does not export the data symbol %s, so it is no plug-in of this name: define "
           "it by HYPHA_DEFINE_PLUGIN (%s, ...), or give the file its plug-in's name"),
        display, symbol, symbol + strlen (HYPHA_PLUGIN_SYMBOL_PREFIX));
    return FALSE;
  }
  memcpy (&plugin, found, MIN (size, sizeof plugin));
  if (plugin.magic != HYPHA_PLUGIN_MAGIC) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s has the wrong magic number in %s (0x%08x instead of 0x%08x): define it by "
                    "HYPHA_DEFINE_PLUGIN and build it again"),
                 display, symbol, plugin.magic, HYPHA_PLUGIN_MAGIC);
    return FALSE;
  }
  if (plugin.abi_major != HYPHA_PLUGIN_ABI_MAJOR || plugin.abi_minor > HYPHA_PLUGIN_ABI_MINOR) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s was built for plug-in ABI %u.%u, and %s has %u.%u: %s"), display,
                 plugin.abi_major, plugin.abi_minor, program_name (), HYPHA_PLUGIN_ABI_MAJOR,
                 HYPHA_PLUGIN_ABI_MINOR,
                 plugin.abi_major < HYPHA_PLUGIN_ABI_MAJOR
                     ? _ ("install a plug-in built for this version")
                     : _ ("update hypha, or install a plug-in built for this version"));
    return FALSE;
  }
  if (size < sizeof plugin || plugin.size < sizeof plugin || plugin.size > size) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s has a broken %s (%zu bytes, says %u, needs %zu): define it by "
                    "HYPHA_DEFINE_PLUGIN and build it again"),
                 display, symbol, size, plugin.size, sizeof plugin);
    return FALSE;
  }
  return TRUE;
}

static gboolean
text_is_fine (const char *text)
{
  return text != NULL && *text != '\0' && g_utf8_validate (text, -1, NULL) &&
         strnlen (text, MAX_TEXT + 1) <= MAX_TEXT;
}

static gboolean
check_texts (const HyphaPlugin *plugin, const char *path, GError **error)
{
  g_autofree char *display = g_filename_display_name (path);

  if (text_is_fine (plugin->name) && text_is_fine (plugin->version) && plugin->create != NULL)
    return TRUE;
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
      _ ("%s lacks a name, a version (UTF-8, at most %d bytes) or a function to create its "
         "transport: define it by HYPHA_DEFINE_PLUGIN and build it again"),
      display, MAX_TEXT);
  return FALSE;
}

/* dlerror() names the copy; the user knows the file. */
static void
set_dl_error (GError **error, const char *opened, const char *path)
{
  const char *reason = dlerror ();
  g_autofree char *display = g_filename_display_name (path);
  g_autofree char *quoted = hypha_inspect_quote (path);
  g_autofree char *valid = g_utf8_make_valid (reason != NULL ? reason : _ ("unknown error"), -1);
  g_autoptr (GString) text = g_string_new (valid);

  g_string_replace (text, opened, display, 0);
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
               _ ("%s could not be loaded: %s; install what it needs, or build it against this "
                  "version: ldd -r %s"),
               display, text->str, quoted);
}

/* Returns the plug-in's structure; the code stays for ever then. On failure nothing of it stays,
 * unless it holds itself. */
static const HyphaPlugin *
open_code (int fd, const char *symbol, const char *path, GError **error)
{
  g_autofree char *opened = g_strdup_printf ("/proc/self/fd/%d", fd);
  const HyphaPlugin *plugin;
  void *handle;

  if (access (opened, R_OK) < 0) {
    g_autofree char *display = g_filename_display_name (path);

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s cannot be loaded without /proc: mount -t proc proc /proc"), display);
    return NULL;
  }
  handle = dlopen (opened, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    set_dl_error (error, opened, path);
    return NULL;
  }
  plugin = dlsym (handle, symbol);
  if (plugin == NULL)
    set_dl_error (error, opened, path);
  else if (!check_texts (plugin, path, error))
    plugin = NULL;
  /* Resident before anything of it is called: code that is unmapped later takes its registered
   * types with it. */
  else if (dlopen (opened, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_NOLOAD) == NULL) {
    set_dl_error (error, opened, path);
    plugin = NULL;
  }
  dlclose (handle);
  return plugin;
}

/* A module may hold itself in memory (-z nodelete). Then the linker goes on knowing it by the
 * number of its descriptor, and would take the next file under that number for it. */
static void
close_copy (int fd)
{
  g_autofree char *opened = g_strdup_printf ("/proc/self/fd/%d", fd);
  void *handle = dlopen (opened, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);

  if (handle != NULL)
    dlclose (handle);
  else
    close (fd);
}

static void
set_other_build_error (GError **error, const HyphaResident *resident, const char *path)
{
  g_autofree char *display = g_filename_display_name (path);
  g_autofree char *other = NULL;

  if (resident->path == NULL) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                 _ ("%s is not opened, for %s has the plug-in %s built in (version %s)"), display,
                 program_name (), resident->plugin->name, resident->plugin->version);
    return;
  }
  other = g_filename_display_name (resident->path);
  g_set_error (
      error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
      _ ("%s is another build of the plug-in %s than the one in use (version %s, from %s): "
         "restart %s to use this one"),
      display, resident->plugin->name, resident->plugin->version, other, program_name ());
}

/* hypha_resident_load:
 * @fd: (transfer full): a sealed copy of the file
 * @name: its name without ".so"
 *
 * Brings the code of a plug-in into this process, after its ELF file and its ABI have been checked;
 * nothing of the plug-in is called (but the constructors of the shared object). The same bytes
 * under the same name give the same code again; other bytes are refused, for both would register
 * the same types.
 *
 * Returns: (transfer none): the code, or %NULL with an error: %G_IO_ERROR_PARTIAL_INPUT if the file
 * is not whole, %HYPHA_ERROR_PLUGIN otherwise. */
const HyphaResident *
hypha_resident_load (int fd, const char *name, const char *path, GError **error)
{
  g_autofree char *symbol = symbol_of (name);
  g_autoptr (GMappedFile) mapping = g_mapped_file_new_from_fd (fd, FALSE, error);
  g_autoptr (GBytes) copy = NULL;
  HyphaResident *resident;
  const HyphaPlugin *plugin;

  resident = g_hash_table_lookup (get_residents (), symbol);
  if (mapping != NULL)
    copy = g_mapped_file_get_bytes (mapping);
  if (resident != NULL && resident->copy != NULL && copy != NULL &&
      g_bytes_equal (copy, resident->copy)) {
    close (fd);
    return resident;
  }
  if (copy == NULL || !hypha_elf_check (copy, path, error) ||
      !check_abi (copy, symbol, path, error)) {
    close (fd);
    return NULL;
  }
  if (resident != NULL) {
    set_other_build_error (error, resident, path);
    close (fd);
    return NULL;
  }
  plugin = open_code (fd, symbol, path, error);
  if (plugin == NULL) {
    close_copy (fd);
    return NULL;
  }
  resident = g_new (HyphaResident, 1);
  *resident = (HyphaResident){ .symbol = g_steal_pointer (&symbol),
                               .path = g_strdup (path),
                               .copy = g_steal_pointer (&copy),
                               .fd = fd,
                               .plugin = plugin };
  g_hash_table_insert (get_residents (), resident->symbol, resident);
  return resident;
}

/* hypha_resident_add_built_in:
 * @plugin: of the same build as this
 *
 * Takes in a plug-in that is part of the program: files of its name are refused from now on.
 *
 * Returns: (transfer none): its code, the same one each time */
const HyphaResident *
hypha_resident_add_built_in (const HyphaPlugin *plugin)
{
  g_autofree char *symbol = symbol_of (plugin->name);
  HyphaResident *resident = g_hash_table_lookup (get_residents (), symbol);

  if (resident != NULL)
    return resident;
  resident = g_new (HyphaResident, 1);
  *resident = (HyphaResident){ .symbol = g_steal_pointer (&symbol), .fd = -1, .plugin = plugin };
  g_hash_table_insert (get_residents (), resident->symbol, resident);
  return resident;
}
