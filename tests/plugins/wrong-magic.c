/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include <stdlib.h>

extern const HyphaPlugin hypha_plugin_wrong_magic;
__attribute__ ((visibility ("default"))) const HyphaPlugin hypha_plugin_wrong_magic = {
  .magic = 0xdeadbeef,
  .size = sizeof (HyphaPlugin),
  .abi_major = HYPHA_PLUGIN_ABI_MAJOR,
  .abi_minor = HYPHA_PLUGIN_ABI_MINOR,
  .name = "wrong-magic",
  .version = "1.0",
  .create = fixture_create,
};

/* Nothing of it may run. */
__attribute__ ((constructor)) static void
constructor (void)
{
  abort ();
}
