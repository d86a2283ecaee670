/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/settings-private.h"

/* What hyphad is made of, in this process, for as long as it lives: with a key file of its own, and
 * without a transport, so that nothing leaves the process. One of its peers is offline for ever. */
typedef struct {
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
  HyphaForwards *forwards;
  HyphaSettings *settings;
  char *path; /* of the key file */
} DaemonWorld;

DaemonWorld *daemon_world (void);
/* What the file says at the beginning of each run. */
const char *daemon_world_get_usual (void);
/* Writes the file, and has the settings read it. */
void daemon_world_write (DaemonWorld *self, const char *text, gsize length);
/* Nothing of the last run is left. */
void daemon_world_reset (DaemonWorld *self);
/* Until nothing is to be done at once. */
void daemon_world_turn (void);
GSettingsSchema *daemon_world_get_schema (void);
