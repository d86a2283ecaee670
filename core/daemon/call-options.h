/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* The a{sv} of a method: which options it knows, and of what type. Ends with a NULL name. */
typedef struct {
  const char *name;
  const char *type;
} HyphaCallOption;

gboolean hypha_call_options_check (GVariant *options, const HyphaCallOption *known, GError **error);
GVariant *hypha_call_options_without (GVariant *options, const char *name);

G_END_DECLS
