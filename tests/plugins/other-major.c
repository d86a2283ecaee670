/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <stdlib.h>

extern const HyphaPlugin hypha_plugin_other_major;
__attribute__ ((visibility ("default"))) const HyphaPlugin hypha_plugin_other_major = {
  .magic = HYPHA_PLUGIN_MAGIC,
  .size = sizeof (HyphaPlugin),
  .abi_major = HYPHA_PLUGIN_ABI_MAJOR + 1,
  .abi_minor = 0,
  .name = "other-major",
  .version = "1.0",
  .create = fixture_create,
};

/* Nothing of it may run. */
__attribute__ ((constructor)) static void
constructor (void)
{
  abort ();
}
