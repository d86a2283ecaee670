/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

/* Finds the plug-in files of the directories and follows what comes, changes and goes. It knows
 * nothing of what is in them. */
typedef struct _HyphaScanner HyphaScanner;

typedef struct {
  /* The file is new, or it has changed and come to rest. DISTRUST (nullable) says why the directory
   * must not be trusted. Returns FALSE if it is not whole: it is then looked at again for a while,
   * even if the kernel tells of no change. */
  gboolean (*found) (gpointer owner, const char *path, int directory, const char *name,
                     const char *distrust);
  void (*gone) (gpointer owner, const char *path);
  void (*scanned) (gpointer owner); /* all there is to tell for now has been told */
} HyphaScannerEvents;

HyphaScanner *hypha_scanner_new (const char *const *directories, const HyphaScannerEvents *events,
                                 GObject *owner);
void hypha_scanner_free (HyphaScanner *self);
void hypha_scanner_start (HyphaScanner *self);
void hypha_scanner_scan (HyphaScanner *self);
void hypha_scanner_scan_soon (HyphaScanner *self);
void hypha_scanner_recheck (HyphaScanner *self, const char *path);
const char *const *hypha_scanner_get_directories (HyphaScanner *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaScanner, hypha_scanner_free)

G_END_DECLS
