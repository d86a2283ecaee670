/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "agent/child.h"
#include "agent/exec.h"
#include "client/exec-words.h"

G_BEGIN_DECLS

enum { TO_COMMAND, FROM_OUTPUT, FROM_ERROR, N_PIPES };

/* From when a source is to be there to when it is not. */
typedef struct {
  int fd; /* -1: closed */
  guint source;
} Watched;

struct _HyphaAgentExec {
  HyphaStream *stream;
  char *peer, *peer_name;
  Watched in, out; /* both directions of the stream, by its descriptor */
  HyphaParcels *parcels;
  GByteArray *to_caller;
  GByteArray *input;
  guint32 credit;             /* what the caller may send */
  guint32 owed;               /* what the command has taken since the last CREDIT */
  gboolean input_end;         /* no more comes after INPUT */
  gboolean within_line;       /* the last INPUT did not end one */
  HyphaAgentRequest *request; /* NULL: has not come */
  HyphaAgentAccount *account;
  HyphaAgentChild *child;
  Watched pipes[N_PIPES];
  gboolean runs;
  gboolean exited;
  int status;
  gboolean told;     /* how it did: nothing of the caller's counts from now on */
  gboolean in_ended; /* and the caller has closed, too */
  guint quiet;       /* timer */
  guint timer;       /* for a request, then for the caller to close */
};

extern const HyphaAgentChildEvents hypha_agent_exec_child_events; /* with the exec as user data */

/* FALSE with an error, which the caller is to be told: it is over then. */
gboolean hypha_agent_exec_take (HyphaAgentExec *self, const HyphaParcel *parcel, GError **error);

G_END_DECLS
