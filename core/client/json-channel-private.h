/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "client/json-input.h"
#include "client/json-lane.h"
#include "hypha-channel.h"
#include "hypha-json-channel.h"

G_BEGIN_DECLS

struct _HyphaJsonChannel {
  GObject parent_instance;

  GIOStream *stream;
  GIOStream *moved;     /* STREAM, or what is pumped to and from it; nullable */
  HyphaChannel *pumped; /* nullable; the pump */
  gboolean may_keep;    /* MOVED may keep bytes of which it said that it would block */
  guint max_size;

  HyphaJsonLane out;
  HyphaJsonLane in;
  HyphaJsonInput input;
};

extern const HyphaJsonLaneFuncs hypha_json_out_funcs;
extern const HyphaJsonLaneFuncs hypha_json_in_funcs;

G_END_DECLS
