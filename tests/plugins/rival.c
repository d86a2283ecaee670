/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

/* Claims the scheme of "good", with no better right to it. */
HYPHA_DEFINE_PLUGIN (rival, "rival", "1.0", "A rival of good", "LGPL-2.1-or-later", 0,
                     fixture_create);
