#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lets every system call of the library fail, and every allocation that may, one after the other; README.md says what has to hold then."""

import argparse
import concurrent.futures
import errno
import os
import pathlib
import re
import subprocess
import sys

SECONDS = 60  # for one run: the program's own deadlines are shorter

# What the library takes from the C library that is no system call, or cannot fail.
HARMLESS = set("""
    bind_textdomain_codeset bindtextdomain clock_gettime dlclose dlerror dlopen dlsym getauxval getegid geteuid getpid inet_pton memchr memcmp
    memcpy memmove memset program_invocation_short_name pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
    pthread_cond_signal pthread_cond_timedwait pthread_cond_wait pthread_condattr_destroy pthread_condattr_init
    pthread_condattr_setclock pthread_detach pthread_equal pthread_join pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock
    pthread_mutex_unlock pthread_once pthread_mutex_trylock
    sched_getaffinity sched_yield sem_clockwait sem_destroy sem_init sem_post sem_wait pthread_self pthread_setname_np pthread_sigmask secure_getenv sigdelset sigfillset strchr
    strchrnul strcmp strcspn strlen strncmp strnlen strpbrk strrchr strspn strstr strtol
    getppid getrlimit64 sigaction sigemptyset sigprocmask
""".split())

# What a child does before it is another program, where nothing of ours counts: each failure there is told by a pipe, and tests/unit/program
# has such an end.
OF_THE_CHILD = set("chdir dup2 dup3 execve prctl setsid".split())


class Run:
    """The program, run once: its status and what it printed."""

    def __init__(self, program, *words):
        self.words = words
        try:
            done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, errors="replace",
                                  timeout=SECONDS, check=False, env=environment())
            self.status, self.output, self.complaint = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as expired:
            self.status, self.output = "no end", (expired.stdout or b"").decode(errors="replace")
            self.complaint = (expired.stderr or b"").decode(errors="replace")
        # A call with no memory where there has to be some fails, and so may pass for the fault that was asked for.
        if self.status == 0 and os.strerror(errno.EFAULT) in self.output + self.complaint:
            self.status = "the kernel was given no memory"

    def describe(self):
        text = "\n".join([f"torture {' '.join(map(str, self.words))}: {self.status}", self.output.strip(),
                          self.complaint.strip()[-3000:]])
        return "\n".join(f"# {line}" for line in text.splitlines())


def environment():
    return dict(os.environ, LC_ALL="C.UTF-8", G_MESSAGES_DEBUG="")


def count(program, scenario):
    """The calls of a run in which nothing fails: {name: (how many, errors)}, and how many descriptors are open after it."""
    run = Run(program, scenario)
    if run.status != 0:
        raise SystemExit(f"Bail out! {scenario} does not work where nothing fails\n{run.describe()}")
    calls = {}
    for line in run.output.splitlines():
        name, number, *errors = line.split()
        calls[name] = int(number), list(map(int, errors))
    return calls, calls.pop("open")[0]


def undefined_symbols(library):
    listed = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    for name in re.findall(r"^\s+U (\S+)", listed, re.MULTILINE):
        name = name.split("@")[0]
        if not re.match(r"_|g_(?!try_)|gnutls_|json_", name):
            yield name


def wanted(name, chosen):
    return not chosen or name in chosen or ("memory" in chosen and name.startswith("g_try_"))


def report(number, problems, what):
    print(f"{'not ok' if problems else 'ok'} {number} {what}", flush=True)
    for problem in problems:
        print(problem, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("library")
    parser.add_argument("scenarios", nargs="+")
    parser.add_argument("--jobs", type=int, default=8 * (os.cpu_count() or 1), help="runs at a time; most of them wait")
    parser.add_argument("--call", action="append", help="only this call; memory: all that ask for some")
    parser.add_argument("--every", type=int, default=1, help="of each call every so many, always the first and the last")
    options = parser.parse_args()

    counted = {scenario: count(options.program, scenario) for scenario in options.scenarios}
    some = next(iter(counted.values()))[0]
    number = 1
    missing = sorted(set(undefined_symbols(options.library)) - HARMLESS - OF_THE_CHILD - set(some))
    report(number, [f"# {name} is neither made to fail by fault.c nor known as harmless here" for name in missing],
           "every call of the library that can fail is known")
    failed, struck, reached = bool(missing), 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for scenario, (calls, n_open) in counted.items():
            pending = {}
            for name, (times, errors) in sorted(calls.items()):
                if times and wanted(name, options.call):
                    which = sorted({*range(1, times + 1, options.every), times})
                    pending[name] = [pool.submit(Run, options.program, scenario, name, nth, error, n_open)
                                     for nth in which for error in errors]
            before = reached
            for name, futures in pending.items():
                runs = [future.result() for future in futures]
                bad = [run for run in runs if run.status != 0]
                struck += len(runs)
                reached += sum(run.output.startswith("struck") for run in runs)
                failed = failed or bool(bad)
                number += 1
                report(number, [run.describe() for run in bad[:5]],
                       f"{scenario}: {name} fails, {len(runs)} faults one after the other, {len(bad)} of them hurt")
            # Or it is not the library's calls that were counted.
            number += 1
            failed = failed or reached == before
            report(number, [] if reached > before else [f"# {len(pending)} calls were counted"],
                   f"{scenario}: faults have come about")
    print(f"# {struck} runs, in {reached} of them the fault came about")
    print(f"1..{number}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
