/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "udp-drops.h"

#include <pthread.h>

#define TELL_EVERY (60 * G_TIME_SPAN_SECOND)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static guint64 drops[UDP_N_DROPS];
static gint64 told_at;

/* Told at first, and then once a minute: whoever sends chooses how often. */
void
udp_drops_note (UdpDrop drop, const char *where, int reason)
{
  gint64 now = g_get_monotonic_time ();
  guint64 seen[UDP_N_DROPS];
  gboolean tell;

  pthread_mutex_lock (&mutex);
  drops[drop]++;
  tell = told_at == 0 || now >= told_at + TELL_EVERY;
  if (tell)
    told_at = now;
  for (guint i = 0; i < UDP_N_DROPS; i++)
    seen[i] = drops[i];
  pthread_mutex_unlock (&mutex);
  if (tell)
    g_message (
        "datagrams lost so far, the last of them at %s%s%s: %" G_GUINT64_FORMAT
        " whose reader was slow, %" G_GUINT64_FORMAT " whose reader had gone, %" G_GUINT64_FORMAT
        " for want of a place for their flow, %" G_GUINT64_FORMAT
        " that the network did not take, %" G_GUINT64_FORMAT " that were cut",
        where, reason != 0 ? ", " : "", reason != 0 ? g_strerror (reason) : "", seen[UDP_DROP_SLOW],
        seen[UDP_DROP_ENDED], seen[UDP_DROP_FULL], seen[UDP_DROP_NETWORK], seen[UDP_DROP_CUT]);
}

guint64
udp_drops_get (UdpDrop drop)
{
  guint64 n;

  pthread_mutex_lock (&mutex);
  n = drops[drop];
  pthread_mutex_unlock (&mutex);
  return n;
}
