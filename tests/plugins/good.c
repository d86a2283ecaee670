/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

/* As it ought to be. */
HYPHA_DEFINE_PLUGIN (good, "good", "1.0", "A good plug-in", "LGPL-2.1-or-later", 0, fixture_create);
