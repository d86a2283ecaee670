/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <hypha-api.h>

G_BEGIN_DECLS

/* TLS 1.3 by GnuTLS upon a non-blocking descriptor (borrowed): as the design has it. All calls on
 * one thread at a time; it may move. Records are gathered below GnuTLS, both ways, so that the
 * kernel sees 64 KiB at a time. */
typedef struct _HyphaTls HyphaTls;

typedef enum {
  HYPHA_TLS_DONE,
  HYPHA_TLS_AGAIN_READ,
  HYPHA_TLS_AGAIN_WRITE,
  HYPHA_TLS_EOF,
  HYPHA_TLS_ERROR
} HyphaTlsResult;

HyphaTls *hypha_tls_new (int fd, gboolean client, GError **error);
void hypha_tls_free (HyphaTls *self);
HyphaTlsResult hypha_tls_handshake (HyphaTls *self,
                                    GError **error); /* checks version and ALPN when DONE */
void hypha_tls_get_binding (HyphaTls *self, guint8 binding[32]); /* after the handshake */
/* DONE: *N bytes came (> 0). Read until AGAIN, or until it is drained, before waiting: epoll does
 * not tell of all. EOF only after a proper close_notify; a cut is an ERROR. What TLS itself has to
 * answer waits for a flush. */
HyphaTlsResult hypha_tls_read (HyphaTls *self, void *buffer, gsize size, gsize *n, GError **error);
gboolean hypha_tls_is_drained (HyphaTls *self);
/* One record (at most hypha_tls_record_max bytes), gathered with others until flush. AGAIN: nothing
 * was taken. */
HyphaTlsResult hypha_tls_write (HyphaTls *self, const void *data, gsize size, gsize *n,
                                GError **error);
HyphaTlsResult hypha_tls_flush (HyphaTls *self,
                                GError **error); /* DONE: the kernel has everything */
gsize hypha_tls_record_max (HyphaTls *self);
guint64 hypha_tls_get_sent (HyphaTls *self); /* bytes that the kernel has taken, all told */
void hypha_tls_bye (HyphaTls *self);         /* close_notify, best effort */

G_DEFINE_AUTOPTR_CLEANUP_FUNC (HyphaTls, hypha_tls_free)

G_END_DECLS
