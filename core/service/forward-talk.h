/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-api.h>

G_BEGIN_DECLS

/* What two nodes say to each other of a forward that one asks of the other: lines of JSON. Bytes
 * in, values out. */

#define HYPHA_FORWARD_SERVICE "forward"

/* The longest lines, with their ends. */
#define HYPHA_FORWARD_ORDER_MAX 4096u
#define HYPHA_FORWARD_NEWS_MAX 16384u

/* What is asked for: {"local": "...", "target": "..."}. */
typedef struct {
  char *local, *target;
} HyphaForwardOrder;

/* To free, with its end. NULL: it would be too long: INVALID_ARGUMENT. */
char *hypha_forward_order_to_line (const char *local, const char *target, GError **error);
/* LINE: without its end. PROTOCOL: it is none. */
gboolean hypha_forward_order_parse (HyphaForwardOrder *self, const char *line, gsize length,
                                    GError **error);
void hypha_forward_order_clear (HyphaForwardOrder *self);

/* How it is there: {"state": "...", "local": "...", "reason": "...", "received": 0, "sent": 0,
 * "ports": []}. RECEIVED: from who asked. */
typedef struct {
  const char *state; /* as of a forward; static */
  char *local;       /* as of a forward */
  char *reason;      /* "": none */
  guint64 received, sent;
  GVariant *ports; /* aq */
} HyphaForwardNews;

/* What is too long of it is cut. */
char *hypha_forward_news_to_line (const char *state, const char *local, const char *reason,
                                  guint64 received, guint64 sent, GVariant *ports);
/* What else is said is passed over: a newer peer may say more. */
gboolean hypha_forward_news_parse (HyphaForwardNews *self, const char *line, gsize length,
                                   GError **error);
void hypha_forward_news_clear (HyphaForwardNews *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaForwardOrder, hypha_forward_order_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaForwardNews, hypha_forward_news_clear)

G_END_DECLS
