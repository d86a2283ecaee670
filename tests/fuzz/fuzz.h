/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* What every target has. It is called by libFuzzer, or by replay.c with what is in the corpus. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
