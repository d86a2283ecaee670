/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Where a program connects to, once for each channel, if it passes no descriptors: a Unix socket in
 * a directory of its own. Whoever comes says in one line which channel this is. */
typedef struct _HyphaProgramMeeting HyphaProgramMeeting;

/* FD (taken) is a connection whose first line was WORDS; what follows has not been read. */
typedef void (*HyphaProgramMeetingCame) (JsonObject *words, int fd, gpointer user_data);

HyphaProgramMeeting *hypha_program_meeting_new (HyphaProgramMeetingCame came, gpointer user_data,
                                                GError **error);
void hypha_program_meeting_free (HyphaProgramMeeting *self);
const char *hypha_program_meeting_get_path (HyphaProgramMeeting *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaProgramMeeting, hypha_program_meeting_free)

G_END_DECLS
