# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hyphad of the bench's own."""

import contextlib
import json
import os
import socket
import subprocess

from processes import DEADLINE, Failure, wait_for, wait_until_listening

USUAL = ("plugins/tcp", "plugins/unix")  # where the transports of most tables are, in the build


class Node:
    """A hyphad on CPU with a bus and directories of its own; CONFIG are lines of its key file, PLUGINS the folders
    of its transports, MORE what is in its environment besides."""

    BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
      "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig><type>session</type><listen>unix:path={path}</listen><policy context="default">
      <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
    </policy></busconfig>"""

    def __init__(self, stand, cpu, config="", listen=None, plugins=USUAL, more=None):
        self.build = stand.build
        folder = stand.make_folder()
        self.address = f"unix:path={folder}/bus"
        (folder / "bus.conf").write_text(self.BUS.format(path=folder / "bus"))
        bus = stand.processes.start(cpu, "dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile")
        wait_until_listening(folder / "bus", bus)
        self.environment = {**environment(stand, folder, plugins), **(more or {})}
        self.file = folder / "node.conf"
        self.configure(config)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(folder / "notify"))
            notify.setblocking(False)
            self.process = stand.processes.start(
                cpu, stand.build / "core/daemon/hyphad", "--address", self.address, "--config", self.file,
                "--identity", folder / "identity.pem", *(["--listen", listen] if listen else []),
                environment=dict(self.environment, NOTIFY_SOCKET=str(folder / "notify")))
            wait_for(lambda: is_ready(notify), self.process, "hyphad")
        self.id = self.ctl("id")["id"]

    def configure(self, config):
        """Puts other lines into its key file, which a hyphad that runs sees by itself."""
        new = self.file.with_suffix(".new")
        new.write_text("[org/hypha/node]\n" + config)
        new.rename(self.file)

    def ctl(self, *words):
        """What hyphactl WORDS --json prints, parsed."""
        done = subprocess.run([self.build / "core/ctl/hyphactl", "--address", self.address, *words, "--json"],
                              env=self.environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
        if done.returncode != 0:
            raise Failure(f"hyphactl {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout else None


def plugin_path(stand, plugins=USUAL):
    """Where those PLUGINS of this build are."""
    return ":".join(str(stand.build / folder) for folder in plugins)


def environment(stand, folder, plugins=USUAL):
    """What a program of this build needs to run out of it, with FOLDER for its home."""
    return dict(os.environ, HOME=str(folder), XDG_STATE_HOME=str(folder), XDG_CONFIG_HOME=str(folder),
                XDG_DATA_HOME=str(folder), XDG_RUNTIME_DIR=str(folder), LC_ALL="C.UTF-8",
                GSETTINGS_SCHEMA_DIR=str(stand.build / "schemas"), GSETTINGS_BACKEND="memory",
                HYPHA_PLUGIN_PATH=plugin_path(stand, plugins))


def is_ready(notify):
    with contextlib.suppress(BlockingIOError):
        return b"READY=1" in notify.recv(4096).split(b"\n")
    return False
