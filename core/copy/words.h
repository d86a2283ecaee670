/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/parcels.h"

G_BEGIN_DECLS

/* What the two ends of the service `cp` say to each other, in parcels. The caller begins with
 * REQUEST; from then on one end sends a tree and the other receives it, whoever called.
 * README.md tells it all, and core/agent/README.md what a request says. */
#define HYPHA_COPY_SERVICE "cp"

#define HYPHA_COPY_REQUEST 1 /* JSON: what to copy */

/* From the end that sends. */
enum {
  HYPHA_COPY_DIRECTORY = 2, /* an entry; what follows lies in it, until its end */
  HYPHA_COPY_FILE,          /* an entry; what follows is in it, until its end */
  HYPHA_COPY_LINK,          /* an entry */
  HYPHA_COPY_HARD_LINK,     /* an entry; its target is a path from the outermost directory */
  HYPHA_COPY_DIRECTORY_END,
  HYPHA_COPY_FROM,        /* 64 bits: where the file goes on, the answer to HAVE */
  HYPHA_COPY_DATA,        /* bytes of the file */
  HYPHA_COPY_HOLE,        /* 64 bits: so many zeros of the file, that take no room */
  HYPHA_COPY_FILE_END,    /* the file is whole */
  HYPHA_COPY_FILE_BROKEN, /* a sentence, why it is not; none if the other end had the trouble */
  HYPHA_COPY_MISSING,     /* a sentence: something does not come, and why */
  HYPHA_COPY_END,         /* of everything */
};

/* From the end that receives. */
enum {
  HYPHA_COPY_HAVE = 32, /* 64 bits, a digest: so much of this file is here, if it is the same */
  HYPHA_COPY_PROBLEM,   /* 64 bits, a sentence: the entry of this number cannot be taken */
  HYPHA_COPY_DONE,      /* five numbers of 64 bits: everything is there, on the disk */
};

#define HYPHA_COPY_FAILED 48 /* from either: a sentence; nothing more is done */

/* Of files from this size on, the receiver is asked what it has. */
#define HYPHA_COPY_RESUMABLE (1024 * 1024)
#define HYPHA_COPY_MAX_DEPTH 256    /* directories in each other; each takes a descriptor */
#define HYPHA_COPY_MAX_LINKED 65536 /* files that are known to have several names */
#define HYPHA_COPY_MAX_LINKED_BYTES (8 * 1024 * 1024) /* of their paths */
#define HYPHA_COPY_LINGER_MS 10000 /* for the other end to close, when all is said */

G_END_DECLS
