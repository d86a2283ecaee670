# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Unix socket forwarded by ssh -L, through an sshd of the bench's own."""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess

from processes import Failure, Unavailable, wait_for, wait_until_listening
from ways.stream import StreamWay

SEPARATION = pathlib.Path("/run/sshd")
CIPHER = "aes128-gcm@openssh.com"
CONFIG = """ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
AllowUsers {user}
Ciphers {cipher}
"""
OPTIONS = ["IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes", "StrictHostKeyChecking=accept-new",
           "ExitOnForwardFailure=yes", "ControlPath=none", f"Ciphers={CIPHER}"]


class Ssh(StreamWay):
    name = "ssh -L, aes128-gcm"
    middle_near = ["ssh"]
    middle_far = ["sshd"]

    def setup(self):
        self.folder = self.stand.make_folder()
        self.sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not (self.sshd and shutil.which("ssh") and shutil.which("ssh-keygen")):
            raise Unavailable("ssh, ssh-keygen and sshd are not all installed")
        if os.geteuid() == 0 and not SEPARATION.exists():
            try:
                SEPARATION.mkdir(mode=0o755)
            except OSError as error:
                raise Unavailable(f"sshd needs {SEPARATION}, which cannot be made: {error.strerror}") from None
            self.stand.at_end.callback(remove_separation)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", self.folder / key], check=True)
        config = CONFIG.format(folder=self.folder, user=getpass.getuser(), cipher=CIPHER)
        (self.folder / "sshd_config").write_text(config)
        try:
            self.connect()
        except Failure as failure:
            raise Unavailable(str(failure)) from None

    def connect(self):
        processes = self.stand.processes
        port = free_port()
        self.server = processes.start(self.far_cpu, self.sshd, "-D", "-e", "-f", self.folder / "sshd_config", "-p", port)
        wait_for(lambda: is_open(port), self.server, "sshd")
        options = [word for option in [*OPTIONS, f"UserKnownHostsFile={self.folder}/known"] for word in ("-o", option)]
        self.client = processes.start(self.near_cpu, "ssh", "-F", "none", "-N", "-i", self.folder / "user", *options, "-L",
                                      f"{self.folder}/near:{self.receiver[1].removeprefix('unix:')}", "-p", port,
                                      f"{getpass.getuser()}@127.0.0.1")
        wait_until_listening(self.folder / "near", self.client)

    def begin(self):
        return f"unix:{self.folder}/near", [self.client, self.server]


def remove_separation():
    with contextlib.suppress(OSError):
        SEPARATION.rmdir()


def free_port():
    """A port that was free a moment ago: sshd does not let the kernel choose."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
