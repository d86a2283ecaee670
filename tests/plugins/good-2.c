/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

/* Another version of "good". */
HYPHA_DEFINE_PLUGIN (good, "good", "2.0", "A good plug-in", "LGPL-2.1-or-later", 0, fixture_create);
