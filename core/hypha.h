/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For programs: everything public but what only plug-ins need. */

#include "hypha-api.h"
#include "hypha-client.h"
#include "hypha-dial.h"
#include "hypha-json-channel.h"
#include "hypha-node.h"
