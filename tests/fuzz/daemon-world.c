/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-world.h"

#include <stdlib.h>
#include <string.h>

#include "private-folder.h"

#define PEER "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"

static const char usual[] =
    "[" HYPHA_SETTINGS_GROUP "]\nname='fuzzed'\ntrusted-peers={'" PEER "': {'name': <'peer'>}}\n";

/* What is told of wrong settings is not to fill the screen; that it can be formatted, is. */
static GLogWriterOutput
swallow (GLogLevelFlags level, const GLogField *fields, gsize n, gpointer user_data)
{
  if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR)) {
    g_log_writer_default (level, fields, n, user_data);
    abort ();
  }
  for (gsize i = 0; i < n; i++)
    if (g_str_equal (fields[i].key, "MESSAGE"))
      g_assert_true (g_utf8_validate (fields[i].value, fields[i].length, NULL));
  return G_LOG_WRITER_HANDLED;
}

/* Beside the program, unless somebody says where the schema is. */
static void
find_schema (void)
{
  g_autofree char *program = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *folder = g_path_get_dirname (program);

  g_setenv ("GSETTINGS_SCHEMA_DIR", folder, FALSE);
}

static void
put (const char *path, const char *text, gsize length)
{
  g_autoptr (GError) error = NULL;

  g_file_set_contents_full (path, text, (gssize) length, G_FILE_SET_CONTENTS_NONE, 0600, &error);
  g_assert_no_error (error);
}

static DaemonWorld *
start (void)
{
  const char *const nowhere[] = { NULL };
  DaemonWorld *self = g_new0 (DaemonWorld, 1);
  g_autoptr (GError) error = NULL;

  find_schema ();
  g_log_set_writer_func (swallow, NULL, NULL);
  g_log_set_always_fatal (G_LOG_LEVEL_ERROR); /* for g_test_init(), warnings are */
  self->path = g_build_filename (private_folder (), "node.conf", NULL);
  put (self->path, usual, strlen (usual));
  self->settings = hypha_settings_new (self->path, TRUE, &error);
  g_assert_no_error (error);
  self->identity = hypha_identity_generate (&error);
  g_assert_no_error (error);
  self->loader = hypha_loader_new (nowhere);
  hypha_settings_feed_loader (self->settings, self->loader);
  self->node = hypha_node_new (self->identity, self->loader, 1, &error);
  g_assert_no_error (error);
  self->services = hypha_services_new (self->node);
  self->forwards = hypha_forwards_new (self->node);
  hypha_services_set_forwards (self->services, self->forwards);
  hypha_settings_feed (self->settings, self->node, self->services, self->forwards);
  return self;
}

DaemonWorld *
daemon_world (void)
{
  static DaemonWorld *world;

  if (world == NULL)
    world = start ();
  return world;
}

const char *
daemon_world_get_usual (void)
{
  return usual;
}

GSettingsSchema *
daemon_world_get_schema (void)
{
  return daemon_world ()->settings->schema;
}

void
daemon_world_turn (void)
{
  for (guint i = 0; i < 1000 && g_main_context_iteration (NULL, FALSE); i++)
    ;
}

void
daemon_world_write (DaemonWorld *self, const char *text, gsize length)
{
  put (self->path, text, length);
  hypha_settings_reload (self->settings);
}

void
daemon_world_reset (DaemonWorld *self)
{
  GListModel *forwards = hypha_forwards_get_list (self->forwards);

  for (guint left = g_list_model_get_n_items (forwards); left > 0; left--) {
    g_autoptr (HyphaForward) forward = g_list_model_get_item (forwards, left - 1);

    hypha_forwards_remove (self->forwards, forward);
  }
  hypha_node_pair (self->node, 0, NULL);
  daemon_world_write (self, usual, strlen (usual));
  daemon_world_turn ();
}
