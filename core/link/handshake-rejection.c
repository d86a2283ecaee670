/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/handshake-rejection.h"

#include <glib/gi18n-lib.h>

static const struct {
  HyphaError error;
  const char *why;
} rejections[] = {
  [HYPHA_REJECT_NOT_TRUSTED] = { HYPHA_ERROR_NOT_TRUSTED, N_ ("not trusted") },
  [HYPHA_REJECT_TLS_REQUIRED] = { HYPHA_ERROR_TLS_REQUIRED,
                                  N_ ("only TLS is taken on this link, not a plain one") },
  [HYPHA_REJECT_WRONG_ID] = { HYPHA_ERROR_WRONG_ID, N_ ("another node was expected") },
  [HYPHA_REJECT_ROLLED_BACK] = { HYPHA_ERROR_ROLLED_BACK,
                                 N_ ("its session went backwards, as after "
                                     "the restoring of a snapshot") },
  [HYPHA_REJECT_BUSY] = { HYPHA_ERROR_BUSY,
                          N_ ("too many links or handshakes already; try again later") },
  [HYPHA_REJECT_SELF] = { HYPHA_ERROR_HANDSHAKE,
                          N_ ("the endpoint leads to the node that dials it") },
  [HYPHA_REJECT_VERSION] = { HYPHA_ERROR_NOT_SUPPORTED, N_ ("no common version of the protocol") },
  [HYPHA_REJECT_STALE] = { HYPHA_ERROR_HANDSHAKE, N_ ("its session number has been overtaken by "
                                                      "another link; dial again") },
};

gboolean
hypha_rejection_is_known (guint32 code)
{
  return code > 0 && code < G_N_ELEMENTS (rejections);
}

GError *
hypha_rejection_of_ours (HyphaRejectCode code, const HyphaNodeId *peer)
{
  g_autofree char *id = peer != NULL ? hypha_node_id_to_string (peer) : NULL;

  if (peer == NULL)
    return g_error_new (HYPHA_ERROR, (int) rejections[code].error,
                        _ ("The other end was refused: %s"), _ (rejections[code].why));
  if (code == HYPHA_REJECT_NOT_TRUSTED)
    return g_error_new (HYPHA_ERROR, (int) rejections[code].error,
                        _ ("Node %s was refused: not trusted: hyphactl trust %s NAME"), id, id);
  return g_error_new (HYPHA_ERROR, (int) rejections[code].error, _ ("Node %s was refused: %s"), id,
                      _ (rejections[code].why));
}

GError *
hypha_rejection_of_theirs (HyphaRejectCode code, const HyphaNodeId *peer, const HyphaNodeId *own)
{
  g_autofree char *id =
      peer != NULL ? hypha_node_id_to_string (peer) : g_strdup (_ ("at the other end"));
  g_autofree char *us = hypha_node_id_to_string (own);

  if (code == HYPHA_REJECT_NOT_TRUSTED)
    return g_error_new (
        HYPHA_ERROR, HYPHA_ERROR_NOT_TRUSTED,
        _ ("Node %s refused the link: this node is not trusted there (hyphactl trust %s NAME, on "
           "that side), or is bound to other endpoints there (which its log tells)"),
        id, us);
  return g_error_new (HYPHA_ERROR, (int) rejections[code].error,
                      _ ("The node %s refused the link: %s"), id, _ (rejections[code].why));
}
