/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether the workers still answer: a closure goes through the inbox of each. */

#include "node/node-private.h"

typedef struct {
  HyphaNode *node; /* not owned: it ends its workers and empties its mailbox before it goes */
  _Atomic guint left;
  HyphaNodeFunc func;
  gpointer user_data;
} Pulse;

static void
all_answered (gpointer data)
{
  g_autofree Pulse *pulse = data;

  if (!pulse->node->stopped)
    pulse->func (pulse->node, pulse->user_data);
}

static void
one_answers (gpointer data)
{
  Pulse *pulse = data;

  if (atomic_fetch_sub (&pulse->left, 1) == 1)
    hypha_mailbox_post (pulse->node->mailbox, all_answered, pulse);
}

void
hypha_node_take_pulse (HyphaNode *self, HyphaNodeFunc func, gpointer user_data)
{
  Pulse *pulse;

  if (self->stopped)
    return;
  pulse = g_new0 (Pulse, 1);
  pulse->node = self;
  pulse->left = self->workers->len;
  pulse->func = func;
  pulse->user_data = user_data;
  for (guint i = 0; i < self->workers->len; i++)
    hypha_worker_post (self->workers->pdata[i], one_answers, pulse);
}
