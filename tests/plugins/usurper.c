/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

/* Claims the scheme of "good", and goes before it. */
HYPHA_DEFINE_PLUGIN (usurper, "usurper", "1.0", "Better than good", "LGPL-2.1-or-later", 10,
                     fixture_create);
