/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For programs: everything public but what only plug-ins need. */

#include "hypha-macros.h"
#include "hypha-error.h"
#include "hypha-node-id.h"
#include "hypha-endpoint.h"
#include "hypha-channel.h"
#include "hypha-listener.h"
#include "hypha-transport.h"
#include "hypha-stream.h"
#include "hypha-peer.h"
