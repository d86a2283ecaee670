/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "link/frame.h"

G_BEGIN_DECLS

/* What whoever connects to a mux says first, as to a machine's own: "CONNECT NAME\n". */
typedef struct {
  char line[sizeof "CONNECT " + HYPHA_SERVICE_MAX + 1];
  gsize length;
} HyphaRequest;

typedef enum {
  HYPHA_REQUEST_MORE, /* it is not there yet */
  HYPHA_REQUEST_DONE,
  HYPHA_REQUEST_FAILED,
} HyphaRequestState;

/* Reads from a non-blocking socket, and not a byte beyond the line. */
HyphaRequestState hypha_request_read (HyphaRequest *self, int fd, GError **error);
/* Of one that is done. To free: the name of the service; of a number, "port:" and that. NULL: it
 * names none. */
char *hypha_request_dup_service (const HyphaRequest *self, GError **error);

G_END_DECLS
