/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* What the two ends of a measurement say to each other, over whatever carries their bytes: the same
 * writes, reads and checks, and the same clock. */

typedef struct {
  gboolean (*write_all) (gpointer data, const void *bytes, gsize length);
  gssize (*read_some) (gpointer data, void *bytes, gsize size); /* 0: the end; -1: it broke */
  gpointer data;
} Carrier;

/* A blocking descriptor, not owned. */
Carrier carrier_for_fd (int fd);

/* The near end: a whole measurement, from the words of the command line. */
#define CONVERSATION_VERBS \
  "send WHERE BYTES [BLOCK [verified]] | flow WHERE MILLISECONDS | ping WHERE SIZE TIMES"
gboolean conversation_run (int argc, char **argv, Carrier (*reach) (const char *where));
/* Likewise, for what is no stream of bytes: ONE makes one round trip. */
void conversation_time_trips (void (*one) (gpointer data), gpointer data, guint64 times);

/* The far end, until the near one goes away. */
void conversation_answer (const Carrier *carrier);
