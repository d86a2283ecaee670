/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What programs and plug-ins have in common; they include hypha.h and hypha-plugin.h. */

#include "hypha-macros.h"
#include "hypha-error.h"
#include "hypha-node-id.h"
#include "hypha-endpoint.h"
#include "hypha-channel.h"
#include "hypha-listener.h"
#include "hypha-transport.h"
#include "hypha-stream.h"
#include "hypha-peer.h"
#include "hypha-peers.h"
