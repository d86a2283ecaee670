/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <hypha-plugin.h>

G_BEGIN_DECLS

/* A listener that a program holds. CLOSED is told once, when it is closed by whoever has it. */
#define HYPHA_TYPE_PROGRAM_LISTENER (hypha_program_listener_get_type ())
G_DECLARE_FINAL_TYPE (HyphaProgramListener, hypha_program_listener, HYPHA, PROGRAM_LISTENER,
                      HyphaListener)

typedef void (*HyphaProgramListenerClosed) (HyphaProgramListener *self, gpointer user_data);

HyphaProgramListener *hypha_program_listener_new (HyphaEndpoint *bound, guint64 number,
                                                  HyphaProgramListenerClosed closed,
                                                  gpointer user_data);
guint64 hypha_program_listener_get_number (HyphaProgramListener *self);
void hypha_program_listener_take (HyphaProgramListener *self, HyphaChannel *channel);
void hypha_program_listener_fail (HyphaProgramListener *self, const GError *error);
void hypha_program_listener_forget (HyphaProgramListener *self);

G_END_DECLS
