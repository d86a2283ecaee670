/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/parcels.h"

G_BEGIN_DECLS

/* What the two ends of the service `exec` say to each other, in parcels. The caller begins with
 * REQUEST and keeps its direction open until it was told EXITED, KILLED or FAILED: an end before
 * that gives the command up. core/agent/README.md tells it all. */
#define HYPHA_EXEC_SERVICE "exec"

/* To the agent. */
enum {
  HYPHA_EXEC_REQUEST = 1, /* JSON: what to run */
  HYPHA_EXEC_INPUT,       /* bytes for standard input, as far as CREDIT allows */
  HYPHA_EXEC_INPUT_END,   /* nothing */
  HYPHA_EXEC_RESIZE,      /* rows, columns: 16 bits each, in one number */
  HYPHA_EXEC_SIGNAL,      /* its name */
};

/* From the agent. */
enum {
  HYPHA_EXEC_CREDIT = 16, /* so many more bytes of INPUT; the first one tells that it runs */
  HYPHA_EXEC_OUTPUT,
  HYPHA_EXEC_ERROR_OUTPUT,
  HYPHA_EXEC_EXITED, /* with this number */
  HYPHA_EXEC_KILLED, /* by the signal of this name */
  HYPHA_EXEC_FAILED, /* a byte, what to exit with, and a sentence */
};

#define HYPHA_EXEC_CANNOT_RUN 126 /* as shells have it */
#define HYPHA_EXEC_NOT_FOUND 127
#define HYPHA_EXEC_BROKEN 255 /* not the command's affair */

/* Names without SIG, for not every machine has the same numbers; what has no name is a number. */
char *hypha_exec_signal_dup_name (int number);
/* 0: there is no such signal here. */
int hypha_exec_signal_from_name (const void *name, gsize length);

G_END_DECLS
