/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "hypha-stream-end.h"
#include "io/pipe.h"

G_BEGIN_DECLS

/* The program's end of PIPE: a HyphaStream upon memory, until somebody asks for a descriptor. */
HyphaStreamEnd *hypha_memory_end_new (HyphaPipe *pipe);

G_END_DECLS
