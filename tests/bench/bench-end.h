/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two ends of a measurement do, over whatever carries their bytes: the same writes, the
 * same verification, the same clock. The near end says "ready", is told to go, measures, and says
 * how many seconds it took. */

#include <gio/gio.h>

typedef struct {
  gboolean (*write_all) (gpointer data, const void *bytes, gsize length);
  gssize (*read_some) (gpointer data, void *bytes, gsize size); /* 0: the end; -1: it broke */
  gpointer data;
} BenchEnd;

G_GNUC_NORETURN G_GNUC_PRINTF (1, 2) void bench_die (const char *format, ...);
guint64 bench_number (const char *text);

/* The near end. Each call is a whole measurement. */
void bench_send (const BenchEnd *end, guint64 bytes);
void bench_ping (const BenchEnd *end, gsize size, guint64 times);
/* Likewise, for what is no stream of bytes: ONE makes one round trip. */
void bench_time_trips (void (*one) (gpointer data), gpointer data, guint64 times);

/* The far end, until the near one goes away. */
void bench_answer (const BenchEnd *end);
