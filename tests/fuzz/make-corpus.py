#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the seeds of the fuzzers into corpus/NAME/. What a fuzzer finds is added there by hand, under a name that says what it is."""

import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


def frame(kind, body=b"", flags=0, stream=0):
    return struct.pack(">BBHII", kind, flags, 0, stream, len(body)) + body


def u64(value):
    return struct.pack(">Q", value)


def u32(value):
    return struct.pack(">I", value)


def entry(stream, flags, next_, limit, final):
    return struct.pack(">IB3xQQQ", stream, flags, next_, limit, final)


RESUME = u32(6) + u32(4) + entry(3, 1, 9, 8192, 0) + entry(4, 3, 7, 8192, 7) + entry(5, 4, 7, 8192, 9)

write("frame", {
    "open": frame(1, "écho".encode(), stream=1),
    "open-direct": frame(1, b"\1" + bytes(32) + b"echo", flags=8, stream=1),
    "open-direct-nothing": frame(1, b"\1" + bytes(32), flags=8, stream=1),
    "data": frame(2, u64(5) + b"bytes", stream=2),
    "data-fin": frame(2, u64(5), flags=1, stream=2),
    "data-beyond": frame(2, u64(2**64 - 1) + b"!", stream=2),
    "ack": frame(3, u64(5), flags=1, stream=2) + frame(3, u64(5), flags=2, stream=2),
    "window": frame(4, u64(8192), stream=2),
    "reset": frame(5, u32(1) + u64(99), stream=2),
    "stop": frame(6, u32(1), stream=2),
    "ping-pong": frame(7, u64(1)) + frame(8, u64(1)),
    "epoch": frame(9, u64(3)),
    "resume-ask": frame(10, flags=4),
    "resume": frame(10, RESUME),
    "resume-empty": frame(10, u32(0) + u32(0)),
    "goaway-close": frame(11, u32(1)) + frame(12, u32(2)),
    "unknown": frame(13, u64(1)),
    "reserved": b"\x07\x00\x01" + frame(7, u64(1))[3:],
    "head-only": frame(2, u64(5) + b"bytes")[:12],
    "many": frame(1, b"echo") + frame(4, u64(1 << 20)) + frame(2, u64(0) + b"x" * 100) + frame(7, u64(9)),
})

write("endpoint", {name: text.encode("utf-8", "surrogateescape") for name, text in {
    "tcp": "tcp://host:4974",
    "tcp6": "tcp://[::1]:80",
    "tcp6-zone": "tcp://[fe80::1%25eth0]:80",
    "any": "vsock://any:any",
    "vsock": "vsock://2:4974?cost=3&tls=never",
    "spelling": "VSOCK-CONNECT:2:4974",
    "unix": "unix:///run/a%20b%3f",
    "abstract": "unix:@name",
    "id": "quic://h:1?id=" + "a" * 52,
    "overflow": "tcp://h:65536",
    "cost-overflow": "tcp://h:1?cost=4294967296",
    "twice": "tcp://h:1?cost=1&cost=2",
    "percent": "unix:///%zz%0",
    "control": "unix:///a\nb",
    "not-utf8": "unix:///\udcff",
    "empty": "",
    "no-rest": "tcp:",
    "pattern": "hvsock:///run/vm/*/v.sock:4974",
}.items()})


def message(kind, body):
    return b"HYPHA/1" + bytes([kind]) + struct.pack(">H", len(body)) + body


def hello(class_=1, version=(1, 1), limits=b""):
    return message(1, struct.pack(">HHQB", *version, 0, class_) + b"c" * 32 + b"i" * 16 + bytes(32)
                   + struct.pack(">H", len(limits)) + limits)


REPLY = message(2, struct.pack(">HQB", 1, 0, 1) + b"n" * 32 + b"i" * 16 + b"k" * 32 + bytes(2) + b"s" * 64)
AUTH = message(3, b"k" * 32 + b"n" * 32 + u64(1) + u64(2) + u32(3) + struct.pack(">H", 4) + b"name" + b"s" * 64)
REJECT = message(5, u32(2) + u64(0))
PLAIN, TLS, REFUSED = 0, 4, 8

write("handshake", {
    "responder-hello": bytes([0 | TLS, 0]) + hello(),
    "responder-hello-auth": bytes([0 | TLS, 1]) + hello() + AUTH,
    "responder-hello-plain": bytes([0 | REFUSED, 7]) + hello(class_=0),
    "responder-version": bytes([0 | TLS, 0]) + hello(version=(2, 9)),
    "responder-limits": bytes([0 | TLS, 0]) + hello(limits=u32(1) + u32(2) + u32(3) + u32(4)),
    "responder-tls": bytes([0, 0]) + b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "initiator-reply": bytes([1 | TLS, 0]) + REPLY,
    "initiator-reject": bytes([1, 0]) + REJECT,
    "honest": bytes([2 | TLS, 3, 0]),
    "honest-plain": bytes([2, 0, 0]),
    "honest-plain-refused": bytes([2 | REFUSED, 0, 0]),
    **{f"changed-{step}": bytes([2 | TLS, 0, step, 0, 20, 1]) for step in range(4)},
    **{f"harm-none-{step}": bytes([3 | TLS, 0, step, 0]) for step in range(4)},
    **{f"harm-{step}": bytes([3 | TLS, 0, step, 0, 0, 3, 1]) for step in range(4)},
    **{f"harm-longer-{step}": bytes([3 | TLS, 0, step, 8]) for step in range(4)},
    "harm-limits": bytes([3 | TLS, 0, 0, 8, 0, 94, 8]),
    "harm-name": bytes([3 | TLS, 0, 2, 0, 0, 90, 0xff]),
})
