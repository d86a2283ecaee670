/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lies.h"

#include <string.h>
#include "../memory.h"
#include "node/node-peer-private.h"

#define BLOCK (32 * 1024)

/* ---- the honest one ---- */

static gpointer
talk (gpointer data)
{
  Lies *self = data;
  GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (self->echo));
  GOutputStream *out = g_io_stream_get_output_stream (G_IO_STREAM (self->echo));
  g_autofree guint8 *sent = g_malloc (BLOCK), *got = g_malloc (BLOCK);

  for (guint n = 0; !atomic_load (&self->enough); n++) {
    gsize length;

    for (guint i = 0; i < BLOCK; i++)
      sent[i] = (guint8) (n * 31 + i * 7 + (i >> 8));
    if (!g_output_stream_write_all (out, sent, BLOCK, NULL, NULL, NULL) ||
        !g_input_stream_read_all (in, got, BLOCK, &length, NULL, NULL) || length != BLOCK ||
        memcmp (sent, got, BLOCK) != 0) {
      atomic_store (&self->failed, TRUE);
      break;
    }
    atomic_fetch_add (&self->blocks, 1);
    do {
      atomic_store (&self->rests, atomic_load (&self->rest));
      g_usleep (500); /* a program that does something else, too: two cores are for all */
    } while (atomic_load (&self->rest));
  }
  return NULL;
}

static void
begin_honest (Lies *self)
{
  g_autoptr (GError) error = NULL;

  trust_each_other (&self->pair);
  self->beta = dial (&self->pair.a, self->on_tcp, NULL, &error);
  g_assert_no_error (error);
  self->echo = must_open (self->beta, "echo");
  self->thread = g_thread_new ("honest", talk, self);
}

static void
end_honest (Lies *self)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  atomic_store (&self->enough, TRUE);
  g_thread_join (self->thread);
  g_assert_false (atomic_load (&self->failed));
  hypha_stream_wait_end_async (self->echo, NULL, keep_result, &result);
  g_assert_true (hypha_stream_close_write (self->echo, &error));
  wait_until (result != NULL);
  hypha_stream_wait_end_finish (self->echo, result, NULL, NULL, &error);
  g_assert_no_error (error);
  g_clear_object (&self->echo);
  g_clear_object (&self->beta);
}

void
lies_let_honest_rest (Lies *self, gboolean rest)
{
  atomic_store (&self->rest, rest);
  wait_until (atomic_load (&self->rests) == rest);
}

void
lies_expect_honest (Lies *self)
{
  guint before = atomic_load (&self->blocks);
  HyphaNodePeer *alpha = peer_of (&self->pair.b, "alpha");

  wait_until (atomic_load (&self->blocks) >= before + 3 || atomic_load (&self->failed));
  g_assert_false (atomic_load (&self->failed));
  g_assert_cmpuint (hypha_node_peer_n_links (alpha), ==, 1);
  g_assert_cmpuint (n_streams (alpha), ==, 1);
}

/* ---- set up ---- */

HyphaNodeLimits
lies_limits (void)
{
  HyphaNodeLimits limits;

  hypha_node_limits_init (&limits);
  limits.max_streams = LIES_STREAMS;
  limits.session_window = LIES_WINDOW;
  limits.session_timeout = 300;
  return limits;
}

static void
on_log (const char *domain, GLogLevelFlags level, const char *text, gpointer user_data)
{
  Lies *self = user_data;

  g_ptr_array_add (self->told, g_strdup (text));
}

const char lies_lower[] = "lower";

static HyphaIdentity *
make_liar (Lies *self, gboolean lower)
{
  for (;;) {
    g_autoptr (HyphaIdentity) identity = hypha_identity_generate (NULL);

    self->parity = hypha_node_id_compare (hypha_identity_get_id (identity),
                                          hypha_node_get_id (self->pair.b.node)) < 0
                       ? 0
                       : 1;
    if (!lower || self->parity == 0)
      return g_steal_pointer (&identity);
  }
}

void
lies_set_up (Lies *self, gconstpointer data)
{
  HyphaIdentity *identity;
  g_autofree char *id = NULL;
  g_autofree char *unix_uri = NULL;
  HyphaNodeLimits limits = lies_limits ();
  g_autoptr (GError) error = NULL;

  self->told = g_ptr_array_new_with_free_func (g_free);
  self->handler = g_log_set_handler ("hypha", G_LOG_LEVEL_MESSAGE, on_log, self);
  node_pair_set_up (&self->pair, NULL);
  hypha_node_set_limits (self->pair.b.node, &limits);
  unix_uri = unix_endpoint (&self->pair);
  self->on_unix = listen_on (&self->pair.b, unix_uri);
  self->on_tcp = listen_on (&self->pair.b, "tcp://127.0.0.1:0");
  identity = make_liar (self, data == lies_lower);
  id = hypha_node_id_to_string (hypha_identity_get_id (identity));
  self->liar = liar_new (identity);
  g_assert_true (hypha_node_trust (self->pair.b.node, id, "liar", &error));
  self->suspect = g_object_ref (peer_of (&self->pair.b, "liar"));
  begin_honest (self);
}

void
lies_tear_down (Lies *self, gconstpointer data)
{
  end_honest (self);
  if (self->probe != NULL && self->probe_ended == NULL) {
    hypha_peer_disconnect_async (HYPHA_PEER (self->suspect), NULL, NULL, NULL);
    wait_until (self->probe_ended != NULL); /* or it would come to the next test */
  }
  g_clear_pointer (&self->liar, liar_free);
  g_clear_object (&self->probe_ended);
  g_clear_object (&self->probe);
  g_clear_object (&self->suspect);
  g_free (self->on_unix);
  g_free (self->on_tcp);
  node_pair_tear_down (&self->pair, NULL);
  g_log_remove_handler ("hypha", self->handler);
  g_ptr_array_unref (self->told);
}

guint32
lies_liars (Lies *self, guint n)
{
  return self->parity + 2 * n;
}

guint32
lies_betas (Lies *self, guint n)
{
  return 1 - self->parity + 2 * n;
}

/* ---- streams ---- */

static void
probed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Lies *self = user_data;
  g_autoptr (GError) error = NULL;

  self->probe = hypha_peer_open_stream_finish (HYPHA_PEER (source), result, &error);
  g_assert_no_error (error);
}

void
lies_open_probe (Lies *self)
{
  const guint32 id = lies_betas (self, 0);
  HyphaFrame frame;

  g_assert_null (self->probe);
  wait_until (hypha_node_peer_get_best_link (self->suspect) != NULL);
  hypha_peer_open_stream_async (HYPHA_PEER (self->suspect), "probe", 0, NULL, probed, self);
  liar_expect (self->liar, HYPHA_FRAME_OPEN, id, &frame);
  liar_send (self->liar, &(HyphaFrame){ .type = HYPHA_FRAME_WINDOW, .stream = id, .value = 1000 });
  wait_until (self->probe != NULL);
  hypha_stream_wait_end_async (self->probe, NULL, keep_result, &self->probe_ended);
  g_assert_true (
      g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (self->probe)),
                                 "ten bytes.", 10, NULL, NULL, NULL));
  liar_expect (self->liar, HYPHA_FRAME_DATA, id, &frame);
  g_assert_cmpmem (frame.data, frame.length, "ten bytes.", 10);
}

static void
open_echo (Lies *self)
{
  const guint32 id = lies_liars (self, 0);
  Liar *liar = self->liar;
  HyphaFrame frame;

  liar_send (liar, &(HyphaFrame){ .type = HYPHA_FRAME_OPEN,
                                  .stream = id,
                                  .data = (const guint8 *) "echo",
                                  .length = 4 });
  liar_send (liar, &(HyphaFrame){ .type = HYPHA_FRAME_WINDOW, .stream = id, .value = 1000 });
  liar_expect (liar, HYPHA_FRAME_WINDOW, id, &frame);
  g_assert_cmpuint (frame.value, ==, HYPHA_SESSION_WINDOW_MIN);
  liar_send (liar, &(HyphaFrame){ .type = HYPHA_FRAME_DATA,
                                  .stream = id,
                                  .data = (const guint8 *) "0123456789",
                                  .length = 10 });
  liar_expect (liar, HYPHA_FRAME_DATA, id, &frame);
  g_assert_cmpmem (frame.data, frame.length, "0123456789", 10);
  liar_send (liar, &(HyphaFrame){ .type = HYPHA_FRAME_ACK, .stream = id, .value = 10 });
}

void
lies_open (Lies *self)
{
  liar_join (self->liar, self->on_unix);
  open_echo (self);
  lies_open_probe (self);
}

void
lies_expect_probe_ended (Lies *self, HyphaError code, const char *text)
{
  g_autoptr (GError) error = NULL;

  wait_until (self->probe_ended != NULL);
  hypha_stream_wait_end_finish (self->probe, self->probe_ended, NULL, NULL, &error);
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_error (error, HYPHA_ERROR, (int) code);
  g_assert_nonnull (strstr (error->message, text));
}

void
lies_expect_liar_back (Lies *self)
{
  self->liar->session_number++;
  liar_join (self->liar, self->on_unix);
  open_echo (self);
}

static gboolean
has_told (Lies *self, const char *text)
{
  for (guint i = 0; i < self->told->len; i++)
    if (strstr (self->told->pdata[i], text) != NULL)
      return TRUE;
  return FALSE;
}

void
lies_expect_told (Lies *self, const char *text)
{
  wait_until (has_told (self, text));
}

const char *
lies_last_told (Lies *self)
{
  wait_until (self->told->len > 0);
  return self->told->pdata[self->told->len - 1];
}

/* ---- memory ---- */

void
lies_measure (Lies *self)
{
  self->memory = memory_in_use ();
}

gsize
lies_grown (Lies *self)
{
  gsize now = memory_in_use ();

  return now > self->memory ? now - self->memory : 0;
}
