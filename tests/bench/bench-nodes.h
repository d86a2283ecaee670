/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "end.h"
#include "node/node.h"

/* Nodes within a program of the bench, on the default main context, with the transports that
 * HYPHA_PLUGIN_PATH names. What does not work ends the program with the reason. */

/* A node with WORKERS threads of its own. */
HyphaNode *bench_node_new (const char *name, guint workers);
void bench_node_trust (HyphaNode *node, const char *id, const char *name);
/* Where it listens, once it does. */
char *bench_node_listen (HyphaNode *node, const char *endpoint);
HyphaPeer *bench_node_connect (HyphaNode *node, const char *endpoint);
/* The descriptor of the program's end, and its stream in *STREAM if that is not NULL. */
int bench_open (HyphaPeer *peer, const char *service, HyphaStream **stream);
/* Turns the main context until *FLAG. */
void bench_wait (const gboolean *flag);
