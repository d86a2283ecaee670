# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of whole programs share: private buses, nodes in folders of their own, and TAP.

Where the programs are is told by the environment (see meson.build). Nothing here knows a fixed port, and nothing sleeps to
give something else time: it waits for what it wants to see, until a deadline that only a broken program meets.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

HYPHAD = os.environ["HYPHAD"]
HYPHACTL = os.environ["HYPHACTL"]
DEADLINE = 30 * float(os.environ.get("MESON_TEST_TIMEOUT_MULTIPLIER", "1"))
NAME = "org.hypha.Node1"
ROOT = "/org/hypha/Node1"
# No name holds them: separators, bidi overrides and isolates, joiners, what is private or not assigned.
UNSEEN = ("\u2028", "a\u2029b", "a\u202eb", "a\u2066b", "a\u200db", "a\u200bb", "a\u00a0b", "a\u00adb", "\ufeffa", "\ue000", "\u0378")


def wait_for(look, what, deadline=DEADLINE):
    """Looks again and again until there is something true, and returns it."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"there never was {what}")
        time.sleep(0.01)


class Place:
    """A folder with a message bus: everything that one node has for itself."""

    BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
      "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
    <busconfig>
      <type>session</type>
      <listen>unix:path={path}</listen>
      <policy context="default">
        <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
      </policy>
    </busconfig>"""

    def __init__(self):
        # Short: the path of a socket has at most 107 characters.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="hypha-"))
        self.private = self.path / "private"
        self.private.mkdir(mode=0o700)
        self.path.chmod(0o755)
        self.address = f"unix:path={self.path}/bus"
        self.which = ["--address", self.address]
        self.nodes = []
        self.processes = []
        config = self.path / "bus.conf"
        config.write_text(self.BUS.format(path=self.path / "bus"))
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"],
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if not self.bus.stdout.readline():
            raise AssertionError("dbus-daemon did not start")
        self.environment = dict(os.environ, HOME=str(self.private), XDG_STATE_HOME=str(self.private / "state"),
                                XDG_CONFIG_HOME=str(self.private / "config"), XDG_DATA_HOME=str(self.private / "data"),
                                XDG_RUNTIME_DIR=str(self.private), LC_ALL="C.UTF-8", GSETTINGS_BACKEND="keyfile",
                                DBUS_SESSION_BUS_ADDRESS=self.address)
        self.environment.pop("DBUS_SYSTEM_BUS_ADDRESS", None)
        self.environment.pop("NOTIFY_SOCKET", None)

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        for node in self.nodes:
            node.kill()
        self.bus.terminate()
        self.bus.wait()
        self.bus.stdout.close()
        shutil.rmtree(self.path)

    def hyphad(self, *arguments, **more):
        """Runs hyphad to its end."""
        return subprocess.run([HYPHAD, *arguments], env=self.environment, capture_output=True, text=True, timeout=DEADLINE,
                              **more)

    def ctl(self, *arguments, **more):
        """Runs hyphactl on this bus to its end."""
        more.setdefault("text", True)
        return subprocess.run([HYPHACTL, "--address", self.address, *arguments], env=self.environment, capture_output=True,
                              timeout=DEADLINE, **more)

    def start_ctl(self, *arguments, **more):
        process = subprocess.Popen([HYPHACTL, "--address", self.address, *arguments], env=self.environment, **more)
        self.processes.append(process)
        return process

    def call(self, path, method, *arguments, **more):
        """Calls a method as a foreign program would; arguments are GVariant texts."""
        return subprocess.run(["gdbus", "call", "--address", self.address, "--dest", NAME, "--object-path", path, "--method",
                               method, "--timeout", "20", "--", *arguments],
                              env=self.environment, capture_output=True, text=True, timeout=DEADLINE, **more)


class Node:
    """A hyphad in a place of its own, that is ready."""

    def __init__(self, place, *arguments, config=None, ready=True, runner=(), **popen):
        """RUNNER: words that go before hyphad's, of a program that becomes hyphad."""
        self.place = place
        place.nodes.append(self)
        self.log_path = place.path / f"log-{len(place.nodes)}"
        command = [*runner, HYPHAD, *place.which, *arguments]
        if config is not None:
            self.config = place.private / "node.conf"
            if not self.config.exists() or config:
                self.config.write_text("[org/hypha/node]\n" + config)
            command += ["--config", str(self.config)]
        notify = place.path / f"notify-{len(place.nodes)}"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(notify))
        self.notify.setblocking(False)
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(command, env=dict(place.environment, NOTIFY_SOCKET=str(notify)), stderr=log,
                                            stdout=log, stdin=subprocess.DEVNULL, **popen)
        if ready:
            wait_for(self.is_ready, f"READY of {command}:\n{self.log()}")

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"hyphad ended with {self.process.returncode}:\n{self.log()}")
        return "READY=1" in self.told()

    def told(self):
        """The lines of the next message to the service manager; none if there is none."""
        try:
            return self.notify.recv(4096).decode().split("\n")
        except BlockingIOError:
            return []

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern):
        return wait_for(lambda: re.search(pattern, self.log()), f"'{pattern}' in the log")

    def stop(self, number=signal.SIGTERM):
        """Ends it as an administrator does; the exit status has to be 0."""
        self.process.send_signal(number)
        status = self.process.wait(DEADLINE)
        self.notify.close()
        if status != 0:
            raise AssertionError(f"hyphad ended with {status}:\n{self.log()}")
        return self.check_log()

    def check_log(self):
        if re.search(r"CRITICAL|Sanitizer|runtime error", self.log()):
            raise AssertionError(f"hyphad complains of itself:\n{self.log()}")

    def kill(self):
        self.notify.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.check_log()

    # What people ask it.

    def ctl(self, *arguments, **more):
        return self.place.ctl(*arguments, **more)

    def ask(self, *arguments):
        """A verb that has to succeed; its JSON."""
        done = self.place.ctl(*arguments, "--json")
        if done.returncode != 0:
            raise AssertionError(f"hyphactl {arguments}: {done.stderr}\n{self.log()}")
        return json.loads(done.stdout) if done.stdout else None

    def do(self, *arguments):
        done = self.place.ctl(*arguments)
        if done.returncode != 0:
            raise AssertionError(f"hyphactl {arguments}: {done.stderr}\n{self.log()}")
        return done.stdout

    def id(self):
        return self.ask("id")["id"]

    def listening(self, scheme):
        return [e for e in self.ask("status")["listening"] if e.startswith(scheme + ":")][0]

    def peer(self, name):
        return next((p for p in self.ask("peers") if p["name"] == name), None)

    def wait_peer(self, name, **wanted):
        def look():
            peer = self.peer(name)
            return peer if peer and all(peer[key] == value for key, value in wanted.items()) else None
        return wait_for(look, f"a peer {name} with {wanted}")

    def call(self, *arguments, **more):
        return self.place.call(*arguments, **more)


def trust_each_other(a, b, name_of_a="alpha", name_of_b="beta"):
    a.do("trust", b.id(), name_of_b)
    b.do("trust", a.id(), name_of_a)


def connect_to(endpoint):
    """A socket, by which a program reaches a forward."""
    scheme, rest = endpoint.split("?")[0].split("://")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(DEADLINE)
        connection.connect(rest)
        return connection
    host, port = rest.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=DEADLINE)


def too_long(number, frame):
    raise AssertionError("the test hangs")


class Case(unittest.TestCase):
    """A test with places that go away afterwards."""

    patience = 3 * DEADLINE  # for one test

    def run(self, result=None):
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(int(self.patience))
        super().run(result)
        signal.alarm(0)

    def place(self):
        place = Place()
        self.addCleanup(place.close)
        return place

    def node(self, *arguments, **more):
        return Node(self.place(), *arguments, **more)

    def stop_all(self, *nodes):
        """Stops those that a test has not."""
        for node in nodes:
            if node.process.poll() is None:
                node.stop()

    def assert_fails(self, done, status, *words):
        """It said no, and said why."""
        self.assertEqual(done.returncode, status, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.parts_failed = []

    def say(self, good, test, comment=""):
        self.number += 1
        print(f"{'ok' if good else 'not ok'} {self.number} - {test.id().split('.', 1)[-1]}{comment}", flush=True)

    def fail(self, test, error):
        """Why goes to stderr: that is what meson prints of a test that has failed."""
        self.say(False, test)
        traceback.print_exception(*error)

    def addSuccess(self, test):
        self.say(True, test)

    def addSkip(self, test, reason):
        self.say(True, test, f" # SKIP {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.fail(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.fail(test, error)

    def addSubTest(self, test, subtest, error):
        """A test whose parts fail is neither a success nor a failure to unittest: the first of them is told."""
        super().addSubTest(test, subtest, error)
        if error is not None and test not in self.parts_failed:
            self.parts_failed.append(test)
            self.fail(test, error)


def main():
    """Runs what the command line names. Without names, all but the class Deadline: that one sits out deadlines which a program
    has, and is run by itself, beside the others."""
    module = sys.modules["__main__"]
    names = sys.argv[1:] or [name for name, value in vars(module).items()
                             if isinstance(value, type) and issubclass(value, unittest.TestCase) and name != "Deadline"]
    tests = unittest.defaultTestLoader.loadTestsFromNames(names, module)
    print(f"1..{tests.countTestCases()}", flush=True)
    result = Tap()
    tests.run(result)
    return 0 if result.wasSuccessful() else 1
