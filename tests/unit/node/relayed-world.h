/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "node-pair.h"

/* Several nodes in this process, each with plug-ins of its own, joined by Unix sockets. */

#define RELAYED_MOST 5

typedef struct {
  HyphaIdentity *identity;
  HyphaLoader *loader;
  HyphaNode *node;
  HyphaServices *services;
  char *name, *id, *socket;
  gboolean stopped;
} Member;

typedef struct {
  char *dir;
  Member members[RELAYED_MOST];
  guint n;
} World;

/* LOADER: NULL: it has plug-ins of its own. */
void member_up (World *self, guint i, const char *name, HyphaLoader *loader);
void member_down (Member *m);
void world_up (World *self, const char *const *names);
void world_down (World *self);
Member *member (World *self, const char *name);
void befriend (World *self, const char *one, const char *other);
/* ENDPOINTS: with commas; "@" is the socket of its own. */
void listen_at (World *self, const char *name, const char *endpoints);
void let_pass (World *self, const char *name, const char *services);
/* NAME dials these from now on: sockets of the nodes that are named, or endpoints. */
void dial_all (World *self, const char *name, const char *whom);
HyphaNodePeer *peer_at (World *self, const char *name, const char *other);
HyphaNodeLink *best (World *self, const char *name, const char *other);
gboolean goes_over (World *self, const char *name, const char *other, const char *scheme);
gboolean has_link (World *self, const char *name, const char *other, const char *scheme);
/* Cuts what goes over SCHEME between the two, at this end. */
void cut (World *self, const char *name, const char *other, const char *scheme);
HyphaStream *open_echo (World *self, const char *name, const char *other);
/* LENGTH bytes there and back. */
void exchange (HyphaStream *stream, gsize length);
/* Two guests of one host. */
void guests_up (World *w);
gboolean explains (World *self, const char *name, const char *other, const char *text);
gboolean is_in_trouble (World *self, const char *name, const char *text);
void let_time_pass (guint ms);

/* The services of their host, when they may pass. */
#define GUESTS_PASS "{'via': {'target': <'transport'>, 'peers': <['one', 'two']>}}"
