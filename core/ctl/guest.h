/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

G_BEGIN_DECLS

/* A virtual machine of this host that is to have a node: its name and key, which are trusted here,
 * and what its node has to be told. */
typedef struct {
  HyphaCtl *ctl;
  HyphaDBusNode1 *node;
  char *name;
  char *identity; /* path of its key */
  gint64 cid;     /* HYPHA_GUEST_ANY_CID: not told */
  int port;       /* where this node listens */
  gboolean exec;  /* this node may run commands there */
  char *scheme;   /* of what leads to guests */
  char *id;
  gboolean fresh; /* the key is new, and of no use to anybody if the guest is not trusted */
} HyphaGuest;

/* No number that somebody may give, not even 0, which is a machine's own. */
#define HYPHA_GUEST_ANY_CID G_MININT64
#define HYPHA_GUEST_INIT(CTL)                              \
  {                                                        \
    .ctl = (CTL), .cid = HYPHA_GUEST_ANY_CID, .port = 4974 \
  }
/* For a table of GOptionEntry. */
#define HYPHA_GUEST_OPTIONS(guest)                                                                 \
  {                                                                                                \
    "name", 'n', 0, G_OPTION_ARG_STRING, &(guest)->name, N_ ("How to call the guest"), N_ ("NAME") \
  },                                                                                               \
      { "cid",                                                                                     \
        0,                                                                                         \
        0,                                                                                         \
        G_OPTION_ARG_INT64,                                                                        \
        &(guest)->cid,                                                                             \
        N_ ("Take the guest in only from the virtual machine with this CID"),                      \
        N_ ("CID") },                                                                              \
      { "listen-port",                                                                             \
        0,                                                                                         \
        0,                                                                                         \
        G_OPTION_ARG_INT,                                                                          \
        &(guest)->port,                                                                            \
        N_ ("Where this node listens, for the guest to dial (4974)"),                              \
        N_ ("PORT") },                                                                             \
      { "exec",                                                                                    \
        0,                                                                                         \
        0,                                                                                         \
        G_OPTION_ARG_NONE,                                                                         \
        &(guest)->exec,                                                                            \
        N_ ("Let this node run commands in the guest"),                                            \
        NULL },                                                                                    \
  {                                                                                                \
    "identity", 'i', 0, G_OPTION_ARG_FILENAME, &(guest)->identity,                                 \
        N_ ("Where to put the guest's key; one that is there is taken"), N_ ("FILE")               \
  }

gboolean hypha_guest_check (HyphaGuest *self, GError **error); /* the options */
/* Makes its key. */
gboolean hypha_guest_make (HyphaGuest *self, GError **error);
/* Once there is all that it needs. */
gboolean hypha_guest_trust (HyphaGuest *self, GError **error);
char *hypha_guest_make_config (HyphaGuest *self);
/* To people, not into the output: if this node does not listen where the guest dials. */
void hypha_guest_tell_where_to_listen (HyphaGuest *self);
void hypha_guest_clear (HyphaGuest *self);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HyphaGuest, hypha_guest_clear)

G_END_DECLS
