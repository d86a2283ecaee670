/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>
#include "program/manifest.h"

G_BEGIN_DECLS

/* One life of a program: its process, what it is asked and what it answers. Main thread only. */
typedef struct _HyphaProgramRun HyphaProgramRun;

/* What a program says of a channel, of a listener or of itself; all of it may be NULL, and is not
 * checked. */
typedef struct {
  const char *bound, *local, *remote, *host;
  JsonObject *details;
} HyphaProgramWords;

/* Either WORDS and, where it came, FD (taken; -1: none), or ERROR, whose message is the end of a
 * sentence, and never FD. WORDS are NULL where the program has not answered at all: whatever the
 * error that it answers with is called, it is alive. */
typedef void (*HyphaProgramAnswer) (const HyphaProgramWords *words, int fd, const GError *error,
                                    gpointer user_data);

typedef enum {
  HYPHA_PROGRAM_CALL_PLAIN,
  HYPHA_PROGRAM_CALL_CHANNEL,  /* it may be answered by a channel at the meeting */
  HYPHA_PROGRAM_CALL_LISTENER, /* its number stands for the listener that it made */
} HyphaProgramCallKind;

typedef struct {
  void (*accepted) (guint64 listener, const HyphaProgramWords *words, int fd, gpointer user_data);
  void (*failed) (guint64 listener, const char *message, gpointer user_data);
  /* It is over, WHY is the end of a sentence: free it. */
  void (*ended) (const char *why, gpointer user_data);
} HyphaProgramRunEvents;

HyphaProgramRun *hypha_program_run_new (HyphaProgramManifest *manifest,
                                        const HyphaProgramRunEvents *events, gpointer user_data,
                                        GError **error);
void hypha_program_run_free (HyphaProgramRun *self, const GError *error);

guint64 hypha_program_run_call (HyphaProgramRun *self, HyphaProgramCallKind kind, GString *request,
                                guint timeout_ms, HyphaProgramAnswer answer, gpointer user_data);
void hypha_program_run_cancel (HyphaProgramRun *self, guint64 id);
void hypha_program_run_close (HyphaProgramRun *self, guint64 listener);

const char *hypha_program_run_get_meeting (HyphaProgramRun *self);
int hypha_program_run_get_pid (HyphaProgramRun *self);

G_END_DECLS
