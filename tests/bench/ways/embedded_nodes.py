# SPDX-License-Identifier: LGPL-2.1-or-later
"""What programs of the bench need that hold nodes themselves."""

import os

from node import plugin_path


def environment(stand):
    """With the transports of this build."""
    return {**os.environ, "HYPHA_PLUGIN_PATH": plugin_path(stand)}


def cpus(way):
    """All of the way's layout, for one program that has threads at both ends."""
    return ",".join(str(cpu) for cpu in sorted({way.near_cpu, way.far_cpu}))
