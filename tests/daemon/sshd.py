# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real sshd of the user's own, with keys and a configuration that nobody else uses."""

import contextlib
import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import threading

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
SEPARATION = pathlib.Path("/run/sshd")
CONFIG = """HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
AllowUsers {user}
"""


def why_not():
    """What this machine lacks; None: nothing."""
    if not (SSHD and shutil.which("ssh") and shutil.which("ssh-keygen")):
        return "ssh, ssh-keygen and sshd are not all installed"
    if os.geteuid() == 0:
        try:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            return f"sshd needs {SEPARATION}, which cannot be made: {error.strerror}"
    return None


WHY_NOT = why_not()


class Sshd:
    """One for each connection, as a service manager starts it: to a Unix socket, or with TCP to a port of 127.0.0.1."""

    def __init__(self, folder, tcp=False, more=""):
        """MORE: lines for its configuration."""
        self.folder = folder
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", folder / key], check=True)
        (folder / "sshd_config").write_text(CONFIG.format(folder=folder, user=getpass.getuser()) + more)
        self.path = folder / "ssh.sock"
        self.listening = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.listening.bind(("127.0.0.1", 0) if tcp else str(self.path))
        self.listening.listen()
        self.port = self.listening.getsockname()[1] if tcp else None
        self.processes = []
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                with connection, open(self.folder / "sshd.log", "a") as log:
                    self.processes.append(subprocess.Popen([SSHD, "-i", "-e", "-f", self.folder / "sshd_config"], stdin=connection,
                                                           stdout=connection, stderr=log))

    def close(self):
        if self.listening.fileno() < 0:
            return
        self.listening.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listening.close()
        for process in self.processes:
            process.kill()
            process.wait()
