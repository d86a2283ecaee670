/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* What a JSON object is to hold: manifests of programs, and what programs say. */

typedef enum {
  HYPHA_PROGRAM_FIELD_STRING,  /* char *, owned */
  HYPHA_PROGRAM_FIELD_STRINGS, /* char **, owned */
  HYPHA_PROGRAM_FIELD_INTEGER, /* gint64 */
  HYPHA_PROGRAM_FIELD_BOOLEAN, /* gboolean */
  HYPHA_PROGRAM_FIELD_OBJECT,  /* JsonObject *, as long as the object lives */
} HyphaProgramFieldKind;

typedef struct {
  const char *name; /* NULL: the end of the table */
  HyphaProgramFieldKind kind;
  gsize offset;     /* in the structure that is filled */
  gboolean missing; /* is an error */
} HyphaProgramField;

/* How many bytes a string may have, and how many strings a list. */
#define HYPHA_PROGRAM_MAX_STRING 4096
#define HYPHA_PROGRAM_MAX_STRINGS 64

gboolean hypha_program_fields_read (JsonObject *object, const HyphaProgramField *fields,
                                    gboolean strict, gpointer structure, GError **error);
void hypha_program_fields_clear (const HyphaProgramField *fields, gpointer structure);

/* Writing one: what stands there so far, and a member more. */
void hypha_program_fields_add_string (GString *object, const char *name, const char *value);
void hypha_program_fields_add_integer (GString *object, const char *name, gint64 value);
void hypha_program_fields_add_boolean (GString *object, const char *name, gboolean value);

G_END_DECLS
