# SPDX-License-Identifier: LGPL-2.1-or-later
"""Becomes a program under the strictest parts of a unit, by hand: for where systemd does not run.

    sandbox.py UNIT WRITABLE[:WRITABLE...] PROGRAM ARGUMENT...

Taken from the unit itself: SystemCallFilter, SystemCallErrorNumber, RestrictAddressFamilies, RestrictNamespaces, MemoryDenyWriteExecute,
CapabilityBoundingSet (of which it has to have one), NoNewPrivileges, UMask; ProtectSystem=strict as read-only mounts, and User as uid 65534.
Wants root.
"""

import ctypes
import os
import re
import struct
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
UID = 65534
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10}

CLONE_NEWNS, MS_REC, MS_BIND, MS_PRIVATE = 0x20000, 0x4000, 0x1000, 1 << 18
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_MDWE = 8, 24, 38, 47, 65
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

ALLOW, ERRNO = 0x7fff0000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_SET, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
PROT_WRITE, PROT_EXEC, SHM_EXEC, NAMESPACES = 2, 4, 0o100000, 0x7e020080
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_VSOCK": 40}


def check(result, what):
    if result < 0:
        sys.exit(f"sandbox: {what}: {os.strerror(ctypes.get_errno())}")
    return result


def read_unit(path):
    """Key to values; an assignment of an empty value is not used in our units."""
    values = {}
    for line in open(path):
        if match := re.fullmatch(r"(\w+)=(.*)\n", line):
            values.setdefault(match[1], []).append(match[2])
    return values


def syscall_numbers():
    defines = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", os.devnull], capture_output=True, text=True,
                             check=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)\n", defines)}


def members(name):
    """What a word of SystemCallFilter stands for, as systemd itself says."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in text.splitlines()[1:]]
    return set().union(*(members(word) for word in words if word and not word.startswith("#")))


def allowed_syscalls(filters):
    allowed = set()
    for line in filters:
        change = set().union(*(members(word) for word in line.removeprefix("~").split()))
        allowed = allowed - change if line.startswith("~") else allowed | change
    return allowed


def argument(number):
    return 16 + 8 * number


def build_filter(unit):
    numbers = syscall_numbers()
    families = [FAMILIES[name] for name in unit["RestrictAddressFamilies"][0].split()]
    program = []

    def add(code, value, jump_true=0, jump_false=0):
        program.append(struct.pack("=HBBI", code, jump_true, jump_false, value))

    def rule(name, *instructions):
        """INSTRUCTIONS, each a tuple, for the system call NAME; what falls through goes on to the list."""
        if name in numbers:
            add(JUMP_EQUAL, numbers[name], 0, len(instructions) + 1)
            for instruction in instructions:
                add(*instruction)
            add(LOAD, 0)

    add(LOAD, 0)
    rule("socket", (LOAD, argument(0)), *((JUMP_EQUAL, family, len(families) - i, 0) for i, family in enumerate(families)),
         (RETURN, ERRNO | EAFNOSUPPORT))
    for name in ("unshare", "setns"):
        rule(name, (RETURN, ERRNO | EPERM))
    rule("clone3", (RETURN, ERRNO | ENOSYS))
    rule("clone", (LOAD, argument(0)), (JUMP_SET, NAMESPACES, 0, 1), (RETURN, ERRNO | EPERM))
    for name in ("mprotect", "pkey_mprotect"):
        rule(name, (LOAD, argument(2)), (JUMP_SET, PROT_EXEC, 0, 1), (RETURN, ERRNO | EPERM))
    rule("mmap", (LOAD, argument(2)), (AND, PROT_WRITE | PROT_EXEC), (JUMP_EQUAL, PROT_WRITE | PROT_EXEC, 0, 1), (RETURN, ERRNO | EPERM))
    rule("shmat", (LOAD, argument(2)), (JUMP_SET, SHM_EXEC, 0, 1), (RETURN, ERRNO | EPERM))
    for name in sorted(allowed_syscalls(unit["SystemCallFilter"])):
        if name in numbers:
            add(JUMP_EQUAL, numbers[name], 0, 1)
            add(RETURN, ALLOW)
    add(RETURN, ERRNO | EPERM)
    return program


def make_read_only(writable):
    check(LIBC.unshare(CLONE_NEWNS), "unshare")
    check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount --make-rprivate")
    for path in writable:
        check(LIBC.mount(path, path, None, MS_BIND | MS_REC, None), "mount --bind")
    set_read_only(b"/", MOUNT_ATTR_RDONLY, 0)
    for path in writable:
        set_read_only(path, 0, MOUNT_ATTR_RDONLY)


def set_read_only(path, on, off):
    attributes = struct.pack("=QQQQ", on, off, 0, 0)
    check(LIBC.syscall(syscall_numbers()["mount_setattr"], AT_FDCWD, path, AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes))),
          "mount_setattr")


def become(capability):
    check(LIBC.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    for other in range(64):
        if other != capability:
            LIBC.prctl(PR_CAPBSET_DROP, other, 0, 0, 0)
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    mask = 1 << capability
    header = struct.pack("=Ii", 0x20080522, 0)
    check(LIBC.capset(header, struct.pack("=6I", mask, mask, mask, 0, 0, 0)), "capset")
    check(LIBC.prctl(PR_CAP_AMBIENT, 2, capability, 0, 0), "PR_CAP_AMBIENT")


def main():
    unit = read_unit(sys.argv[1])
    program = build_filter(unit)
    make_read_only([path.encode() for path in sys.argv[2].split(":")])
    become(CAPABILITIES[unit["CapabilityBoundingSet"][0]])
    os.umask(int(unit["UMask"][0], 8))
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    LIBC.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # since Linux 6.3; the filter below does the same, less thoroughly
    code = ctypes.create_string_buffer(b"".join(program))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(code))
    check(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0), "PR_SET_SECCOMP")
    os.execv(sys.argv[3], sys.argv[3:])


if __name__ == "__main__":
    main()
