/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/socket.h>
#include "contract.h"

G_BEGIN_DECLS

/* Nothing that the contract waits for takes this long on a working machine; HYPHA_CONTRACT_PATIENCE
 * tells another number, for transports that are known to be bad. */
#define HARNESS_PATIENCE_S (harness_patience ())
guint harness_patience (void);

/* How much a transport has to carry in each direction: HYPHA_CONTRACT_BYTES. */
guint64 harness_bytes (guint64 otherwise);

/* Runs the main context until CONDITION holds; FALSE if it does not within HARNESS_PATIENCE_S. */
typedef gboolean (*HarnessCondition) (gpointer data);
gboolean harness_wait (HarnessCondition condition, gpointer data);

/* A callback that keeps a reference to the result in the GAsyncResult * at USER_DATA. */
void harness_keep_result (GObject *source, GAsyncResult *result, gpointer user_data);
void harness_wait_result (GAsyncResult **result);

/* The asynchronous calls, waited for. */
HyphaEndpoint *harness_parse (HyphaTransport *transport, const char *uri, GError **error);
HyphaChannel *harness_connect (HyphaTransport *transport, HyphaEndpoint *endpoint, guint timeout_ms,
                               GError **error);
HyphaListener *harness_listen (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error);

/* Keeps what a listener accepts. */
typedef struct {
  GPtrArray *channels; /* of HyphaChannel */
  guint wanted;        /* for harness_wait_accepted */
} HarnessSink;
HarnessSink *harness_sink_new (
    HyphaListener *listener); /* lasts until it is freed; then the listener must be closed */
void harness_sink_free (HarnessSink *sink);
gboolean harness_wait_accepted (HarnessSink *sink, guint n);

/* How many descriptors this process has open; and waiting until they are no more than N. */
guint harness_count_descriptors (void);
gboolean harness_wait_descriptors (guint n);
gboolean harness_wait_stable (guint *n); /* until that number has not changed for a while */

/* The same of threads. */
guint harness_count_threads (void);
gboolean harness_wait_threads (guint n);

/* Sends SIZE bytes from each of the two descriptors to the other, both at once, and compares
 * checksums. */
gboolean harness_exchange (int a, int b, guint64 size, GError **error);
/* The same over N_PAIRS at once; FDS has the two ends of each beside one another. */
gboolean harness_exchange_all (const int *fds, guint n_pairs, guint64 size, GError **error);

/* Whether this machine has ::1; if not, WHY (to free). */
gboolean harness_has_ipv6 (char **why);

/* A listening socket that no transport has made; to close. */
int harness_listening_socket (const struct sockaddr *address, socklen_t length);

/* Waits until FD can be read, then reads up to SIZE bytes: 0 is its end, -1 an error, of which
 * ETIMEDOUT is the end of the patience. */
gssize harness_read (int fd, void *buffer, gsize size);
gboolean harness_write_all (int fd, const void *buffer, gsize size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HarnessSink, harness_sink_free)

G_END_DECLS
