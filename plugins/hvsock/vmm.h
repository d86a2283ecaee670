/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests: the vsock of a machine as its VMM gives it to the host, with a guest in which every
 * port leads straight back to the host's: what comes for port N goes on to the socket of port N. */

#include <glib.h>

G_BEGIN_DECLS

/* What they differ in, as far as a host can tell. */
typedef enum {
  VMM_FIRECRACKER,      /* OK and a port of the host, of ten digits; end-of-file ends both ways */
  VMM_CLOUD_HYPERVISOR, /* OK and a port of the host, from 2^30 on; end-of-file ends both ways */
  VMM_VHOST_DEVICE,     /* OK and the guest's port; what comes before OK is lost */
} VmmKind;

typedef enum {
  VMM_GOOD,
  VMM_SILENT,    /* no answer: the guest's driver is not up */
  VMM_HANGS_UP,  /* a bare close: nobody listens, or the guest is not up */
  VMM_SPLITS,    /* the answer comes byte by byte */
  VMM_HURRIES,   /* what the guest says first comes along with the answer */
  VMM_MUMBLES,   /* an answer that is none */
  VMM_PADS,      /* one with a NUL in it */
  VMM_RAMBLES,   /* an answer without an end */
  VMM_BREAKS_OFF /* half an answer, then a close */
} VmmFault;

#define VMM_GREETING "hello from the guest\n"

typedef struct _Vmm Vmm;

/* Listens on PATH until it is freed. */
Vmm *vmm_new (const char *path, VmmKind kind);
void vmm_free (Vmm *self);
/* The next TIMES who ask get this; others are served well. */
void vmm_set_fault (Vmm *self, VmmFault fault, guint times);
/* How many have asked so far, and how many of them said anything but one CONNECT line in one piece
 * before they had their answer. */
guint vmm_count_asked (Vmm *self);
guint vmm_count_rude (Vmm *self);
/* Snapshot and restore: every connection is reset, the socket stays. */
void vmm_reset_all (Vmm *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Vmm, vmm_free)

G_END_DECLS
