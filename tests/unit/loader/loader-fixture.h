/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "loader/loader.h"

/* A private directory of plug-ins, a loader for it, and what the loader told. */
typedef struct {
  char *root;
  char *plugins; /* ROOT/plugins */
  HyphaLoader *loader;
  GString *told; /* "+good" and "-good", in order */
} LoaderFixture;

void loader_fixture_set_up (LoaderFixture *fixture, gconstpointer data);
void loader_fixture_tear_down (LoaderFixture *fixture, gconstpointer data);
/* Starts the loader for DIRECTORIES, or for the directory of plug-ins if NULL. */
void loader_fixture_start (LoaderFixture *fixture, const char *const *directories);
void loader_fixture_stop (LoaderFixture *fixture);

char *loader_fixture_source (const char *plugin); /* where it was built */
GBytes *loader_fixture_read (const char *plugin); /* what was built */
/* In the directory of plug-ins. */
char *loader_fixture_path (LoaderFixture *fixture, const char *name);
/* Puts PLUGIN there as NAME, by a rename. */
void loader_fixture_put (LoaderFixture *fixture, const char *plugin, const char *name);
char *loader_fixture_copy (LoaderFixture *fixture, const char *plugin, const char *name);
void loader_fixture_write (const char *path, gconstpointer data, gsize size); /* in place */
/* Writes beside it, then renames into place. */
void loader_fixture_replace (const char *path, gconstpointer data, gsize size);

/* The module of the file NAME in the directory of plug-ins; NULL: not listed. Not owned. */
HyphaModule *loader_fixture_find (LoaderFixture *fixture, const char *name);
/* Iterates the main context until the module of NAME has the state; fails after a generous
 * deadline. */
HyphaModule *loader_fixture_wait (LoaderFixture *fixture, const char *name, HyphaModuleState state);
void loader_fixture_wait_gone (LoaderFixture *fixture, const char *name);
void loader_fixture_wait_told (LoaderFixture *fixture, const char *told);
void loader_fixture_iterate (guint milliseconds);

void loader_fixture_assert_state (LoaderFixture *fixture, const char *name, HyphaModuleState state);
/* The reason of the module holds each of the words, NULL-terminated. */
void loader_fixture_assert_reason (LoaderFixture *fixture, const char *name,
                                   ...) G_GNUC_NULL_TERMINATED;
void loader_fixture_assert_serves (LoaderFixture *fixture, const char *scheme);
void loader_fixture_assert_serves_not (LoaderFixture *fixture, const char *scheme);
