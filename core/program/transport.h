/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>
#include "program/manifest.h"

G_BEGIN_DECLS

/* A transport that is a program: starts it when it is asked, and again when it has ended. Signal:
 * changed, when probe would answer otherwise. */
#define HYPHA_TYPE_PROGRAM_TRANSPORT (hypha_program_transport_get_type ())
G_DECLARE_FINAL_TYPE (HyphaProgramTransport, hypha_program_transport, HYPHA, PROGRAM_TRANSPORT,
                      HyphaBaseTransport)

HyphaTransport *hypha_program_transport_new (HyphaProgramManifest *manifest);
void hypha_program_transport_rest (HyphaProgramTransport *self);
/* 0: it does not run. */
int hypha_program_transport_get_pid (HyphaProgramTransport *self);
gboolean hypha_program_transport_is_answering (HyphaProgramTransport *self);

G_END_DECLS
