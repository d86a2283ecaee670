/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/program-file.h"

#include <hypha-api.h>
#include "hypha-inspect.h"

struct _HyphaProgramFile {
  char *path;
  HyphaProgramManifest *manifest; /* in use; nullable */
  HyphaStamp stamp;               /* of its program, when it was taken into use */
  HyphaProgramManifest *news;     /* good, and other than what is in use; nullable */
  char *program;                  /* of the manifest that was read last; nullable */
  HyphaStamp seen;                /* of that, when it was looked at last */
  HyphaStamp coming;              /* another one since, if that lasts */
};

HyphaProgramFile *
hypha_program_file_new (const char *path)
{
  HyphaProgramFile *self = g_new0 (HyphaProgramFile, 1);

  self->path = g_strdup (path);
  return self;
}

void
hypha_program_file_free (HyphaProgramFile *self)
{
  g_clear_pointer (&self->manifest, hypha_program_manifest_unref);
  g_clear_pointer (&self->news, hypha_program_manifest_unref);
  g_free (self->program);
  g_free (self->path);
  g_free (self);
}

/* hypha_program_file_look:
 * @directory: the directory that holds it, opened and judged
 * @file: its name there
 * @name: of the plug-in
 *
 * Reads the manifest and judges its program, as they are now.
 *
 * Returns: %FALSE with an error if they are not to be used; what is in use stays */
gboolean
hypha_program_file_look (HyphaProgramFile *self, int directory, const char *file, const char *name,
                         GError **error)
{
  g_auto (HyphaFd) fd = hypha_inspect_open_file (directory, file, self->path, error);
  g_autoptr (HyphaProgramManifest) manifest = NULL;

  g_clear_pointer (&self->news, hypha_program_manifest_unref);
  manifest = fd >= 0 ? hypha_program_manifest_read (fd, name, self->path, error) : NULL;
  if (manifest == NULL)
    return FALSE;
  g_free (self->program);
  self->program = g_strdup (manifest->program);
  if (!hypha_inspect_program (self->program, &self->seen, error))
    return FALSE;
  if (self->manifest == NULL || !g_bytes_equal (manifest->text, self->manifest->text) ||
      !hypha_stamp_equal (&self->seen, &self->stamp))
    self->news = g_steal_pointer (&manifest);
  return TRUE;
}

gboolean
hypha_program_file_has_changed (HyphaProgramFile *self, gboolean *unsettled)
{
  HyphaStamp now;

  if (self->program == NULL)
    return FALSE;
  hypha_inspect_program (self->program, &now, NULL);
  if (hypha_stamp_equal (&now, &self->seen))
    return FALSE;
  if (hypha_stamp_equal (&now, &self->coming)) {
    /* Told once: it may not come to a look at it, if the manifest is not to be read. */
    self->seen = now;
    return TRUE;
  }
  self->coming = now;
  *unsettled = TRUE;
  return FALSE;
}

const HyphaProgramManifest *
hypha_program_file_get_manifest (HyphaProgramFile *self)
{
  return self->manifest;
}

gboolean
hypha_program_file_has_news (HyphaProgramFile *self)
{
  return self->news != NULL;
}

/* hypha_program_file_take_news:
 * Takes into use what hypha_program_file_look() has found.
 *
 * Returns: (transfer none): the manifest in use */
HyphaProgramManifest *
hypha_program_file_take_news (HyphaProgramFile *self)
{
  g_assert (self->news != NULL);
  g_clear_pointer (&self->manifest, hypha_program_manifest_unref);
  self->manifest = g_steal_pointer (&self->news);
  self->stamp = self->seen;
  return self->manifest;
}
