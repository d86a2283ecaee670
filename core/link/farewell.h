/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io/worker.h"
#include "link/line.h"
#include "link/output.h"

G_BEGIN_DECLS

/* The last words of a link that has been closed: its owner has done with it, the descriptor is here
 * until they are out. To close it at once would not do: while input is unread, the kernel answers
 * with a reset, which takes what was sent and not yet received with it. */

/* On WORKER's thread. Takes what is in LINE, and what in OUTPUT still has to be said; both are left
 * empty. Ends by itself, after a second at most. Does not touch the worker's scratch buffer from
 * within. */
void hypha_farewell_start (HyphaWorker *worker, HyphaLine *line, HyphaOutput *output);

/* From any thread, before WORKER is freed and after all that might close a link there was posted:
 * the farewells on it get another 250 ms, all of them together, and end. */
void hypha_farewell_finish (HyphaWorker *worker);

G_END_DECLS
