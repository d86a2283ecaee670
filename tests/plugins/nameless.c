/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

HYPHA_DEFINE_PLUGIN (nameless, NULL, "1.0", "No name", "LGPL-2.1-or-later", 0, fixture_create);
