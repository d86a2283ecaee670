#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures a stream through two daemons against the raw socket, socat and ssh -L, in one run. README.md says how to read it."""

import argparse
import collections
import contextlib
import getpass
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

DEADLINE = 120  # seconds for anything at all: a way that hangs is a failure, not a figure
PING_BYTES = 64


class Failure(Exception):
    """What a person has to know, without a stack trace."""


class Unavailable(Exception):
    """This way cannot be measured on this machine, and why."""


Measured = collections.namedtuple("Measured", "seconds cpu")


# ---- processes ----

class Processes:
    """Everything that was started here; ended by pid, the last one first."""

    def __init__(self, folder, near_cpu, far_cpu):
        self.folder = folder
        self.near_cpu = near_cpu
        self.far_cpu = far_cpu
        self.running = []
        self.logs = 0

    def start(self, cpu, *command, environment=None, **more):
        self.logs += 1
        log = self.folder / f"log-{self.logs}"
        with open(log, "wb") as sink:
            more.setdefault("stdin", subprocess.DEVNULL)
            more.setdefault("stdout", sink)
            # Away from the terminal's ctrl-C, so that all end in order.
            process = subprocess.Popen(["taskset", "-c", str(cpu), *map(str, command)], stderr=sink, env=environment,
                                       start_new_session=True, **more)
        process.log = log
        self.running.append(process)
        return process

    def end(self, process):
        """Ends PROCESS and what it has started, and returns its status."""
        if process not in self.running:
            return None
        if process.poll() is None:
            for pid in descendants(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        self.running.remove(process)
        return process.returncode

    def end_all(self):
        while self.running:
            self.end(self.running[-1])


def complain(process, what):
    text = process.log.read_text(errors="replace").strip()
    return Failure(f"{what}: {text or 'without a word'}")


def descendants(pid):
    """PID and all that it has started, as long as they run."""
    found = [pid]
    for one in found:
        for children in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def cpu_seconds(processes):
    """What all threads of PROCESSES and of their descendants have run so far."""
    total = 0
    for process in processes:
        for pid in descendants(process.pid):
            for thread in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(thread.read_text().split()[0])
    return total / 1e9


def wait_for(look, process, what):
    end = time.monotonic() + DEADLINE
    while not look():
        if process.poll() is not None:
            raise complain(process, f"there is no {what}")
        if time.monotonic() > end:
            raise Failure(f"there is no {what} after {DEADLINE} s")
        time.sleep(0.005)


def wait_until_listening(path, process):
    """The file is there before somebody listens on it, and to connect would use up the one connection that socat takes."""
    accepting = re.compile(rf"^\S+ \S+ \S+ 00010000 .* {re.escape(str(path))}$", re.MULTILINE)
    wait_for(lambda: accepting.search(pathlib.Path("/proc/net/unix").read_text()), process, f"listener on {path}")


# ---- the ways that bytes can take ----

class Way:
    """One row of the table: what lies between the two ends."""

    name = None
    near = []  # names of what runs beside the sender
    far = []

    def __init__(self, bench):
        self.bench = bench
        self.setup()

    def setup(self):
        """Starts what lasts."""

    def begin(self):
        """Before each run: returns where to connect to, and the processes that bytes go through besides the two ends."""
        raise NotImplementedError

    def finish(self):
        """After each run."""

    def layout(self):
        near, far = self.bench.processes.near_cpu, self.bench.processes.far_cpu
        return f"{near}: {' + '.join(['sender', *self.near])}; {far}: {' + '.join([*self.far, 'receiver'])}"


class RawUnix(Way):
    name = "raw Unix socket"

    def begin(self):
        return f"unix:{self.bench.unix}", [self.bench.unix_end]


class RawTcp(Way):
    name = "raw TCP, loopback"

    def begin(self):
        return self.bench.tcp, [self.bench.tcp_end]


class Hypha(Way):
    near = ["hyphad"]
    far = ["hyphad"]
    endpoint = None
    encrypted = None

    def setup(self):
        folder = self.bench.folder / type(self).__name__
        folder.mkdir()
        self.far_node = Node(self.bench, folder / "far", self.bench.processes.far_cpu,
                             f"services={{'sink': {{'target': <'unix://{self.bench.unix}'>}}}}\n", self.endpoint(folder))
        self.near_node = Node(self.bench, folder / "near", self.bench.processes.near_cpu, "")
        self.far_node.ctl("trust", self.near_node.id, "near")
        self.near_node.ctl("trust", self.far_node.id, "far")
        listening = self.far_node.ctl("status")["listening"]
        self.near_node.ctl("connect", listening[0])
        links = self.near_node.ctl("links")
        if [link["encrypted"] for link in links] != [self.encrypted]:
            raise Failure(f"{self.name}: the links are not what they should be: {links}")

    def begin(self):
        where = f"hypha:{self.near_node.address};/org/hypha/Node1/peer/{self.far_node.id};sink"
        return where, [self.near_node.process, self.far_node.process, self.bench.unix_end]


class HyphaUnix(Hypha):
    name = "hypha, Unix link"
    encrypted = False

    def endpoint(self, folder):
        return f"unix://{folder}/link"


class HyphaTls(Hypha):
    name = "hypha, TCP link with TLS"
    encrypted = True

    def endpoint(self, folder):
        return "tcp://127.0.0.1:0"


class Socat(Way):
    name = "2 x socat, chained"
    near = ["socat"]
    far = ["socat"]

    def setup(self):
        if not shutil.which("socat"):
            raise Unavailable("socat is not installed")
        self.running = []

    def begin(self):
        processes = self.bench.processes
        first, second = self.bench.folder / "socat-near", self.bench.folder / "socat-far"
        self.running = [processes.start(processes.far_cpu, "socat", f"UNIX-LISTEN:{second}",
                                        f"UNIX-CONNECT:{self.bench.unix}")]
        wait_until_listening(second, self.running[0])
        self.running.append(processes.start(processes.near_cpu, "socat", f"UNIX-LISTEN:{first}", f"UNIX-CONNECT:{second}"))
        wait_until_listening(first, self.running[1])
        return f"unix:{first}", [*self.running, self.bench.unix_end]

    def finish(self):
        for process in self.running:
            self.bench.processes.end(process)
        for name in ("socat-near", "socat-far"):
            (self.bench.folder / name).unlink(missing_ok=True)


class Ssh(Way):
    name = "ssh -L"
    near = ["ssh"]
    far = ["sshd"]
    SEPARATION = pathlib.Path("/run/sshd")
    CONFIG = """ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
AllowUsers {user}
"""
    OPTIONS = ["IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes", "StrictHostKeyChecking=accept-new",
               "ExitOnForwardFailure=yes", "ControlPath=none"]

    def setup(self):
        self.folder = self.bench.folder / "ssh"
        self.folder.mkdir()
        self.sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not (self.sshd and shutil.which("ssh") and shutil.which("ssh-keygen")):
            raise Unavailable("ssh, ssh-keygen and sshd are not all installed")
        if os.geteuid() == 0 and not self.SEPARATION.exists():
            try:
                self.SEPARATION.mkdir(mode=0o755)
            except OSError as error:
                raise Unavailable(f"sshd needs {self.SEPARATION}, which cannot be made: {error.strerror}") from None
            self.bench.at_end.callback(self.remove_separation)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", self.folder / key], check=True)
        (self.folder / "sshd_config").write_text(self.CONFIG.format(folder=self.folder, user=getpass.getuser()))
        try:
            self.connect()
        except Failure as failure:
            raise Unavailable(str(failure)) from None

    def remove_separation(self):
        with contextlib.suppress(OSError):
            self.SEPARATION.rmdir()

    def connect(self):
        processes = self.bench.processes
        port = free_port()
        self.server = processes.start(processes.far_cpu, self.sshd, "-D", "-e", "-f", self.folder / "sshd_config", "-p", port)
        wait_for(lambda: is_open(port), self.server, "sshd")
        options = [word for option in [*self.OPTIONS, f"UserKnownHostsFile={self.folder}/known"] for word in ("-o", option)]
        self.client = processes.start(processes.near_cpu, "ssh", "-F", "none", "-N", "-i", self.folder / "user", *options,
                                      "-L", f"{self.folder}/near:{self.bench.unix}", "-p", port,
                                      f"{getpass.getuser()}@127.0.0.1")
        wait_until_listening(self.folder / "near", self.client)

    def begin(self):
        return f"unix:{self.folder}/near", [self.client, self.server, self.bench.unix_end]


def free_port():
    """A port that was free a moment ago: sshd does not let the kernel choose."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_open(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


class Node:
    """A hyphad with a bus and directories of its own."""

    BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
      "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig><type>session</type><listen>unix:path={path}</listen><policy context="default">
      <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
    </policy></busconfig>"""

    def __init__(self, bench, folder, cpu, config, listen=None):
        folder.mkdir(mode=0o700)
        self.bench = bench
        self.address = f"unix:path={folder}/bus"
        (folder / "bus.conf").write_text(self.BUS.format(path=folder / "bus"))
        bus = bench.processes.start(cpu, "dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile")
        wait_until_listening(folder / "bus", bus)
        self.environment = dict(os.environ, HOME=str(folder), XDG_STATE_HOME=str(folder), XDG_CONFIG_HOME=str(folder),
                                XDG_DATA_HOME=str(folder), XDG_RUNTIME_DIR=str(folder), LC_ALL="C.UTF-8",
                                GSETTINGS_SCHEMA_DIR=str(bench.build / "schemas"), GSETTINGS_BACKEND="memory",
                                HYPHA_PLUGIN_PATH=":".join(str(bench.build / "plugins" / name) for name in ("tcp", "unix")),
                                NOTIFY_SOCKET=str(folder / "notify"))
        (folder / "node.conf").write_text("[org/hypha/node]\n" + config)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(folder / "notify"))
            notify.setblocking(False)
            self.process = bench.processes.start(
                cpu, bench.build / "core/daemon/hyphad", "--address", self.address, "--config", folder / "node.conf",
                "--identity", folder / "identity.pem", *(["--listen", listen] if listen else []),
                environment=self.environment)
            wait_for(lambda: is_ready(notify), self.process, "hyphad")
        self.id = self.ctl("id")["id"]

    def ctl(self, *words):
        done = subprocess.run([self.bench.build / "core/ctl/hyphactl", "--address", self.address, *words, "--json"],
                              env=self.environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
        if done.returncode != 0:
            raise Failure(f"hyphactl {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout else None


def is_ready(notify):
    with contextlib.suppress(BlockingIOError):
        return b"READY=1" in notify.recv(4096).split(b"\n")
    return False


WAYS = [RawUnix, RawTcp, HyphaUnix, HyphaTls, Socat, Ssh]


# ---- measuring ----

class Bench:
    def __init__(self, build, folder, at_end, cpus):
        self.build = build
        self.folder = folder
        self.at_end = at_end
        self.processes = Processes(folder, *cpus)
        at_end.callback(self.processes.end_all)
        self.pipe = build / "tests/bench/bench-pipe"
        self.unix = folder / "sink"
        self.unix_end, _ = self.serve(f"unix:{self.unix}")
        self.tcp_end, self.tcp = self.serve("tcp:0")

    def serve(self, where):
        process = self.processes.start(self.processes.far_cpu, self.pipe, "serve", where, stdout=subprocess.PIPE, text=True)
        bound = process.stdout.readline().strip()
        if not bound:
            raise complain(process, "the receiver did not start")
        return process, bound

    def run(self, way, *words):
        """One measurement: the time that the near end reports, and the CPU time of all processes meanwhile."""
        try:
            where, middle = way.begin()
            near = self.processes.start(self.processes.near_cpu, self.pipe, words[0], where, *words[1:], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                self.line(near, way)
                before = cpu_seconds([near, *middle])
                near.stdin.write("go\n")
                near.stdin.flush()
                seconds = float(self.line(near, way))
                return Measured(seconds, cpu_seconds([near, *middle]) - before)
            finally:
                self.processes.end(near)
        finally:
            way.finish()

    @staticmethod
    def line(near, way):
        signal.alarm(DEADLINE)
        line = near.stdout.readline()
        signal.alarm(0)
        if not line:
            near.wait()
            raise complain(near, way.name)
        return line


def make_ways(bench, only):
    ways, absent = [], []
    for kind in WAYS:
        if kind is not RawUnix and not any(word in kind.name for word in only):
            continue
        try:
            ways.append(kind(bench))
        except Unavailable as reason:
            absent.append((kind.name, str(reason)))
    return ways, absent


def measure(bench, ways, options):
    """Round by round, each way in turn, so that what disturbs the machine disturbs all alike."""
    through = {way.name: [] for way in ways}
    trips = {way.name: [] for way in ways}
    for number in range(1, options.rounds + 1):
        for way in ways:
            through[way.name].append(bench.run(way, "send", options.megabytes * 1_000_000))
            trips[way.name].append(bench.run(way, "ping", PING_BYTES, options.pings))
        say(f"round {number} of {options.rounds}")
    return through, trips


# ---- the report ----

def say(text):
    print(text, file=sys.stderr, flush=True)


def spread(values, form):
    return f"{form(statistics.median(values))} ({form(min(values))}-{form(max(values))})"


def ratio(mine, base):
    """The median of the rounds' own ratios: each compares what ran within the same few seconds."""
    return f"{statistics.median(a / b for a, b in zip(mine, base)):.2f}" if base else "-"


def rows(ways, through, trips, megabytes):
    rate = {name: [megabytes / run.seconds for run in runs] for name, runs in through.items()}
    trip = {name: [run.seconds * 1e6 for run in runs] for name, runs in trips.items()}
    raw, socat = RawUnix.name, Socat.name
    for way in ways:
        mine = rate[way.name]
        cpu = [run.cpu * 1000 / megabytes for run in through[way.name]]
        yield [way.name, spread(mine, "{:.0f}".format), ratio(mine, rate[raw]), ratio(mine, rate.get(socat)),
               f"{statistics.median(cpu):.2f}", spread(trip[way.name], "{:.1f}".format), ratio(trip[way.name], trip[raw]),
               way.layout()]


HEADINGS = ["way", "MB/s (min-max)", "x raw", "x socat", "CPU s/GB", f"{PING_BYTES} B trip, us (min-max)", "x raw",
            "CPU: processes"]


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:-1], widths[1:])), line[-1]]
        print("  ".join(cells).rstrip())


def version(*command):
    """The line in which a program says what it is."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return f"no {command[0]}"
    found = re.search(r"^.*(?:version|SSH|hypha).*$", done.stdout + done.stderr, re.MULTILINE)
    return found[0].strip() if found else "?"


def cpu_model():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def buildtype(build):
    with contextlib.suppress(OSError, ValueError):
        options = json.loads((build / "meson-info/intro-buildoptions.json").read_text())
        chosen = {option["name"]: option["value"] for option in options}
        return f"buildtype {chosen['buildtype']}, sanitizers {chosen['b_sanitize']}"
    return "unknown buildtype"


def print_machine(bench):
    print(f"machine  {cpu_model()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, load before "
          f"{os.getloadavg()[0]:.1f}")
    print(f"hypha    {version(bench.build / 'core/daemon/hyphad', '--version')}, {buildtype(bench.build)}")
    print(f"others   {version('socat', '-V')}; {version('ssh', '-V')}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=lambda text: pathlib.Path(text).resolve(), help="a build directory")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=512, help="10^6 bytes through each way in each round")
    parser.add_argument("--pings", type=int, default=2000, help="round trips through each way in each round")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="only ways whose name has one of these in it")
    options = parser.parse_args()
    if min(options.rounds, options.megabytes, options.pings) < 1:
        parser.error("nothing can be measured with less than 1")
    return options


def two_cpus():
    """The near end's and the far end's: as if they were two machines with a core each."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[min(1, len(allowed) - 1)]


def on_alarm(*_):
    raise Failure(f"nothing came for {DEADLINE} s")


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGALRM, on_alarm)
    with contextlib.ExitStack() as at_end:
        # Short: the path of a socket has at most 107 characters.
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hypha-bench-"))
        at_end.callback(shutil.rmtree, folder)
        bench = Bench(options.build, folder, at_end, two_cpus())
        print_machine(bench)
        ways, absent = make_ways(bench, options.only)
        through, trips = measure(bench, ways, options)
        print(f"medians of {options.rounds} rounds, {options.megabytes} MB and {options.pings} round trips in each\n")
        print_table([HEADINGS, *rows(ways, through, trips, options.megabytes)])
        for name, reason in absent:
            print(f"not measured: {name}: {reason}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
