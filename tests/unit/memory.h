/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <malloc.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define MEMORY_SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_SANITIZED 1
#endif
#endif

#ifdef MEMORY_SANITIZED
size_t __sanitizer_get_current_allocated_bytes (void);
#endif

/* What this process has allocated and not freed, in bytes, on all its threads; the sanitizers have
 * an allocator of their own. */
static inline gsize
memory_in_use (void)
{
#ifdef MEMORY_SANITIZED
  return __sanitizer_get_current_allocated_bytes ();
#else
  struct mallinfo2 info = mallinfo2 ();

  return info.uordblks + info.hblkhd;
#endif
}
