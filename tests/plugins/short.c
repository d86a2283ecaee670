/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

/* Begins as a plug-in does, and ends before its functions. */
extern const struct {
  guint32 magic;
  guint32 size;
  guint16 abi_major;
  guint16 abi_minor;
} hypha_plugin_short;

__attribute__ ((visibility ("default"))) const typeof (hypha_plugin_short) hypha_plugin_short = {
  .magic = HYPHA_PLUGIN_MAGIC,
  .size = sizeof (HyphaPlugin),
  .abi_major = HYPHA_PLUGIN_ABI_MAJOR,
  .abi_minor = HYPHA_PLUGIN_ABI_MINOR,
};
