/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who is trusted, and wants another one's session: its numbers are no credential. */

#include "refusals.h"

#include "lies.h"

/* The same side of beta, so that the ids it opens are those of the other. */
static HyphaIdentity *
make_thief (Lies *f)
{
  for (;;) {
    g_autoptr (HyphaIdentity) identity = hypha_identity_generate (NULL);
    guint32 parity = hypha_node_id_compare (hypha_identity_get_id (identity),
                                            hypha_node_get_id (f->pair.b.node)) < 0
                         ? 0
                         : 1;

    if (parity == f->parity)
      return g_steal_pointer (&identity);
  }
}

/* What the thief says once it is let in, as if the session were its own. */
static void
say_as_its_own (Lies *f, Liar *thief, gsize what)
{
  HyphaResumeEntry entries[2];
  HyphaFrame frame = { .stream = lies_liars (f, 0) };

  if (what == 0) { /* the other's state */
    for (guint i = 0; i < 2; i++)
      entries[i] = (HyphaResumeEntry){
        .stream = i, .flags = HYPHA_RESUME_ACCEPTED, .next = 10, .limit = 1000
      };
    liar_resume (thief, lies_liars (f, 0), lies_betas (f, 0), entries, 2);
    return;
  }
  liar_resume (thief, -1, -1, NULL, 0);
  if (what == 1) { /* bytes for the other's stream */
    frame.type = HYPHA_FRAME_DATA;
    frame.value = 10;
    frame.data = (const guint8 *) "stolen";
    frame.length = 6;
  } else if (what == 2) { /* what was sent to the other is acknowledged */
    frame.type = HYPHA_FRAME_ACK;
    frame.stream = lies_betas (f, 0);
    frame.value = 10;
  } else { /* its stream is ended */
    frame.type = HYPHA_FRAME_STOP;
    frame.stream = lies_betas (f, 0);
    frame.code = 1;
  }
  liar_send (thief, &frame);
}

void
attack_foreign_session (const Refusal *row)
{
  Lies f = { 0 };
  g_autoptr (Liar) thief = NULL;
  g_autofree char *id = NULL;
  g_autoptr (GError) error = NULL;
  HyphaFrame frame;

  lies_set_up (&f, NULL);
  lies_open (&f);
  thief = liar_new (make_thief (&f));
  id = hypha_node_id_to_string (hypha_identity_get_id (thief->identity));
  g_assert_true (hypha_node_trust (f.pair.b.node, id, "thief", NULL));
  thief->instance = f.liar->instance;
  thief->session_number = f.liar->session_number;
  thief->link_number = f.liar->link_number;
  liar_dial (thief, f.on_unix);
  g_assert_true (liar_meet (thief, TRUE));
  /* It is let in, for it is trusted: to a session of its own. */
  g_assert_cmpuint (thief->other_session, !=, f.liar->other_session);
  say_as_its_own (&f, thief, row->from);
  liar_read_to_end (thief);
  error = g_error_new (HYPHA_ERROR,
                       thief->away == HYPHA_AWAY_ROLLED_BACK ? HYPHA_ERROR_ROLLED_BACK
                       : thief->away == HYPHA_AWAY_PROTOCOL  ? HYPHA_ERROR_PROTOCOL
                                                             : HYPHA_ERROR_FAILED,
                       "%s", lies_last_told (&f));
  refusal_check (row, FALSE, error, "");

  /* The other one has not noticed. */
  g_assert_null (f.probe_ended);
  liar_send (f.liar, &(HyphaFrame){ .type = HYPHA_FRAME_DATA,
                                    .stream = lies_liars (&f, 0),
                                    .value = 10,
                                    .data = (const guint8 *) "still mine",
                                    .length = 10 });
  liar_expect (f.liar, HYPHA_FRAME_DATA, lies_liars (&f, 0), &frame);
  g_assert_cmpmem (frame.data, frame.length, "still mine", 10);
  lies_expect_honest (&f);
  lies_tear_down (&f, NULL);
}
