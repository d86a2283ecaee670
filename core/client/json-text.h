/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the programs, which know no other room. */
#include "api/json-text.h"
