/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <pthread.h>

#include "io/chunk.h"

#define MANY (HYPHA_CHUNK_SPARE_MAX + 8)

static gboolean
nothing_is_kept (void)
{
  if (HYPHA_CHUNK_SPARE_MAX > 0)
    return FALSE;
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, 0);
  g_test_skip ("with AddressSanitizer no chunk is kept");
  return TRUE;
}

/* All at the same time. */
static void
make (HyphaChunk **chunks, guint n)
{
  for (guint i = 0; i < n; i++)
    chunks[i] = hypha_chunk_new (HYPHA_CHUNK_LARGE);
}

static void
let_go (HyphaChunk **chunks, guint n)
{
  for (guint i = 0; i < n; i++)
    hypha_chunk_unref (chunks[i]);
}

static void
test_used_again (void)
{
  HyphaChunk *chunks[2];
  HyphaChunk *again;

  make (chunks, 2);
  chunks[1]->used = 5;
  hypha_chunk_ref (chunks[1]);
  let_go (chunks, 2);
  hypha_chunk_unref (chunks[1]);
  if (nothing_is_kept ())
    return;

  /* The one that was let go last; as empty as a new one. */
  again = hypha_chunk_new (HYPHA_CHUNK_LARGE);
  g_assert_true (again == chunks[1]);
  g_assert_cmpuint (again->ref_count, ==, 1);
  g_assert_cmpuint (again->size, ==, HYPHA_CHUNK_LARGE);
  g_assert_cmpuint (again->used, ==, 0);
  hypha_chunk_unref (again);
}

static void
test_bounded (void)
{
  HyphaChunk *chunks[MANY];

  make (chunks, MANY);
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, 0);
  let_go (chunks, MANY);
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, HYPHA_CHUNK_SPARE_MAX);
}

static void
test_other_sizes (void)
{
  static const guint32 sizes[] = { 0, 4096, HYPHA_CHUNK_LARGE - 1, HYPHA_CHUNK_LARGE + 1 };
  guint before = hypha_chunk_n_spare ();

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    HyphaChunk *chunk = hypha_chunk_new (sizes[i]);

    g_assert_cmpuint (chunk->size, ==, sizes[i]);
    g_assert_cmpuint (hypha_chunk_n_spare (), ==, before);
    hypha_chunk_unref (chunk);
    g_assert_cmpuint (hypha_chunk_n_spare (), ==, before);
  }
}

static void *
let_go_here (void *data)
{
  let_go (data, MANY);
  return NULL;
}

static void
test_other_thread (void)
{
  HyphaChunk *chunks[MANY];
  pthread_t thread;

  make (chunks, MANY);
  g_assert_cmpint (pthread_create (&thread, NULL, let_go_here, chunks), ==, 0);
  g_assert_cmpint (pthread_join (thread, NULL), ==, 0);
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, HYPHA_CHUNK_SPARE_MAX);
  if (nothing_is_kept ())
    return;

  /* Good for this thread. */
  make (chunks, 1);
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, HYPHA_CHUNK_SPARE_MAX - 1);
  let_go (chunks, 1);
}

#define SHARED 20000

static void *
share (void *data)
{
  for (guint i = 0; i < SHARED; i++) {
    hypha_chunk_ref (data);
    hypha_chunk_unref (data);
  }
  hypha_chunk_unref (data);
  return NULL;
}

static void
test_shared (void)
{
  HyphaChunk *chunk = hypha_chunk_new (64);
  pthread_t threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpint (pthread_create (&threads[i], NULL, share, hypha_chunk_ref (chunk)), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_assert_cmpint (pthread_join (threads[i], NULL), ==, 0);
  g_assert_cmpuint (chunk->ref_count, ==, 1);
  hypha_chunk_unref (chunk);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chunk/large-one-is-used-again", test_used_again);
  g_test_add_func ("/chunk/no-more-are-kept-than-said", test_bounded);
  g_test_add_func ("/chunk/other-sizes-are-not-kept", test_other_sizes);
  g_test_add_func ("/chunk/let-go-on-another-thread", test_other_thread);
  g_test_add_func ("/chunk/shared-by-threads", test_shared);
  return g_test_run ();
}
