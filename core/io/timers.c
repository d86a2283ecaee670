/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/timers.h"

static void
heap_place (GPtrArray *heap, guint index, HyphaTimer *timer)
{
  g_ptr_array_index (heap, index) = timer;
  timer->index = index;
}

static void
heap_up (GPtrArray *heap, HyphaTimer *timer)
{
  guint index = timer->index;

  while (index > 0) {
    guint above = (index - 1) / 2;
    HyphaTimer *parent = g_ptr_array_index (heap, above);

    if (parent->due <= timer->due)
      break;
    heap_place (heap, index, parent);
    index = above;
  }
  heap_place (heap, index, timer);
}

static void
heap_down (GPtrArray *heap, HyphaTimer *timer)
{
  guint index = timer->index;

  for (;;) {
    guint below = 2 * index + 1;
    HyphaTimer *child;

    if (below >= heap->len)
      break;
    child = g_ptr_array_index (heap, below);
    if (below + 1 < heap->len) {
      HyphaTimer *other = g_ptr_array_index (heap, below + 1);

      if (other->due < child->due) {
        child = other;
        below++;
      }
    }
    if (timer->due <= child->due)
      break;
    heap_place (heap, index, child);
    index = below;
  }
  heap_place (heap, index, timer);
}

static void
heap_add (GPtrArray *heap, HyphaTimer *timer)
{
  timer->heap = heap;
  timer->index = heap->len;
  g_ptr_array_add (heap, timer);
  heap_up (heap, timer);
}

void
hypha_timers_remove (HyphaTimer *timer)
{
  GPtrArray *heap = g_steal_pointer (&timer->heap);
  HyphaTimer *last = g_ptr_array_index (heap, heap->len - 1);

  g_ptr_array_set_size (heap, (gint) heap->len - 1);
  if (last == timer)
    return;
  heap_place (heap, timer->index, last);
  heap_up (heap, last);
  heap_down (heap, last);
}

void
hypha_timers_init (HyphaTimers *self)
{
  self->set = g_ptr_array_new ();
  self->due = g_ptr_array_new ();
}

void
hypha_timers_clear (HyphaTimers *self)
{
  g_assert (self->set->len == 0 && self->due->len == 0);
  g_ptr_array_unref (self->set);
  g_ptr_array_unref (self->due);
}

void
hypha_timers_add (HyphaTimers *self, HyphaTimer *timer)
{
  heap_add (self->set, timer);
}

static HyphaTimer *
heap_first (GPtrArray *heap)
{
  return heap->len > 0 ? g_ptr_array_index (heap, 0) : NULL;
}

HyphaTimer *
hypha_timers_first (HyphaTimers *self)
{
  return heap_first (self->set);
}

void
hypha_timers_begin (HyphaTimers *self, gint64 now)
{
  HyphaTimer *timer;

  while ((timer = heap_first (self->set)) != NULL && timer->due <= now) {
    hypha_timers_remove (timer);
    heap_add (self->due, timer);
  }
}

HyphaTimer *
hypha_timers_next (HyphaTimers *self)
{
  return heap_first (self->due);
}
