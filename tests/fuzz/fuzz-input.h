/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/* What a fuzzer's bytes say, taken one after another; when they are used up, everything is zero. */
typedef struct {
  const guint8 *p;
  gsize left;
} FuzzInput;

static inline guint8
fuzz_u8 (FuzzInput *input)
{
  if (input->left == 0)
    return 0;
  input->left--;
  return *input->p++;
}

static inline guint16
fuzz_u16 (FuzzInput *input)
{
  guint8 high = fuzz_u8 (input);

  return (guint16) (high << 8 | fuzz_u8 (input));
}

/* At most LENGTH bytes, in place. */
static inline const guint8 *
fuzz_bytes (FuzzInput *input, gsize *length)
{
  const guint8 *p = input->p;

  *length = MIN (*length, input->left);
  input->p += *length;
  input->left -= *length;
  return p;
}
