#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The completion, as bash, zsh and fish have it: what is offered, and what is put into the command line."""

import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys

from fake import HERE, HYPHACTL, LAPTOP, STRANGER, WEB, FakeCase
from harness import DEADLINE, main, wait_for

SCRIPTS = HERE.parent.parent / "data" / "completions"
BASH_COMPLETION = pathlib.Path("/usr/share/bash-completion/bash_completion")
VERBS = ["connect", "disconnect", "explain", "monitor", "pair", "status", "trust"]
SECRET = "t$(touch${IFS}gone)x"


class Completions(FakeCase):
    def shell(self):
        """A folder whose hyphactl asks the fake node, and writes down what it is run with."""
        fake = self.scene()
        self.place_here = fake.place
        folder = fake.place.private / "bin"
        folder.mkdir()
        script = folder / "hyphactl"
        script.write_text(f"""#!/bin/sh
if [ "$1" = complete ]; then
  exec '{HYPHACTL}' --address '{fake.place.address}' "$@"
fi
printf '%s\\n' "$@" >'{folder}/run.part'
mv '{folder}/run.part' '{folder}/run'
""")
        script.chmod(0o755)
        self.ran = folder / "run"
        self.environment = {**fake.place.environment, "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "$ "}
        return fake

    def output(self, *words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE, env=self.environment,
                              cwd=self.place_here.private)
        return done.stdout

    def test_shell_does_not_wait_for_a_node_that_is_stuck(self):
        fake = self.scene()
        os.kill(fake.process.pid, signal.SIGSTOP)
        try:
            done = subprocess.run([HYPHACTL, "--address", fake.place.address, "complete", "config", "get", ""], capture_output=True,
                                  text=True, env=fake.place.environment, timeout=DEADLINE / 2)
        finally:
            os.kill(fake.process.pid, signal.SIGCONT)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def type(self, setup, keys, command, done):
        """KEYS are typed into an interactive shell; what it shows, when DONE holds."""
        pid, leader = pty.fork()
        if pid == 0:
            os.chdir(self.place_here.private)
            os.execvpe(command[0], command, self.environment)
        seen = b""

        def look():
            nonlocal seen
            while select.select([leader], [], [], 0.02)[0]:
                try:
                    more = os.read(leader, 65536)
                except OSError:
                    return True
                seen += more
                if not more:
                    return True
            return False
        try:
            os.write(leader, setup.encode() + b"echo RE''ADY\r")
            wait_for(lambda: look() or b"\nREADY" in seen, f"a shell that is ready: {seen}")
            del_before = len(seen)
            os.write(leader, keys.encode())
            wait_for(lambda: look() or done(seen[del_before:].decode(errors="replace")), f"what was wanted of {command[0]}")
            return seen[del_before:].decode(errors="replace")
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(leader)

    def arguments(self):
        return self.ran.read_text().splitlines() if self.ran.exists() else None

    # What is offered is the same everywhere.

    def hold_offers(self, offers):
        self.assertTrue(set(VERBS) <= set(offers("hyphactl ")), offers("hyphactl "))
        self.assertNotIn("complete", offers("hyphactl "))
        self.assertEqual(offers("hyphactl sta"), ["status"])
        self.assertEqual(sorted(offers("hyphactl explain ")), sorted(["web1", "Läptöp-電腦", STRANGER]))
        self.assertEqual(sorted(offers("hyphactl trust 5")), [STRANGER])
        self.assertEqual(sorted(offers("hyphactl trust ")), sorted([WEB, LAPTOP, STRANGER]))
        self.assertEqual(sorted(offers("hyphactl open web1 ")), ["discard", "echo", "ssh", "vsock:"])
        self.assertEqual(offers("hyphactl open web1 echo "), [])
        self.assertEqual(sorted(offers("hyphactl connect ")), ["tcp:", "vsock:"])
        self.assertEqual(sorted(offers("hyphactl wait web1 --state ")),
                         ["connecting", "offline", "online", "pending", "suspect"])
        self.assertEqual(sorted(offers("hyphactl wait --s")), ["--state", "--system"])
        self.assertEqual(offers("hyphactl pair --y"), ["--yes-if"])
        self.assertEqual(sorted(offers("hyphactl config ")), ["get", "list", "reset", "set"])
        self.assertEqual(sorted(offers("hyphactl config get ")), ["listen", "name"])
        self.assertEqual(offers("hyphactl config get name "), [])
        self.assertIn("web1", offers("hyphactl mirror "))
        self.assertEqual(sorted(offers("hyphactl forward ")), ["add", "list", "remove"])
        self.assertEqual(sorted(offers("hyphactl forward add ")), ["tcp:", "vsock:"])
        self.assertEqual(offers("hyphactl forward add tcp://127.0.0.1:0 we"), ["web1"])
        self.assertEqual(offers("hyphactl forward add tcp://127.0.0.1:0 se"), ["self"])
        self.assertEqual(offers("hyphactl ping se"), [])
        self.assertEqual(offers("hyphactl forward add tcp://127.0.0.1:0 web1 ec"), ["echo"])
        # As many as one likes.
        for before in ("", "tcp://127.0.0.1:22 ", "a b c "):
            self.assertEqual(sorted(offers(f"hyphactl forward remove {before}t")), ["tcp://127.0.0.1:22", "tcp://127.0.0.1:8080", "tcp://127.0.0.1:9000"])
        self.assertEqual(offers("hyphactl forward nonsense "), [])
        self.assertEqual(sorted(offers("hyphactl plugin ")), ["check", "new"])
        # The value of an option is no argument.
        self.assertEqual(offers("hyphactl open --timeout 5 web1 ec"), ["echo"])
        self.assertEqual(offers("hyphactl open -t 5 web1 ec"), ["echo"])
        self.assertEqual(offers("hyphactl --color ne"), ["never"])
        self.assertEqual(offers("hyphactl --color never --json expl"), ["explain"])
        self.assertEqual(offers("hyphactl nonsense "), [])
        (self.place_here.private / "some.pem").touch()
        self.assertEqual(offers("hyphactl guest-config --identity so"), ["some.pem"])
        for before in ("", "some.pem ", "a b c "):
            self.assertEqual(offers(f"hyphactl cp {before}we"), ["web1:"])
            self.assertEqual(offers(f"hyphactl cp {before}so"), ["some.pem"])

    def bash_offers(self, line):
        words = line.split(" ")
        return self.output("bash", "--norc", "-c", f"""
            . {BASH_COMPLETION}; . '{SCRIPTS}/hyphactl.bash'
            compopt () {{ :; }}
            COMP_LINE=$0 COMP_POINT=${{#0}} COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _hyphactl
            printf '%s\\n' "${{COMPREPLY[@]}}" """, line, *words).split()

    def test_bash(self):
        if not (shutil.which("bash") and BASH_COMPLETION.exists()):
            self.skipTest("there is no bash with completion (package bash-completion)")
        self.shell()
        self.hold_offers(self.bash_offers)

    def test_bash_at_a_prompt(self):
        if not (shutil.which("bash") and BASH_COMPLETION.exists()):
            self.skipTest("there is no bash with completion (package bash-completion)")
        fake = self.shell()
        setup = f". {BASH_COMPLETION}; . '{SCRIPTS}/hyphactl.bash'\r"
        command = ["bash", "--norc", "--noprofile", "-i"]
        self.type(setup, "hyphactl expl\twe\t\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["explain", "web1"])
        self.ran.unlink()
        # No space behind the beginning of an endpoint.
        self.type(setup, "hyphactl connect tc\t//192.0.2.7:1\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["connect", "tcp://192.0.2.7:1"])
        self.ran.unlink()
        fake.add_peer(LAPTOP[::-1], SECRET, "online", Trusted="true")
        self.type(setup, "hyphactl explain t\t\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["explain", SECRET])
        self.assertFalse((self.place_here.private / "gone").exists())

    def test_zsh_at_a_prompt(self):
        if not shutil.which("zsh"):
            self.skipTest("there is no zsh")
        fake = self.shell()
        setup = f"fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -u -D; setopt no_beep no_list_ambiguous\r"
        command = ["zsh", "-f", "-i"]
        self.type(setup, "hyphactl expl\twe\t\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["explain", "web1"])
        self.ran.unlink()
        self.type(setup, "hyphactl connect tc\t//192.0.2.7:1\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["connect", "tcp://192.0.2.7:1"])
        self.ran.unlink()
        fake.add_peer(LAPTOP[::-1], SECRET, "online", Trusted="true")
        self.type(setup, "hyphactl explain t\t\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["explain", SECRET])
        shown = self.type(setup, "hyphactl open web1 \t", command, lambda seen: "ssh" in seen)
        for word in ("echo", "discard", "what is sent comes back"):
            self.assertIn(word, shown)
        (self.place_here.private / "some.pem").touch()
        self.ran.unlink()
        self.type(setup, "hyphactl guest-config --identity so\t\r", command, lambda seen: self.ran.exists())
        self.assertEqual(self.arguments(), ["guest-config", "--identity", "some.pem"])

    def test_fish(self):
        if not shutil.which("fish"):
            self.skipTest("there is no fish")
        self.shell()

        def offers(line):
            out = self.output("fish", "--no-config", "-c", f"source '{SCRIPTS}/hyphactl.fish'; complete -C $argv[1]", line)
            return [offer.split("\t")[0] for offer in out.splitlines()]
        self.hold_offers(offers)

    def test_without_a_node_verbs_and_options_are_offered(self):
        place = self.place()
        done = place.ctl("complete", "wai")
        self.assertEqual(done.stdout.split("\t")[0], "wait")
        self.assertIn("--node", place.ctl("complete", "wait", "--").stdout)
        done = place.ctl("complete", "explain", "")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    sys.exit(main())
