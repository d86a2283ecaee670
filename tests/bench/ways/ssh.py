# SPDX-License-Identifier: LGPL-2.1-or-later
"""ssh as people use it to get at a socket, through sshds of the bench's own."""

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
SERVER = """ListenAddress 127.0.0.1
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
CLIENT = """Host far middle
HostName 127.0.0.1
User {user}
IdentityFile {folder}/user
UserKnownHostsFile {folder}/known
IdentitiesOnly yes
IdentityAgent none
BatchMode yes
StrictHostKeyChecking accept-new
ExitOnForwardFailure yes
ControlPath none
Ciphers {cipher}
"""


class Sshd:
    """A server on CPU, and the configuration of a client to which it is the host `far`. COMMAND: all that it runs."""

    def __init__(self, stand, cpu, command=None):
        self.stand = stand
        self.folder = stand.make_folder()
        self.config = self.folder / "ssh_config"
        program = find_programs(stand)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", self.folder / key], check=True)
        words = {"folder": self.folder, "user": getpass.getuser(), "cipher": CIPHER}
        (self.folder / "sshd_config").write_text(SERVER.format(**words) + (f"ForceCommand {command}\n" if command else ""))
        port = free_port()
        self.config.write_text(CLIENT.format(**words) + f"Port {port}\n")
        try:
            self.process = stand.processes.start(cpu, program, "-D", "-e", "-f", self.folder / "sshd_config", "-p", port)
            wait_for(lambda: is_open(port), self.process, "sshd")
        except Failure as failure:
            raise Unavailable(str(failure)) from None


def find_programs(stand):
    """Where sshd is, with all that it takes."""
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not (sshd and shutil.which("ssh") and shutil.which("ssh-keygen")):
        raise Unavailable("ssh, ssh-keygen and sshd are not all installed")
    if os.geteuid() == 0 and not SEPARATION.exists():
        try:
            SEPARATION.mkdir(mode=0o755)
        except OSError as error:
            raise Unavailable(f"sshd needs {SEPARATION}, which cannot be made: {error.strerror}") from None
        stand.at_end.callback(remove_separation)
    return sshd


class Ssh(StreamWay):
    """A Unix socket forwarded, by a connection that lasts."""

    name = "ssh -L, aes128-gcm"
    middle_near = ["ssh"]
    middle_far = ["sshd"]

    def setup(self):
        self.servers = [Sshd(self.stand, self.far_cpu)]
        self.start()

    def start(self, *options):
        """Forwards to the first of the servers."""
        near = self.servers[0].folder / "near"
        client = self.stand.processes.start(self.near_cpu, "ssh", "-F", self.servers[0].config, "-N", *options, "-L",
                                            f"{near}:{self.receiver[1].removeprefix('unix:')}", "far")
        try:
            wait_until_listening(near, client)
        except Failure as failure:
            raise Unavailable(str(failure)) from None
        self.where = f"unix:{near}"
        self.processes = [client, *(server.process for server in self.servers)]

    def begin(self):
        return self.where, self.processes


class SshJump(Ssh):
    """Through another host, as `ssh -J` goes: its sshd leads on what it cannot read."""

    name = "ssh -J -L, aes128-gcm"
    middle_near = ["ssh", "ssh -W"]
    middle_far = ["sshd", "sshd"]

    def setup(self):
        far, middle = Sshd(self.stand, self.far_cpu), Sshd(self.stand, self.far_cpu)
        self.servers = [far, middle]
        jump = f"ProxyCommand=ssh -F {middle.config} -W 127.0.0.1:%p middle"  # which is what -J becomes
        self.start("-o", jump)


class SshSocat(StreamWay):
    """A program run on the other host, whose standard streams are the connection."""

    name = "ssh HOST socat, aes128-gcm"
    middle_near = ["socat", "ssh"]
    middle_far = ["sshd", "socat"]

    def setup(self):
        if not shutil.which("socat"):
            raise Unavailable("socat is not installed")
        self.server = Sshd(self.stand, self.far_cpu)
        self.near_socket = self.server.folder / "near"
        far = f"socat STDIO UNIX-CONNECT:{self.receiver[1].removeprefix('unix:')}"
        command = self.server.folder / "command"
        command.write_text(f"#!/bin/sh\nexec ssh -F {self.server.config} far '{far}'\n")
        command.chmod(0o700)
        self.client = self.stand.processes.start(self.near_cpu, "socat", f"UNIX-LISTEN:{self.near_socket},fork",
                                                 f"EXEC:{command}")
        wait_until_listening(self.near_socket, self.client)

    def begin(self):
        return f"unix:{self.near_socket}", [self.client, self.server.process]


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
