/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/plugin.h"

#include <glib/gi18n-lib.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "ctl/text.h"

#define TEMPLATES "/org/hypha/plugin"
#define MAX_NAME 32

/* ---- names ---- */

/* What meson calls targets of its own, and what would give types the names of Hypha's. */
static gboolean
is_taken (const char *name)
{
  static const char *const targets[] = { "all",         "benchmark",  "clean",   "coverage",
                                         "dist",        "distcheck",  "install", "phony",
                                         "reconfigure", "scan-build", "test",    "uninstall",
                                         NULL };

  return g_strv_contains (targets, name) || g_str_has_prefix (name, "meson-") ||
         g_str_equal (name, "hypha") || g_str_has_prefix (name, "hypha-");
}

/* It becomes the name of a file, a scheme, and part of symbols. */
static gboolean
check_name (const char *name, GError **error)
{
  gsize length = strlen (name);
  gboolean good = length > 0 && length <= MAX_NAME && g_ascii_islower (name[0]) &&
                  name[length - 1] != '-' && strstr (name, "--") == NULL;

  for (const char *c = name; good && *c != '\0'; c++)
    good = g_ascii_islower (*c) || g_ascii_isdigit (*c) || *c == '-';
  if (good && is_taken (name)) {
    g_set_error (
        error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
        _ ("'%s' cannot be the name of a plug-in: Hypha, or Meson, which builds it, has it "
           "for something of its own; choose another"),
        name);
    return FALSE;
  }
  if (good)
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               _ ("'%s' cannot be the name of a plug-in: that is a lower-case letter, then letters "
                  "and digits and single '-' between them, at most %d in all"),
               name, MAX_NAME);
  return FALSE;
}

/* my-ring: myRing, but the first one upper-case, too. */
static char *
to_camel (const char *name)
{
  g_autoptr (GString) camel = g_string_new (NULL);

  for (const char *c = name; *c != '\0'; c++)
    if (*c != '-')
      g_string_append_c (camel, c == name || c[-1] == '-' ? g_ascii_toupper (*c) : *c);
  return g_string_free (g_steal_pointer (&camel), FALSE);
}

/* TEXT with the names in their places. */
static char *
fill_in (const char *text, const char *name)
{
  g_autofree char *lower = g_strdelimit (g_strdup (name), "-", '_');
  g_autofree char *upper = g_ascii_strup (lower, -1);
  g_autofree char *camel = to_camel (name);
  g_autoptr (GString) out = g_string_new (text);

  g_string_replace (out, "@NAME@", name, 0);
  g_string_replace (out, "@LOWER@", lower, 0);
  g_string_replace (out, "@UPPER@", upper, 0);
  g_string_replace (out, "@CAMEL@", camel, 0);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* What the template FILE is called in the end. */
static char *
to_file_name (const char *file, const char *name)
{
  g_autofree char *plain = g_str_has_suffix (file, ".in")
                               ? g_strndup (file, strlen (file) - strlen (".in"))
                               : g_strdup (file);

  if (g_str_has_prefix (plain, "template."))
    return g_strconcat (name, plain + strlen ("template"), NULL);
  return g_steal_pointer (&plain);
}

/* ---- the folder ---- */

static char **
list_templates (const char *language, GError **error)
{
  g_autofree char *folder = g_strconcat (TEMPLATES "/", language, NULL);
  g_auto (GStrv) files =
      strchr (language, '/') != NULL
          ? NULL
          : g_resources_enumerate_children (folder, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  g_auto (GStrv) languages = NULL;
  g_autofree char *list = NULL;

  if (files != NULL && files[0] != NULL)
    return g_steal_pointer (&files);
  languages = g_resources_enumerate_children (TEMPLATES, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  for (char **one = languages; one != NULL && *one != NULL; one++)
    (*one)[strcspn (*one, "/")] = '\0';
  list = languages == NULL ? g_strdup ("") : g_strjoinv (", ", languages);
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               _ ("there is no template in the language '%s'; there is %s"), language, list);
  return NULL;
}

static gboolean
write_file (const char *folder, const char *file, const char *language, const char *name,
            GError **error)
{
  g_autofree char *from = g_strjoin ("/", TEMPLATES, language, file, NULL);
  g_autofree char *plain = to_file_name (file, name);
  g_autofree char *to = g_build_filename (folder, plain, NULL);
  g_autoptr (GBytes) bytes = g_resources_lookup_data (from, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
  g_autofree char *whole = NULL;
  g_autofree char *text = NULL;

  if (bytes == NULL)
    return FALSE;
  whole = g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  text = fill_in (whole, name);
  /* What is run as it is says so in its first line. */
  return g_file_set_contents_full (to, text, -1, G_FILE_SET_CONTENTS_NONE,
                                   g_str_has_prefix (text, "#!") ? 0777 : 0666, error);
}

static void
remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    g_unlink (path);
  }
  g_rmdir (folder);
}

static gboolean
set_error (const char *path, int number, GError **error)
{
  g_autofree char *display = g_filename_display_name (path);

  if (number == EEXIST)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("%s is there already, and stays as it is: choose another name, or another "
                    "directory by --directory"),
                 display);
  else
    g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (number), _ ("cannot make %s: %s"),
                 display, g_strerror (number));
  return FALSE;
}

/* Under another name until it is whole. */
static gboolean
make_folder (const char *folder, const char *language, const char *name, char **files,
             GError **error)
{
  g_autofree char *parent = g_path_get_dirname (folder);
  g_autofree char *unfinished = g_strconcat (parent, "/.", name, "-XXXXXX", NULL);

  if (g_file_test (folder, G_FILE_TEST_EXISTS) || g_file_test (folder, G_FILE_TEST_IS_SYMLINK))
    return set_error (folder, EEXIST, error);
  if (g_mkdtemp_full (unfinished, 0777) == NULL)
    return set_error (folder, errno, error);
  for (; *files != NULL; files++)
    if (!write_file (unfinished, *files, language, name, error)) {
      remove_folder (unfinished);
      return FALSE;
    }
  /* Where the file system cannot look and rename at once, it has been looked before. */
  if (renameat2 (AT_FDCWD, unfinished, AT_FDCWD, folder, RENAME_NOREPLACE) < 0 &&
      (errno != EINVAL || g_rename (unfinished, folder) < 0)) {
    int number = errno;

    remove_folder (unfinished);
    return set_error (folder, number, error);
  }
  return TRUE;
}

static void
print_made (HyphaCtl *ctl, const char *folder, const char *name, char **files)
{
  g_autofree char *display = g_filename_display_name (folder);
  g_autofree char *safe = hypha_ctl_escape (display);
  g_autoptr (GVariantBuilder) list = g_variant_builder_new (G_VARIANT_TYPE ("as"));

  for (; *files != NULL; files++) {
    g_autofree char *plain = to_file_name (*files, name);

    g_variant_builder_add (list, "s", plain);
    if (!ctl->json)
      printf ("%s/%s\n", safe, plain);
  }
  if (ctl->json)
    hypha_ctl_print_json (g_variant_new_parsed ("{'folder': <%s>, 'files': <%@as>}", display,
                                                g_variant_builder_end (list)));
}

/**
 * hypha_ctl_new_plugin:
 * @ctl: what the run was given
 * @name: of the plug-in, of its scheme and of the folder
 * @directory: (nullable): where the folder goes, %NULL for where the program runs
 * @language: whose templates are taken
 * @error: return location for an error; %G_OPTION_ERROR for a name that is none
 *
 * Writes a folder with a transport that can be built, tested and loaded. What is there already
 * stays; of what fails nothing is left.
 *
 * Returns: %TRUE if the folder is there
 */
gboolean
hypha_ctl_new_plugin (HyphaCtl *ctl, const char *name, const char *directory, const char *language,
                      GError **error)
{
  g_auto (GStrv) files = check_name (name, error) ? list_templates (language, error) : NULL;
  g_autofree char *folder =
      directory == NULL ? g_strdup (name) : g_build_filename (directory, name, NULL);

  if (files == NULL || !make_folder (folder, language, name, files, error))
    return FALSE;
  print_made (ctl, folder, name, files);
  return TRUE;
}
