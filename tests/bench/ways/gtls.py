# SPDX-License-Identifier: LGPL-2.1-or-later
"""ngtcp2's own client and server, which Debian has with GnuTLS: a file comes over HTTP/3."""

import contextlib
import resource
import shutil
import socket
import subprocess
import time

from processes import DEADLINE, Failure, Unavailable, cpu_seconds, wait_for
from way import Way

MEGA = 1_000_000
QUIET = ["--quiet", "--no-http-dump", "--no-quic-dump"]


class Download:
    """Server, client, and a file of SIZE zeros in FOLDER. The server has it in memory."""

    def __init__(self, folder, size, host):
        self.folder, self.host = folder, host
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                        "/CN=bench", "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        with open(folder / "file", "wb") as file:
            file.truncate(size)
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        # It does not let the kernel choose, so this one was free a moment ago.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((host, 0))
            self.port = one.getsockname()[1]

    @staticmethod
    def check():
        for program, package in (("gtlsclient", "ngtcp2-client"), ("gtlsserver", "ngtcp2-server"), ("openssl", "openssl")):
            if not shutil.which(program):
                raise Unavailable(f"{program} is not installed ({package})")

    def server(self, *options):
        return ["gtlsserver", *QUIET, "--htdocs", self.folder, *options, self.host, self.port, self.key, self.certificate]

    def client(self, *options):
        return ["gtlsclient", *QUIET, "--exit-on-all-streams-close", *options, self.host, self.port, f"https://{self.host}/file"]

    def is_serving(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((self.host, self.port))
            return False
        return True


class Gtls(Way):
    """The client throws away what comes. They have no round trip to measure, and the clock runs from the client's start, its
    handshake included: some hundredths of a second."""

    name = "gtlsclient and gtlsserver, a download"
    near = ["gtlsclient"]
    far = ["gtlsserver"]
    times = 1

    def setup(self):
        Download.check()
        self.megabytes = self.stand.options.megabytes * self.times
        self.download = Download(self.stand.make_folder(), round(self.megabytes * MEGA), "127.0.0.1")
        self.server = self.stand.processes.start(self.far_cpu, *self.download.server())
        wait_for(self.download.is_serving, self.server, "gtlsserver")

    def measure(self):
        served = cpu_seconds([self.server])
        start = time.monotonic()
        client = self.stand.processes.start(self.near_cpu, *self.download.client())
        used = finish(client)
        took = time.monotonic() - start
        status = self.stand.processes.end(client)
        if status != 0:
            raise Failure(f"gtlsclient ended with {status}: {client.log.read_text(errors='replace')[-500:]}")
        return {"rate": self.megabytes / took, "cpu": (used + cpu_seconds([self.server]) - served) * 1000 / self.megabytes}


def finish(process):
    """Waits until PROCESS has ended: its CPU time, which nobody could look up any more."""
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        raise Failure(f"{process.args} ran for {DEADLINE} s") from None
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before
