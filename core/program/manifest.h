/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* What is between the node and programs, as plugins/any-language.md has it. */
#define HYPHA_PROGRAM_PROTOCOL 1
#define HYPHA_PROGRAM_SUFFIX ".json"

typedef enum {
  HYPHA_PROGRAM_ENDPOINT_HOST_PORT, /* SCHEME://HOST:PORT */
  HYPHA_PROGRAM_ENDPOINT_PATH,      /* SCHEME:///PATH */
  HYPHA_PROGRAM_ENDPOINT_ANY,       /* whatever stands behind the scheme */
} HyphaProgramEndpoint;

/* The manifest of a transport that is a program, checked. Counted by g_rc_box. */
typedef struct {
  GBytes *text;
  char *name;
  char *version;
  char *description; /* nullable */
  char *licence;     /* nullable */
  char **schemes;
  char **command; /* as it stands there; what is run is: */
  char *program;  /* the path of its first word */
  guint cost;
  int priority;
  HyphaProgramEndpoint endpoint;
  GHashTable *options; /* name -> "boolean", "integer" or "string" */
} HyphaProgramManifest;

HyphaProgramManifest *hypha_program_manifest_parse (GBytes *text, const char *name,
                                                    const char *path, GError **error);
HyphaProgramManifest *hypha_program_manifest_read (int fd, const char *name, const char *path,
                                                   GError **error);
HyphaProgramManifest *hypha_program_manifest_ref (HyphaProgramManifest *self);
void hypha_program_manifest_unref (HyphaProgramManifest *self);

char *hypha_program_manifest_print_options (HyphaProgramManifest *self, GVariant *options,
                                            GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaProgramManifest, hypha_program_manifest_unref)

G_END_DECLS
