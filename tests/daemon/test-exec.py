#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hypha-agent and hyphactl exec: commands on another node, over real links."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pwd
import re
import select
import signal
import struct
import subprocess
import sys
import termios

from agent import AGENT, Agent
from harness import DEADLINE, Case, Node, main, trust_each_other, wait_for

# What is said over the stream: core/client/exec-words.h.
REQUEST, INPUT, INPUT_END, RESIZE, SIGNAL = range(1, 6)
FAILED = 21
ON = "services={'exec': {'peers': <['beta']>}}\n"


class Exec(Case):
    """alpha has an agent, beta has commands run."""

    config = ON

    def setUp(self):
        place = self.place()
        self.alpha = Node(place, "--listen", "tcp://127.0.0.1:0", config=self.config)
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.alpha.listening("tcp"))
        self.agent = Agent(self.alpha, ready=self.config == ON)

    def tearDown(self):
        if self.agent.process.poll() is None:
            self.agent.stop()
        for node in (self.beta, self.alpha):
            node.stop()

    def run_there(self, *words, **more):
        more.setdefault("stdin", subprocess.DEVNULL) if "input" not in more else None
        return self.beta.ctl("exec", *words, **more)

    def start(self, *words, **more):
        more = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) | more
        return self.beta.place.start_ctl("exec", *words, **more)

    def assert_prints(self, printed, *words, **more):
        done = self.run_there(*words, **more)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, printed, ""), self.agent.log())


class Commands(Exec):
    def test_arguments_arrive_as_they_are_and_no_shell_looks_at_them(self):
        self.assert_prints(subprocess.run(["uname", "-a"], capture_output=True, text=True).stdout, "alpha", "--", "uname", "-a")
        odd = ["", "$HOME", "a b", "*", "-x", "--", "'\"\\", "\u00fc\U0001f600\u2028", "\n"]
        self.assert_prints("".join(f"[{word}]" for word in odd), "alpha", "printf", "[%s]", *odd)

    def test_status_is_that_of_the_command(self):
        for status in (0, 1, 2, 42, 255):
            self.assertEqual(self.run_there("alpha", "sh", "-c", f"exit {status}").returncode, status)
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            done = self.run_there("alpha", "sh", "-c", f"kill -{int(number)} $$")
            self.assertEqual((done.returncode, done.stderr), (128 + number, ""))

    def test_input_and_output_are_whole_both_ways(self):
        data = os.urandom(8 << 20)
        done = self.run_there("alpha", "cat", input=data, text=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(hashlib.sha256(done.stdout).digest(), hashlib.sha256(data).digest())
        done = self.run_there("alpha", "sha256sum", input=data, text=False)
        self.assertEqual(done.stdout.split()[0].decode(), hashlib.sha256(data).hexdigest())

    def test_standard_error_comes_apart(self):
        done = self.run_there("alpha", "sh", "-c", "seq 20000; seq 20000 | tr 0-9 a-j >&2; exit 3")
        numbers = "".join(f"{n}\n" for n in range(1, 20001))
        self.assertEqual(done.returncode, 3)
        self.assertTrue(done.stdout == numbers and done.stderr == numbers.translate(str.maketrans("0123456789", "abcdefghij")))

    def test_environment_is_clean_but_for_what_was_asked(self):
        done = self.run_there("--env", "A=1=2", "--env", "EMPTY=", "--env", "PATH=/nowhere:/usr/bin:/bin", "alpha", "env")
        env = dict(line.split("=", 1) for line in done.stdout.splitlines())
        self.assertEqual((env["A"], env["EMPTY"], env["PATH"], env["HYPHA_PEER"]),
                         ("1=2", "", "/nowhere:/usr/bin:/bin", self.beta.id()))
        self.assertLessEqual(env.keys(), {"A", "EMPTY", "PATH", "HYPHA_PEER", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ"})
        self.assert_fails(self.run_there("--env", "=x", "alpha", "env"), 255, "--env =x", "NAME=VALUE")

    def test_directory(self):
        self.assert_prints("/usr/bin\n", "--cwd", "/usr/bin", "alpha", "pwd")
        self.assert_fails(self.run_there("--cwd", "/nowhere/at/all", "alpha", "pwd"), 255, "/nowhere/at/all", "No such file")
        home = os.path.realpath(pwd.getpwuid(os.geteuid()).pw_dir)
        self.assert_prints(os.path.dirname(home) + "\n", "--cwd", "..", "alpha", "pwd", "-P")

    def test_shell_only_if_asked(self):
        self.assert_prints("a b\n", "--env", "X=b", "--shell", "alpha", "echo a", "$X")
        self.assert_prints("$X | cat\n", "alpha", "echo", "$X | cat")

    def test_command_that_is_not_there_leaves_the_input_to_the_next(self):
        done = self.run_there("alpha", "no-such-command-here")
        self.assert_fails(done, 127, "no-such-command-here", "no such command")
        self.assert_fails(self.run_there("alpha", "/etc/passwd"), 126, "/etc/passwd", "Permission denied")
        read, write = os.pipe()
        os.write(write, b"for the next")
        os.close(write)
        self.assertEqual(self.run_there("alpha", "no-such-command-here", stdin=read).returncode, 127)
        self.assertEqual(os.read(read, 100), b"for the next")
        os.close(read)

    def test_closed_standard_streams(self):
        script = '"$0" --address "$1" exec alpha sh -c "cat; echo out" <&-'
        done = subprocess.run(["sh", "-c", script, os.environ["HYPHACTL"], self.beta.place.address],
                              env=self.beta.place.environment, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "out\n", ""))

    def test_reader_that_has_seen_enough_ends_it(self):
        command = self.start("alpha", "yes")
        self.assertEqual(command.stdout.read(2), b"y\n")
        command.stdout.close()
        self.assertEqual(command.wait(DEADLINE), -signal.SIGPIPE)
        wait_for(lambda: not self.agent.children(), "the end of yes")

    def test_reader_that_is_slow_holds_the_command_up(self):
        command = self.start("alpha", "sh", "-c", "yes | head -c 33554432; echo done >&2")
        self.assertEqual(command.stdout.read(2), b"y\n")
        # What is under way lies in bounded places, so the command waits: what it would say then is not there.
        waiting = lambda: self.beta.ask("streams")[0]["received"]
        wait_for(lambda: waiting() > 65536, "output under way")
        self.assertFalse(select.select([command.stderr], [], [], 0.5)[0])
        self.assertLess(waiting(), 16 << 20)
        rest = command.communicate(timeout=DEADLINE)
        self.assertEqual((len(rest[0]), rest[1], command.returncode), (33554432 - 2, b"done\n", 0))

    def test_nothing_of_the_agent_is_left_in_the_command(self):
        done = self.run_there("alpha", "sh", "-c", "ls -l /proc/$$/fd; grep Sig /proc/self/status; ps -o pid=,pgid=,sid= -p $$")
        fds = re.findall(r" (\d+) -> (\S+)", done.stdout)
        self.assertEqual([(fd, path.split(":")[0]) for fd, path in fds], [("0", "pipe"), ("1", "pipe"), ("2", "pipe")])
        for mask in ("SigBlk", "SigIgn"):
            self.assertRegex(done.stdout, mask + r":\s+0+\n")
        self.assertEqual(len(set(done.stdout.splitlines()[-1].split())), 1, done.stdout)

    def test_usage_is_told_with_255(self):
        for words, why in ((["alpha"], "COMMAND is missing"), ([], "PEER is missing"), (["--nonsense", "alpha", "true"], "nonsense"),
                           (["-t", "-T", "alpha", "true"], "exclude"), (["nobody", "true"], "'nobody'"),
                           (["alpha", "--"], "COMMAND is missing"), (["alpha", "x" * 70000], "too long")):
            self.assert_fails(self.run_there(*words), 255, why)

    def test_as_another_user(self):
        if os.geteuid() != 0:
            self.assert_fails(self.run_there("-l", "root", "alpha", "id"), 255, "cannot become user root", "root")
            return
        done = self.run_there("--login", "nobody", "--cwd", "/", "alpha", "sh", "-c", "id -u; id -G; echo $USER $HOME; cat /etc/shadow")
        expected = subprocess.run(["sh", "-c", "id -u nobody; id -G nobody"], capture_output=True, text=True).stdout
        self.assertTrue(done.stdout.startswith(expected + "nobody "), done.stdout)
        self.assertIn("Permission denied", done.stderr)
        self.assert_fails(self.run_there("-l", "no-such-user", "alpha", "id"), 255, "no user 'no-such-user'")
        done = self.run_there("-l", "nobody", "alpha", "sh", "-c", "cat /dev/stdin >/dev/stdout; echo err >/dev/stderr", input="in")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "in", "err\n"))


class Ends(Exec):
    def ready(self, *words, **more):
        """A command that said that it is there."""
        command = self.start(*words, **more)
        self.assertEqual(command.stdout.read(6), b"ready\n")
        return command

    TRAP = "trap 'echo got %s; exit 7' %s; echo ready; while :; do sleep 0.05; done"

    def test_signals_reach_the_command(self):
        for name in ("INT", "TERM", "HUP", "QUIT"):
            number = getattr(signal, "SIG" + name)
            # What these tests were started with ignored, as in the background of a shell, would stay so.
            command = self.ready("alpha", "sh", "-c", self.TRAP % (name, name),
                                 preexec_fn=lambda number=number: signal.signal(number, signal.SIG_DFL))
            command.send_signal(number)
            # A shell may tell that its sleep was killed, too: the signal goes to the whole group.
            self.assertEqual(command.communicate(timeout=DEADLINE)[0], f"got {name}\n".encode())
            self.assertEqual(command.returncode, 7)

    def test_signal_overtakes_input_that_nobody_reads(self):
        with open("/dev/zero", "rb") as zero:
            command = self.ready("alpha", "sh", "-c", "echo ready; exec sleep 1000", stdin=zero)
        wait_for(lambda: self.beta.ask("streams")[0]["sent"] > 65536, "input under way")
        command.terminate()
        self.assertEqual(command.wait(DEADLINE), 128 + signal.SIGTERM)

    def test_caller_that_is_killed_ends_the_command(self):
        # What ignores the first word gets the last one.
        command = self.ready("alpha", "sh", "-c", "trap '' HUP; echo ready; sleep 1000; sleep 1000")
        command.kill()
        command.wait()
        self.agent.wait_log("given up by the caller")
        wait_for(lambda: not self.agent.children(), "the end of the command")

    def test_end_of_the_session_ends_the_command(self):
        command = self.ready("alpha", "sh", "-c", "echo ready; exec sleep 1000")
        self.beta.do("disconnect", "alpha")
        _, said = command.communicate(timeout=DEADLINE)
        self.assertEqual((command.returncode, b"ended" in said), (255, True), said)
        wait_for(lambda: not self.agent.children(), "the end of the command")

    def test_what_goes_on_behind_a_command_that_exited_is_left_alone(self):
        done = self.run_there("alpha", "sh", "-c", "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!")
        pid = int(done.stdout)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        self.assertEqual(self.run_there("alpha", "true").returncode, 0)
        self.assertIn("sleep", pathlib.Path(f"/proc/{pid}/cmdline").read_text())

    def test_agent_that_dies_is_an_error(self):
        command = self.ready("alpha", "sh", "-c", "echo ready; exec sleep 1000")
        [child] = self.agent.children()
        self.agent.process.kill()
        _, said = command.communicate(timeout=DEADLINE)
        self.assertEqual((command.returncode, b"not known" in said), (255, True), said)
        wait_for(lambda: not pathlib.Path(f"/proc/{child}").exists(), "the end of the command")
        self.agent.process.wait()
        # The next one serves.
        self.agent = Agent(self.alpha)
        self.assert_prints("x\n", "alpha", "echo", "x")

    def test_agent_that_is_asked_to_end_says_so(self):
        command = self.ready("alpha", "sh", "-c", "echo ready; exec sleep 1000")
        self.agent.stop()
        _, said = command.communicate(timeout=DEADLINE)
        self.assertEqual((command.returncode, b"asked to end" in said), (255, True), said)

    def test_no_more_than_64_at_once(self):
        many = [self.start("alpha", "sh", "-c", "echo ready; exec sleep 1000", stdin=subprocess.DEVNULL) for _ in range(64)]
        for one in many:
            self.assertEqual(one.stdout.read(6), b"ready\n")
        self.assert_fails(self.run_there("alpha", "true"), 255, "64 commands")
        for one in many:
            one.terminate()
        self.assertEqual({one.wait(DEADLINE) for one in many}, {128 + signal.SIGTERM})
        self.assertEqual(self.run_there("alpha", "true").returncode, 0)

    def test_node_that_comes_back_is_served_again(self):
        self.alpha.stop()
        endpoint = f"unix://{self.alpha.place.private}/again"
        self.alpha = Node(self.alpha.place, "--listen", endpoint, config="")
        self.agent.wait_log("service 'exec' is on", times=2)
        self.beta.do("connect", endpoint)
        self.assert_prints("x\n", "alpha", "echo", "x")


class Links(Case):
    """The link goes in the middle."""

    def test_command_outlives_its_link_and_runs_once(self):
        runner = [os.environ["SEVER"], "--allow"]
        place = self.place()
        alpha = Node(place, "--listen", "tcp://127.0.0.1:0", config=ON, runner=runner)
        beta = Node(self.place(), runner=runner)
        trust_each_other(alpha, beta)
        endpoint = alpha.listening("tcp")
        beta.do("connect", endpoint)
        agent = Agent(alpha)
        counter = place.path / "counter"
        script = f"echo once >> {counter}; while read line; do echo $line; test $line = end && exit 5; done"
        command = beta.place.start_ctl("exec", "alpha", "sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        for round in (b"a\n", b"b\n", b"c\n", b"end\n"):
            command.stdin.write(round)
            self.assertEqual(command.stdout.read(len(round)), round)
            if round == b"end\n":
                break
            gone = {link["path"] for link in beta.ask("links")}
            done = subprocess.run([runner[0], str(beta.process.pid), f":{endpoint.rsplit(':', 1)[1]}:"], capture_output=True, text=True)
            if "ptrace" in done.stderr:
                self.skipTest(done.stderr.strip())
            self.assertEqual(done.returncode, 0, done.stderr)
            wait_for(lambda: not gone & {link["path"] for link in beta.ask("links")}, "the end of the link")
            self.assertIsNone(command.poll())
            beta.ctl("connect", endpoint)
        self.assertEqual(command.wait(DEADLINE), 5)
        self.assertEqual(counter.read_text(), "once\n")
        agent.stop()


class Terminals(Exec):
    def on_terminal(self, *words, **more):
        """hyphactl on a terminal of its own, the end that somebody types at, and that terminal."""
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        process = self.beta.place.start_ctl("exec", *words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        return process, ours, theirs

    def read_until(self, fd, text):
        shown = b""
        while text not in shown:
            if not select.select([fd], [], [], DEADLINE)[0]:
                raise AssertionError(f"{text} is not in {shown}")
            shown += os.read(fd, 4096)
        return shown

    def test_without_being_asked_there_is_none(self):
        process, ours, _ = self.on_terminal("alpha", "sh", "-c", "tty; test -t 1 || echo none")
        self.read_until(ours, b"none")
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_command_has_a_terminal_of_this_size_and_what_is_typed(self):
        process, ours, theirs = self.on_terminal("-t", "alpha", "sh", "-c", "stty size; echo $TERM; tty; read x; echo got $x >&2; exit 9")
        before = termios.tcgetattr(theirs)
        shown = self.read_until(ours, b"/dev/pts/")
        self.assertIn(b"33 111\r\n", shown)
        os.write(ours, b"wor\x7frd\r")
        self.read_until(ours, b"got word\r\n")
        self.assertEqual(process.wait(DEADLINE), 9)
        self.assertEqual(termios.tcgetattr(theirs), before)

    def test_keys_are_signals_there_and_not_here(self):
        process, ours, theirs = self.on_terminal("-t", "alpha", "sh", "-c", "echo ready; exec sleep 1000")
        before = termios.tcgetattr(theirs)
        self.read_until(ours, b"ready")
        os.write(ours, b"\x03")
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGINT)
        self.assertEqual(termios.tcgetattr(theirs), before)

    def test_tilde_and_dot_give_up_what_does_not_answer(self):
        process, ours, theirs = self.on_terminal("-t", "alpha", "sh", "-c", "trap '' INT HUP TERM; echo ready; read x; echo got $x; echo $$; exec sleep 1000")
        before = termios.tcgetattr(theirs)
        self.read_until(ours, b"ready")
        os.write(ours, b"a~.\r")
        shown = self.read_until(ours, b"got a~.")
        os.write(ours, b"~.")
        self.read_until(ours, b"given up")
        self.assertEqual(process.wait(DEADLINE), 255)
        self.assertEqual(termios.tcgetattr(theirs), before)

    def test_change_of_the_size_is_told(self):
        process, ours, theirs = self.on_terminal("-t", "alpha", "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
        self.read_until(ours, b"ready")
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
        self.read_until(ours, b"44 99")
        os.write(ours, b"\x1c")
        self.assertEqual(process.wait(DEADLINE), 128 + signal.SIGQUIT)

    def test_job_in_the_background_does_not_hold_the_terminal(self):
        process, ours, _ = self.on_terminal("-t", "alpha", "bash", "-ic", "sleep 1000 & echo $!; seq 30000; echo last words; exit 4")
        shown = self.read_until(ours, b"last words")
        self.assertEqual(process.wait(DEADLINE), 4)
        self.assertIn(b"30000", shown)
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(re.search(rb"(?m)^(\d+)\r$", shown)[1]), signal.SIGKILL)

    def test_terminal_is_as_it_was_when_the_agent_dies(self):
        process, ours, theirs = self.on_terminal("-t", "alpha", "sh", "-c", "echo ready; exec sleep 1000")
        before = termios.tcgetattr(theirs)
        self.read_until(ours, b"ready")
        self.assertNotEqual(termios.tcgetattr(theirs), before)
        self.agent.process.kill()
        self.agent.process.wait()
        self.assertEqual(process.wait(DEADLINE), 255)
        self.assertEqual(termios.tcgetattr(theirs), before)

    def test_terminal_for_a_caller_that_has_none(self):
        done = self.run_there("-t", "alpha", "sh", "-c", "stty size; cat", input="typed\n")
        # What is typed is shown, perhaps before the command says anything.
        self.assertEqual((done.returncode, sorted(done.stdout.split("\n"))), (0, ["", "24 80", "typed", "typed"]))

    def test_input_that_ends_within_a_line_ends_for_the_command_too(self):
        done = self.run_there("-t", "alpha", "sh", "-c", "stty -echo; echo; cat", input="typed")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.endswith("typed"), done)


class Settings(Exec):
    config = ""

    def test_off_until_the_settings_name_it_and_its_peers(self):
        self.agent.wait_log("'exec' is off, until")
        self.assert_fails(self.run_there("alpha", "true"), 255, "exec", "hypha-agent has to run there")
        # An entry that names nobody would be open to every trusted peer.
        self.alpha.do("config", "set", "services", "{'exec': @a{sv} {}}")
        self.assert_fails(self.run_there("alpha", "true"), 255, "exec")
        self.alpha.do("config", "set", "services", "{'exec': {'peers': <['gamma']>}}")
        self.agent.wait_log("'exec' is on")
        self.assert_fails(self.run_there("alpha", "true"), 255, "exec")
        self.alpha.do("config", "set", "services", "{'exec': {'peers': <['gamma', 'beta']>}}")
        self.assert_prints("x\n", "alpha", "echo", "x")
        self.alpha.do("config", "reset", "services")
        self.agent.wait_log("'exec' is off\n")
        self.assert_fails(self.run_there("alpha", "true"), 255, "exec")

    def test_stream_that_comes_before_the_agent_could_say_that_it_is_off_is_refused(self):
        self.alpha.do("config", "set", "services", "{'exec': {'peers': <['gamma']>}}")
        self.agent.wait_log("'exec' is on")
        self.agent.process.send_signal(signal.SIGSTOP)
        self.alpha.do("config", "reset", "services")
        mark = self.alpha.place.path / "mark"
        command = self.start("alpha", "touch", str(mark))
        wait_for(lambda: self.alpha.ask("streams"), "the stream")
        self.agent.process.send_signal(signal.SIGCONT)
        _, said = command.communicate(timeout=DEADLINE)
        self.assertEqual((command.returncode, b"refused" in said), (255, True), said)
        self.assertFalse(mark.exists())
        self.agent.wait_log("'exec' is off\n")

    def test_name_that_another_program_has_is_told_and_waited_for(self):
        self.alpha.do("config", "set", "services", "{'exec': {'peers': <['beta']>}}")
        self.agent.wait_log("'exec' is on")
        second = Agent(self.alpha, ready=False)
        second.wait_log("'exec' cannot be offered: .*exec")
        self.agent.stop()
        second.wait_log("'exec' is on")
        self.agent = second
        self.assert_prints("x\n", "alpha", "echo", "x")


class Program(Case):
    def test_command_line_and_a_node_that_is_not_there(self):
        place = self.place()
        run = lambda *words: subprocess.run([AGENT, *words], env=place.environment, capture_output=True, text=True, timeout=DEADLINE)
        self.assertRegex(run("--version").stdout, r"^hypha-agent \d")
        self.assert_fails(run("--nonsense"), 2, "nonsense", "--help")
        self.assert_fails(run("word"), 2, "'word'")
        self.assert_fails(run("--user", "--system"), 2, "exclude")
        self.assert_fails(run("--address", place.address), 1, "there is no node", "hyphad")


class Hostile(Exec):
    """What somebody says who has the right to come in, and is no hyphactl."""

    def say(self, *parcels):
        """What comes back; both ends are over then."""
        said = b"".join(parcel if isinstance(parcel, bytes) else bytes([parcel[0]]) + struct.pack(">I", len(parcel[1])) + parcel[1]
                        for parcel in parcels)
        done = self.beta.ctl("open", "alpha", "exec", input=said, text=False)
        answers, rest = [], done.stdout
        while rest:
            length = struct.unpack(">I", rest[1:5])[0]
            answers.append((rest[0], rest[5:5 + length]))
            rest = rest[5 + length:]
        return answers

    def assert_refused(self, why, *parcels):
        answers = self.say(*parcels)
        self.assertEqual(answers[-1][0], FAILED, (answers, why))
        self.assertEqual(answers[-1][1][0], 255)
        self.assertIn(why, answers[-1][1][1:].decode())

    def test_requests_that_are_wrong(self):
        for request, why in ((b"", "JSON"), (b"{", "JSON"), (b"[]", "object"), (b"{}", "'argv' is missing"), (b"nonsense", "JSON"),
                             (b"{'argv': ['true']}", "JSON"), (b'{"argv": ["true"]} // more', "JSON"), (b'{"argv": []}', "argv"),
                             (b'{"argv": ["true", 1]}', "argv"), (b'{"argv": "true"}', "argv"), (b'{"argv": [""]}', "argv"),
                             (b'{"argv": [null]}', "argv"), (b'{"argv": ["true"], "shell": "yes"}', "shell"),
                             (b'{"argv": ["true"], "env": ["A=1"]}', "env"), (b'{"argv": ["true"], "env": {"A": 1}}', "env"),
                             (b'{"argv": ["true"], "env": {"A=B": "1"}}', "env"), (b'{"argv": ["true"], "env": {"": "1"}}', "env"),
                             (b'{"argv": ["true"], "cwd": 1}', "cwd"), (b'{"argv": ["true"], "cwd": ""}', "cwd"),
                             (b'{"argv": ["true"], "user": {}}', "user"), (b'{"argv": ["true"], "pty": true}', "pty"),
                             (b'{"argv": ["true"], "pty": {"rows": 65536}}', "rows"), (b'{"argv": ["true"], "pty": {"cols": -1}}', "cols"),
                             (b'{"argv": ["true"], "pty": {"x": 1}}', "'x'"), (b'{"argv": ["true"], "x": 1}', "'x'"),
                             (b'{"argv": ["true\\u0000"]}', "NUL"), (b'{"argv": ["\xff"]}', "UTF-8"), (b'{"argv": ["a\x00"]}', "NUL"),
                             (b"[" * 60000, "deep"), (b'{"argv": [[[["true"]]]]}', "argv"), (b"]", "JSON"),
                             (b'{"argv": ["true"], "user": "\xe2\x80\xae"}', "no user")):
            self.assert_refused(why, (REQUEST, request))
        self.assertEqual(self.run_there("alpha", "true").returncode, 0)

    def test_what_is_not_a_request_or_comes_with_one(self):
        self.assert_refused("65537 bytes", bytes([REQUEST]) + struct.pack(">I", 65537))
        self.assert_refused("4294967295 bytes", b"\xff" * 5)
        self.assert_refused("does not begin", (INPUT, b"x"))
        good = (REQUEST, json.dumps({"argv": ["sleep", "1000"]}).encode())
        self.assert_refused("more input than was asked for", good, (INPUT, b"x" * 65536), *[(INPUT, b"x" * 65536)] * 7)
        self.assert_refused("second request", good, good)
        self.assert_refused("unknown kind", good, (99, b""))
        self.assert_refused("signal", good, (SIGNAL, b"NONSENSE"))
        self.assert_refused("signal", good, (SIGNAL, b"99999999999999999999"))
        self.assert_refused("no terminal", good, (RESIZE, b"\0\1\0\1"))
        wait_for(lambda: not self.agent.children(), "the end of all commands")
        self.assertEqual(self.run_there("alpha", "true").returncode, 0)

    def test_long_name_and_many_places_to_look_for_it_take_no_memory(self):
        place, name = ":" * 30000, "a" * 30000
        done = self.run_there("--env", "PATH=" + place, "alpha", name)
        self.assertEqual((done.returncode, "too long" in done.stderr), (126, True), done.stderr[-200:])
        status = pathlib.Path(f"/proc/{self.agent.process.pid}/status").read_text()
        self.assertLess(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]), 256 << 10)
        self.assertEqual(self.run_there("--env", "PATH=" + place, "alpha", name[:255]).returncode, 127)

    def test_early_end_runs_nothing_or_ends_it(self):
        mark = self.alpha.place.path / "mark"
        request = json.dumps({"argv": ["sh", "-c", f"sleep 3; touch {mark}"]}).encode()
        whole = bytes([REQUEST]) + struct.pack(">I", len(request)) + request
        self.assertEqual(self.say(whole[:-1]), [])
        self.assertEqual(self.agent.children(), [])
        self.say(whole)
        wait_for(lambda: not self.agent.children(), "the end of the command")
        self.assertFalse(mark.exists())

    def test_only_the_node_hands_over_streams(self):
        words = ["gdbus", "call", "--address", self.alpha.place.address, "--dest", self.owner(), "--object-path",
                 "/org/hypha/handler/exec", "--method", "org.hypha.ServiceHandler1.Accept", "/org/hypha/Node1/peer/x", "0", "1", "{}"]
        done = subprocess.run(words, env=self.alpha.place.environment, capture_output=True, text=True, timeout=DEADLINE)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("PermissionDenied", done.stderr)

    def owner(self):
        [service] = [service for service in self.alpha.ask("services") if service["name"] == "exec"]
        return re.search(r":\d+\.\d+", json.dumps(service))[0]


class Deadline(Exec):
    def test_reader_that_is_late_gets_the_end_of_what_was_written(self):
        fill = ("import os, select, sys; os.set_blocking(1, False); n = 0\n"
                "while select.select([], [1], [], 1)[1]: n += os.write(1, bytes(4096))\n"
                "open(sys.argv[1], 'w').write(str(n))")
        mark = self.alpha.place.path / "written"
        full = self.start("alpha", sys.executable, "-c", fill, str(mark))
        wait_for(lambda: mark.exists() and mark.read_text(), "a way that is full")
        full.communicate(timeout=DEADLINE)
        # What fills the way (about, for that differs), but for the pipe to the agent and some of the agent's buffer: it ends.
        size = int(mark.read_text()) - (256 << 10)
        late = self.start("alpha", "head", "-c", str(size), "/dev/zero")
        # Longer than the agent waits for callers to close.
        self.assertFalse(select.select([late.stderr], [], [], 11)[0])
        out, err = late.communicate(timeout=DEADLINE)
        self.assertEqual((len(out), err, late.returncode), (size, b"", 0))


if __name__ == "__main__":
    sys.exit(main())
