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


ID = "3awbtvxg2dm5jnvl36zisabueuohjgwwj4iko34r7r45q3p5hvyq"

# --- sessions: limits, then a byte for each step: 128 for side 1, 32 times the link, and the number of the step with its arguments.
# session-world.c has them in full.
SMALL, ROOMY = bytes([3, 2, 9]), bytes([15, 7, 255])
SETTLE, OVER = b"\5", b"\x13"


def step(number, *arguments, side=0, slot=0):
    return bytes([128 * side + 32 * slot + number, *arguments])


def link(cost=5, slot=0):
    return step(1, cost, slot=slot)


def open_(how=0, side=0):
    return step(6, how, side=side)


def of_stream(number, which, amount, side=0):
    return step(number, which, *struct.pack(">H", amount), side=side)


def write_(which, amount, side=0):
    return of_stream(7, which, amount, side)


def later(amount):
    return step(13, *struct.pack(">H", amount))


def near(kind, flags=0, far=0, which=0, base=0, delta=0, length=0, side=0, slot=0):
    return step(15, kind, flags, far, which, base, *struct.pack(">h", delta), length, side=side, slot=slot)


def inject(data, side=0, slot=0):
    return step(14, 0, 0, len(data), side=side, slot=slot) + data


OPENED = link() + SETTLE + open_() + open_(side=1) + SETTLE
TALK = OPENED + write_(0, 500) + write_(1, 300, side=1) + SETTLE
SLOW = link() + step(22, 0) + step(22, 0, side=1) + SETTLE + open_() + SETTLE + write_(0, 60000) + SETTLE
TWO = link() + link(9, slot=1) + SETTLE
HALF = TALK + of_stream(9, 0, 0) + SETTLE

STATES = {
    "nothing": b"",
    "opened": OPENED,
    "unanswered": step(23, side=1) + link() + SETTLE + open_() + open_(0x80) + SETTLE,
    "talk": TALK,
    "stalled": SLOW,
    "in-flight": TALK + write_(0, 700) + step(3, 9),
    "finished": HALF,
    "reset": TALK + of_stream(10, 0, 0) + step(3, 3),
    "stopped": TALK + of_stream(11, 1, 0, side=1) + SETTLE,
    "many": link() + SETTLE + b"".join(open_(i % 5) + open_(i % 5, side=1) for i in range(12)) + SETTLE + write_(3, 90),
    "two-links": TWO + open_() + SETTLE + write_(0, 4000) + step(3, 2) + step(2) + SETTLE,
    "gone-back": TALK + step(24, side=1) + write_(0, 100) + SETTLE + step(25, side=1),
}

write("resume", {
    **{f"true-{name}": limits[:] + steps + b"\0" + bytes([0, 0]) for name, steps in STATES.items() for limits in [SMALL]},
    **{f"true-back-{name}": ROOMY + steps + b"\0" + bytes([1, 0]) for name, steps in STATES.items()},
    **{f"changed-{field}-{delta}": SMALL + TALK + b"\0" + bytes([0, 1, field, 1]) + struct.pack(">h", delta)
       for field in range(8) for delta in (1, -1)},
    "raw": SMALL + TALK + b"\0" + bytes([2]) + RESUME,
    "raw-none": SMALL + TALK + b"\0" + bytes([2]) + u32(0) + u32(0),
    "raw-short": SMALL + TALK + b"\0" + bytes([2]) + u32(0),
    "raw-absent": SMALL + TALK + b"\0" + bytes([2]) + u32(3) + u32(3),
    "raw-order": SMALL + TALK + b"\0" + bytes([2]) + u32(9) + u32(9) + entry(4, 1, 0, 0, 0) + entry(2, 1, 0, 0, 0),
})

write("session", {
    **{f"state-{name}": SMALL + steps for name, steps in STATES.items()},
    **{f"roomy-{name}": ROOMY + steps + SETTLE for name, steps in STATES.items()},
    "refused": SMALL + step(23, side=1) + link() + SETTLE + open_() + SETTLE + of_stream(12, 0, 3, side=1) + SETTLE,
    "taken-back": SMALL + open_() + of_stream(10, 0, 0) + of_stream(11, 0, 0) + link() + SETTLE,
    "expired": SMALL + TALK + step(2) + later(30000) + later(1) + link() + SETTLE,
    "dropped": SMALL + TALK + OVER + SETTLE + link() + SETTLE,
    "read-slowly": SMALL + SLOW + of_stream(8, 0, 100, side=1) + SETTLE + of_stream(8, 0, 60000, side=1) + SETTLE,
    "moved": SMALL + TWO + open_() + SETTLE + write_(0, 900) + step(21, 0xff) + later(20000) + SETTLE,
    "limits": SMALL + TALK + step(20, 1, 1, 1) + SETTLE + open_() + SETTLE,
    "accused": SMALL + TALK + step(26, 9, 9, slot=1) + link() + SETTLE,
    "stale": SMALL + TALK + step(26, 255, 0, slot=1) + link() + SETTLE,
    "half-a-frame": SMALL + OPENED + write_(0, 300) + step(3, 4) + step(4, 0, 7) + step(4, 1, 0) + SETTLE,
    "flipped": SMALL + OPENED + write_(0, 300) + step(3, 4) + step(14, 0, 3, 0) + b"\x40" + SETTLE,
    "again": SMALL + OPENED + write_(0, 300) + step(3, 4) + step(14, 0, 0, 255) + SETTLE,
    "inserted": SMALL + OPENED + inject(frame(2, u64(0) + b"bytes", stream=1)) + inject(frame(10, RESUME)) + SETTLE,
    "before-resume": SMALL + link() + inject(frame(1, b"echo", stream=2)),
    "nonsense": SMALL + OPENED + inject(b"\xff" * 12),
    **{f"near-{kind}": SMALL + TALK + b"".join(
        near(kind, flags, base=base, delta=delta, length=9, side=side)
        for flags, base, delta, side in ((0, 1, 0, 0), (0, 3, 0, 1), (1, 2, 1, 0), (2, 5, -1, 1), (0, 8, 0, 0))) + SETTLE
       for kind in range(1, 13)},
    "no-such-stream": SMALL + TALK + near(2, far=40) + near(5, far=200) + near(5, far=1, side=1) + near(6, far=255),
    "beyond-window": SMALL + TALK + near(2, base=1, length=250) + SETTLE,
    "far-beyond-window": SMALL + TALK + near(0x82, base=1, length=254) + SETTLE,
    "flood": SMALL + TALK + step(27, 0, 40, side=1) + SETTLE + step(27, 255, 0),
    "moved-midway": ROOMY + TWO + open_() + SETTLE + write_(0, 10) + step(3, 9) + step(4, 2, 0) + write_(0, 50) + step(2) + step(3, 20, slot=1) + SETTLE,
    "overlap": SMALL + TALK + near(2, base=1, delta=-5, length=9) + SETTLE,
    "resume-twice": SMALL + TALK + step(18, 0) + step(18, 0, side=1) + SETTLE,
})

# --- key files

PEM = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
"""

write("key", {
    "none": b"\x10",
    "ed25519": b"\0" + PEM,
    "remark": b"\0# the key of web1\n" + PEM + b"and no more\n",
    "read-only": b"\1" + PEM,
    "group": b"\2" + PEM,
    "set-uid": b"\6" + PEM,
    "nobody": b"\7" + PEM,
    "empty": b"\0",
    "text": b"\0this is no key\n",
    "cut": b"\0" + PEM[:70],
    "twice": b"\0" + PEM + PEM,
    "x25519": b"\0" + PEM.replace(b"K2Vw", b"K2Vu"),
    "long-key": b"\0" + PEM.replace(b"MC4CAQAw", b"MIGDAgEA"),
    "not-base64": b"\0" + PEM.replace(b"MC4C", b"M*4C"),
    "nul": b"\0" + PEM[:40] + b"\0" + PEM[40:],
    "held": b"\x20" + PEM,
    "half": b"\x50",
    "lock-names": b"\x304711 hyphad\n",
    "lock-lies": b"\x3018446744073709551616 \xff\x1b[2J\n",
})

# --- JSON

JSON_TEXTS = {
    "object": b'{"a": [1, -2.5e3, true, false, null, "\xc3\xa9"]}',
    "escapes": br'"\"\\\/\b\f\n\r\t\u0001\u20ac\ud83d\ude00"',
    "half-pair": br'"\ud800\u0041"',
    "nul": br'"\u0000"',
    "twice": b'{"a": 1, "\\u0061": 2}',
    "deep": b"[" * 70,
    "deepest": b"[" * 64 + b"]" * 64,
    "wide": b"[0" + b",{}" * 300 + b"]",
    "numbers": b"[9223372036854775807,-9223372036854775808,1e300,5e-324,-0,0.1]",
    "too-large": b"[9223372036854775808]",
    "infinite": b"1e999",
    "latin": b'"\xe9"',
    "nothing": b"",
    "lenient": b"/* */ var x = [0x10, 'a',];",
}

write("json", {
    **{f"length-{name}": bytes([0, 8, 255]) + u32(len(text)) + text for name, text in JSON_TEXTS.items()},
    **{f"line-{name}": bytes([1, 8, 2]) + text + b"\n" for name, text in JSON_TEXTS.items()},
    "length-many": bytes([0, 8, 0]) + b"".join(u32(len(text)) + text for text in JSON_TEXTS.values()),
    "line-many": bytes([1, 8, 0]) + b"\n".join(JSON_TEXTS.values()),
    "length-all-ones": bytes([0, 255, 9]) + b"\xff" * 9,
    "line-endless": bytes([1, 0, 9]) + b" " * 99,
})

# --- trees: what the other end of a copy sends

def parcel(kind, data=b""):
    return bytes([kind]) + u32(len(data)) + data


def node(kind, name, target=b"", size=0, flags=0):
    return parcel(kind, struct.pack(">IqIqIBQH", 0o755, 1, 2, 3, 4, flags, size, len(name)) + name + target)


FILE = node(3, b"f", size=5) + parcel(8, b"12345") + parcel(10)
write("copy", {
    "tree": b"\0" + node(2, b"d") + FILE + node(4, b"l", b"../out") + parcel(6) + parcel(13),
    "tree-named": b"\1" + node(2, b"d") + FILE + parcel(6) + parcel(13),
    "contents": b"\0" + node(2, b"") + FILE + parcel(6) + parcel(13),
    "over-tree": b"\2" + node(2, b"d") + FILE + parcel(6) + node(2, b"way") + FILE + parcel(6) + FILE + parcel(13),
    "through-link": b"\0" + node(4, b"w", b"../out") + node(2, b"w") + node(3, b"secret") + parcel(10) + parcel(6) + parcel(13),
    "over-links": b"\2" + node(3, b"way") + parcel(10) + node(3, b"hard", size=1) + parcel(8, b"x") + parcel(10) + parcel(13),
    "hard-link": b"\0" + node(2, b"d") + node(3, b"f", flags=2) + parcel(10) + node(5, b"g", b"f") + parcel(6) + parcel(13),
    "hard-link-up": b"\2" + node(2, b"d") + node(5, b"g", b"../hard") + node(5, b"g", b"../../out/secret") + parcel(6) + parcel(13),
    "resumed": b"\2" + node(3, b"f", size=9, flags=1) + parcel(7, u64(5)) + parcel(8, b"1234") + parcel(10) + parcel(13),
    "again": b"\2" + node(3, b"f", size=9, flags=1) + parcel(7, u64(0)) + parcel(9, u64(9)) + parcel(10) + parcel(13),
    "hole": b"\0" + node(3, b"f", size=1 << 20) + parcel(9, u64(1000)) + parcel(8, b"x") + parcel(9, u64((1 << 20) - 1001)) + parcel(10) + parcel(13),
    "up": b"\0" + node(3, b"../out/x"), "dots": b"\0" + node(2, b".."), "part": b"\0" + node(3, b".f.hypha-part") + parcel(10) + parcel(13),
    "broken": b"\0" + node(3, b"f", size=5) + parcel(8, b"1") + parcel(11, b"why") + parcel(12, b"more") + parcel(13),
    "failed": b"\0" + node(2, b"d") + parcel(48, b"no"), "too-much": b"\0" + node(3, b"f", size=1) + parcel(8, b"12"),
})

# --- places: what transports and trust rules read

write("place", {name: bytes([traits]) + text.encode() for name, traits, text in [
    ("tcp", 0, "tcp://host:4974\ntcp://host:4974"),
    ("tcp6", 0, "tcp://[::1]:80\ntcp://[::1]:4974"),
    ("tcp-zone", 0, "tcp://[fe80::1%25eth0]:80"),
    ("tcp-octal", 0, "tcp://010.1.1.1:80"),
    ("unix-uid", 1, "unix:///run/a?uid=1000\nunix:///run/a"),
    ("unix-root", 1, "unix:///run/a?uid=0\nunix:///run/a"),
    ("unix-twice", 1, "unix:///run/a?uid=0&uid=0"),
    ("unix-escaped", 0, "unix:///run/a%20b%3f\nunix:///run/a%20b%3f"),
    ("abstract", 0, "unix:@name\nunix:@name"),
    ("vsock", 2, "vsock://42:*\nvsock://42:1000"),
    ("vsock-names", 2, "vsock://host:4974\nvsock://2:4974"),
    ("vsock-spellings", 2, "VSOCK-CONNECT:2:4974\nvsock:2:4974"),
    ("vsock-listen", 2, "VSOCK-LISTEN:4974\nvsock://any:4974"),
    ("vsock-any-cid", 2, "vsock://*:*\nvsock://42:7"),
    ("vsock-overflow", 2, "vsock://4294967296:1"),
    ("stars", 2, "hvsock:///run/vm/*/v.sock:4974\nhvsock:///run/vm/a/v.sock:4974"),
    ("many-stars", 2, "x:*a*a*a*b\nx:aaaaaaaaaaaaaaaaab"),
    ("options", 1, "unix:///a?cost=3&uid=7&tls=never\nunix:///a?cost=4"),
    ("uid-wrong", 1, "unix:///a?uid=-1"),
]})

# --- the configuration

GROUP = "[org/hypha/node]\n"
VALUES = {
    "name": "'web1'",
    "listen": "['tcp://[::]:4974', 'unix:///run/hypha/node', 'vsock://any:4974?tls=never']",
    "peers": f"['tcp://192.0.2.7:4974?id={ID}&cost=3', 'nothing']",
    "trusted-peers": f"{{'{ID}': {{'name': <'laptop'>, 'endpoints': <['vsock://42:*']>, 'tls': <'never'>, 'rule': <'x:y'>}}}}",
    "trust-rules": f"{{'unix:///run/hypha/node?uid=1000': 'user', 'vsock://42:*': 'vm suspended {ID}'}}",
    "services": "{'ssh': {'target': <'tcp://127.0.0.1:22'>, 'peers': <['laptop']>}, 'discard': {'target': <'off'>}}",
    "forwards": "[{'local': <'tcp://127.0.0.1:8080'>, 'peer': <'laptop'>, 'target': <'http'>, 'reverse': <true>}]",
    "disabled-transports": "['quic', '']",
    "link-costs": "{'tcp': 20, 'tcp://192.0.2.7:4974': 8}",
    "transport-options": "{'tcp': {'nodelay': <true>}, 'unix': {'mode': <'660'>}}",
    "switch-margin": "0x10",
    "ping-interval": "2000",
    "link-timeout": "20000",
    "session-timeout": "3600000",
    "first-byte-timeout": "1",
    "handshake-timeout": "4294967295",
    "max-handshakes": "64",
    "max-handshakes-per-source": "65",
    "max-pending-peers": "32",
    "max-streams": "256",
    "session-window": "33554432",
}

write("config", {name: text.encode("utf-8", "surrogateescape") for name, text in {
    **{f"key-{key}": f"{GROUP}{key}={value}\n" for key, value in VALUES.items()},
    "all": GROUP + "".join(f"{key}={value}\n" for key, value in VALUES.items()),
    "empty": "",
    "only-group": GROUP,
    "comments": f"# first\n\n{GROUP} name = a b \r\n#\n",
    "no-group": "name='a'\n",
    "other-group": f"[org/hypha]\nname='a'\n{GROUP}name='b'\n",
    "no-equals": f"{GROUP}name\n=5\n",
    "twice": f"{GROUP}name='a'\nname='b'\n",
    "no-such-key": f"{GROUP}nome='a'\n",
    "wrong-type": f"{GROUP}listen='a'\nmax-streams=-1\nswitch-margin=4294967296\n",
    "not-within": f"{GROUP}ping-interval=0\nmax-streams=0\n",
    "against-each-other": f"{GROUP}ping-interval=60000\nlink-timeout=1000\n",
    "window-too-small": f"{GROUP}max-streams=1023\nsession-window=1\n",
    "deep": f"{GROUP}transport-options={{'a': {{'b': {'<' * 20}5{'>' * 20}}}}}\n",
    "maybe": f"{GROUP}transport-options={{'a': {{'b': <just 5>, 'c': <()>, 'd': <handle 3>}}}}\n",
    "not-utf8": f"{GROUP}name='\udcff'\n",
    "nul": f"{GROUP}name='a\0b'\n",
    "no-end": f"{GROUP}name='a",
    "escaped": f"{GROUP}name='\\u202e\\n\\''\n",
}.items()})

# --- calls over D-Bus

CALLS = {
    "connect": "Node1.Connect ('tcp://127.0.0.1:1', {'timeout': <uint32 5>})",
    "connect-id": f"Node1.Connect ('x:y?id={ID}', {{'expect-id': <'{ID}'>, 'persist': <true>}})",
    "connect-option": "Node1.Connect ('x:y', {'timeout': <5>, 'no': <1>})",
    "listen": "Node1.Listen ('unix:@a', {'persist': <true>})",
    "unlisten": "Node1.Unlisten ('unix:@a')",
    "trust": f"Node1.Trust ('{ID}', 'a name')\nNode1.Trust ('{ID}', 'laptop')\nNode1.Forget ('laptop')",
    "trust-low-order": f"Node1.Trust ('{'a' * 52}', 'zero')",
    "forget": f"Node1.Forget ('{ID}')\nPeer1.Streams ()",
    "pair": "Node1.Pair (120,)\nNode1.Pair (121,)",
    "confirm": f"Node1.ConfirmPairing ('{ID}', true)",
    "attach": "Node1.Attach ('tcp://127.0.0.1:1', @a{sv} {})",
    "dial": "Node1.Dial ('tcp://127.0.0.1:1', {'timeout': <uint32 1>})",
    "forward": "Node1.AddForward ('tcp://127.0.0.1:0', 'peer', 'echo', {'persist': <true>})",
    "register": "Node1.RegisterService ('mine', '/a')\nNode1.RegisterService ('mine', '/a')\nNode1.UnregisterService ('mine')",
    "register-echo": "Node1.RegisterService ('echo', '/a')\nNode1.UnregisterService ('echo')",
    "renew": "Node1.Renew ()",
    "explain": f"Node1.Explain ('peer')\nNode1.Explain ('3')\nNode1.Explain ('')\nNode1.Explain ('{ID}')",
    "list": "Config1.List ()",
    "get": "Config1.Get ('name')\nConfig1.Get ('no')",
    **{f"set-{key}": f"Config1.Set ('{key}', <@{type_} {value}>)\nConfig1.Get ('{key}')\nConfig1.Reset ('{key}')"
       for key, type_, value in [(k, t, VALUES[k]) for k, t in {
           "listen": "as", "peers": "as", "trusted-peers": "a{sa{sv}}", "trust-rules": "a{ss}", "services": "a{sa{sv}}",
           "forwards": "aa{sv}", "disabled-transports": "as", "link-costs": "a{su}", "transport-options": "a{sa{sv}}",
           "max-streams": "u", "ping-interval": "u"}.items()]},
    "set-name": "Config1.Set ('name', <'a'>)\nConfig1.Set ('name', <5>)\nConfig1.Reset ('name')",
    "set-deep": f"Config1.Set ('transport-options', <{{'a': {{'b': {'<' * 20}5{'>' * 20}}}}}>)",
    "open": "Peer1.OpenStream ('echo', {'timeout': <uint32 1>})\nPeer1.Streams ()\nPeer1.CloseStream (2,)",
    "open-direct": "Peer1.OpenStream ('echo', {'direct': <true>})\nPeer1.StreamResult (2,)\nPeer1.Disconnect ()",
    "open-nothing": "Peer1.OpenStream ('', @a{sv} {})",
}

write("dbus", {
    **{name: text.encode() for name, text in CALLS.items()},
    "bytes-trust": b"\0\3" + ID.encode() + b"\0name\0" + bytes([53]),
    "bytes-set": b"\0\x0fname\0\0\0\0abc\0\0s\5",
    "bytes-connect": b"\0\0x:y\0\0\0\0\0\4",
    "bytes-pair": b"\0\5\1\0\0\0",
    "bytes-nothing": b"\0\x0f",
})

# --- words that mutation hardly finds


def dictionary(target, words):
    def quote(word):
        return "".join(c if " " <= c <= "~" and c not in '"\\' else "".join(f"\\x{b:02x}" for b in c.encode()) for c in word)

    (CORPUS.parent / f"{target}.dict").write_text("".join(f'"{quote(word)}"\n' for word in words))


VARIANT = ["<", ">", "{'", "': <", "['", "']", "@as []", "@a{sv} {}", "uint32 ", "true", "just ", "nothing", "\\u202e", "4294967295"]
ENDPOINTS = ["tcp://", "unix://", "unix:@", "vsock://", "any", "host", "?uid=", "?id=", "&cost=", "?tls=never", "%25", "[::1]", ":4974", "*", ID]
KEYS = list(VALUES) + ["target", "peers", "local", "peer", "reverse", "name", "endpoints", "tls", "rule", "suspended", "off"]
dictionary("config", [GROUP, *(f"\n{key}=" for key in VALUES), *VARIANT, *ENDPOINTS, *KEYS])
dictionary("dbus", [*sorted({text.split()[0] for block in CALLS.values() for text in block.split("\n")}), *VARIANT, *ENDPOINTS, *KEYS,
                    "timeout", "expect-id", "persist", "direct", "\n"])
dictionary("place", [*ENDPOINTS, "VSOCK-CONNECT:", "VSOCK-LISTEN:", "hypervisor", "local", "\n"])
dictionary("key", ["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "BEGIN EC PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEI"])
dictionary("json", ["true", "false", "null", "\\u", "\\ud83d\\ude00", "\\u0000", "[[[[[[[[", "]]]]]]]]", '{"a":', '"":', "9223372036854775807", "e-", "1e308"])
