# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest of test-nested.py: its own small image, and QEMU to start it from within the machine. See guest.py."""

import glob
import os
import pathlib
import shlex

from image import Image, tool
from kernel import Missing

HERE = pathlib.Path(__file__).resolve().parent

# Where the machine finds the parts of its guest.
FOLDER = "/guest"

# And a guest without any of our programs, and without a library.
BARE = FOLDER + "/bare"

# Of the firmware that QEMU reads when it starts.
FIRMWARE = ("/usr/share/qemu/qboot.rom", "/usr/share/qemu/bios-microvm.bin", "/usr/share/qemu/kvmvapic.bin",
            "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/seabios/bios*.bin")


def begin(kernel):
    image = Image()
    image.busybox()
    image.modules(kernel, "/etc/modules", "virtio_mmio", "vmw_vsock_virtio_transport")
    image.file(HERE / "guest-init", "/init")
    return image


def build_bare(kernel, path):
    image = begin(kernel)
    image.text("/etc/environment", "")
    image.write(path)


def build(kernel, path, programs):
    image = begin(kernel)
    # Loaded by the test that is about a network beside vsock, and by no other.
    image.modules(kernel, "/etc/modules-net", "virtio_mmio", "virtio_net")
    # Likewise: by it the guest tells which of its ports are listened on.
    image.modules(kernel, "/etc/modules-diag", "tcp_diag")
    # Likewise: by it the guest's node reaches the guest's own programs.
    image.modules(kernel, "/etc/modules-loopback", "vsock_loopback")
    image.program_if_there("sshd")
    names = ("HYPHA_PLUGIN_PATH", "GSETTINGS_SCHEMA_DIR")
    image.text("/etc/environment", "".join(f"export {name}={shlex.quote(os.environ[name])}\n" for name in names))
    programs(image)
    image.write(path)


def put_into(image, kernel, work, programs):
    build(kernel, work / "guest", programs)
    image.file(work / "guest", FOLDER + "/initramfs")
    build_bare(kernel, work / "bare")
    image.file(work / "bare", BARE)
    image.file(kernel.image, FOLDER + "/kernel")
    image.program(tool("qemu-system-x86_64", "qemu-system-x86"), "qemu-system-x86_64")
    for pattern in FIRMWARE + ("/usr/lib/*/qemu/accel-tcg-x86_64.so",):
        found = [path for path in glob.glob(pattern) if os.path.exists(path)]
        if not found:
            raise Missing(f"there is no {pattern} (Debian: qemu-system-x86)")
        for path in found:
            if path.endswith(".so"):
                image.program(path)
            else:
                image.file(path)
