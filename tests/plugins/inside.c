/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <stdlib.h>

/* Has the name of one that the test has built in: nothing of it may run. */
__attribute__ ((constructor)) static void
constructor (void)
{
  abort ();
}

HYPHA_DEFINE_PLUGIN (inside, "inside", "2.0", "The same from a file", "LGPL-2.1-or-later", 0,
                     fixture_create);
