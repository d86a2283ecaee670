/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Messages to a program and from it: a JSON object a line, and the descriptors that came with
 * them. Nothing is believed, nothing blocks, and nothing grows without a bound. */
typedef struct _HyphaProgramTalk HyphaProgramTalk;

/* The longest line, with its end. */
#define HYPHA_PROGRAM_MAX_LINE (64 * 1024)

typedef struct {
  void (*message) (JsonObject *message, gpointer user_data);
  /* It is no use any more: WHY is the end of a sentence whose subject is the program. */
  void (*broken) (const char *why, gpointer user_data);
} HyphaProgramTalkEvents;

HyphaProgramTalk *hypha_program_talk_new (int fd, const HyphaProgramTalkEvents *events,
                                          gpointer user_data);
void hypha_program_talk_free (HyphaProgramTalk *self);
void hypha_program_talk_send (HyphaProgramTalk *self, const char *line);
int hypha_program_talk_take_fd (HyphaProgramTalk *self);
void hypha_program_talk_drain (HyphaProgramTalk *self);
/* How much came so far: whoever says anything is alive. */
guint64 hypha_program_talk_get_count (HyphaProgramTalk *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaProgramTalk, hypha_program_talk_free)

G_END_DECLS
