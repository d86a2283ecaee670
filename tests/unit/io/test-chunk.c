/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <malloc.h>
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

/* By all threads; 0: this C library does not say. */
static gsize
bytes_in_use (void)
{
#ifdef __GLIBC__
  struct mallinfo2 info = mallinfo2 ();

  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

static void *
let_go_here (void *data)
{
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, 0); /* nothing of the thread that made them */
  let_go (data, MANY);
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, HYPHA_CHUNK_SPARE_MAX);
  return NULL;
}

static void
test_other_thread (void)
{
  HyphaChunk *chunks[MANY];
  pthread_t thread;
  guint before;
  gsize used;

  make (chunks, MANY);
  before = hypha_chunk_n_spare ();
  used = bytes_in_use ();
  g_assert_cmpint (pthread_create (&thread, NULL, let_go_here, chunks), ==, 0);
  g_assert_cmpint (pthread_join (thread, NULL), ==, 0);

  /* The thread took what it kept with it. */
  g_assert_cmpuint (hypha_chunk_n_spare (), ==, before);
  if (!nothing_is_kept () && used > 0)
    g_assert_cmpuint (bytes_in_use (), <, used - (gsize) (MANY - 1) * HYPHA_CHUNK_LARGE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/chunk/large-one-is-used-again", test_used_again);
  g_test_add_func ("/chunk/no-more-are-kept-than-said", test_bounded);
  g_test_add_func ("/chunk/other-sizes-are-not-kept", test_other_sizes);
  g_test_add_func ("/chunk/let-go-on-another-thread-that-ends", test_other_thread);
  return g_test_run ();
}
