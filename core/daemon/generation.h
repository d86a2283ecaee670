/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* The generation of this virtual machine, as far as its kernel tells: it is another one when the
 * machine was cloned, or restored from a snapshot. Main thread. */
typedef struct _HyphaGeneration HyphaGeneration;

typedef void (*HyphaGenerationFunc) (gpointer user_data);

/* CHANGED is called whenever it has become another one. */
HyphaGeneration *hypha_generation_new (HyphaGenerationFunc changed, gpointer user_data,
                                       GError **error);
void hypha_generation_free (HyphaGeneration *self);

/* Whether a message of the kernel's says so: words, each with a NUL behind it. */
gboolean hypha_generation_is_told (const char *message, gsize length);
/* By which a message would reach it, for tests. */
int hypha_generation_get_fd (HyphaGeneration *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaGeneration, hypha_generation_free)

G_END_DECLS
