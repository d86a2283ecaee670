#!/usr/bin/env -S python3 -IS
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A transport that breaks the rules in the way that its first argument names: see tests/unit/program/test-run.c."""

import json
import os
import signal
import socket
import sys
import time

HOW = sys.argv[1]
NODE = socket.socket(fileno=os.dup(0))
rendezvous = None
late = []
taken = {}


def send(data, *descriptors):
    if descriptors:
        socket.send_fds(NODE, [data], descriptors)
    else:
        NODE.sendall(data)


def say(message, *descriptors):
    send(json.dumps(message).encode() + b"\n", *descriptors)


def hang():
    while True:
        time.sleep(1000)


def channel():
    near, far = socket.socketpair()
    late.append(near)
    return far.detach()


def meet(words, close=True):
    guest = socket.socket(socket.AF_UNIX)
    guest.connect(rendezvous)
    guest.sendall(words)
    late.append(guest)
    return guest


def on_start():
    if HOW == "dies-at-start":
        sys.exit(7)
    if HOW == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if HOW == "talks":
        for line in range(1000):
            print("line", line, "\033[31m", file=sys.stderr)
    if HOW == "never-reads":
        say({"id": 1})
        say({"id": 2})
        hang()


def hello(request):
    global rendezvous
    rendezvous = request["rendezvous"]
    if HOW == "dies-at-hello":
        os.kill(os.getpid(), signal.SIGSEGV)
    if HOW == "silent-at-hello":
        hang()
    if HOW == "garbage":
        send(b"\x00\xff\n")
    if HOW == "no-object":
        send(b"[1]\n")
    if HOW == "long-line":
        send(b"x" * (1 << 17))
    if HOW == "wrong-type":
        say({"id": "1"})
    if HOW == "number-from-nowhere":
        say({"id": 4974})
    if HOW == "closes":
        os.close(0)
        os.close(1)
        NODE.close()
        hang()
    if HOW == "refuses":
        say({"id": request["id"], "error": {"code": "invalid-setting", "message": "no such\n\033thing"}})
        return
    say({"id": request["id"]})


def probe(request):
    if HOW == "dies-at-probe":
        sys.exit(0)
    if HOW == "silent-at-probe":
        return
    if HOW == "unavailable":
        say({"id": request["id"], "error": {"code": "unavailable", "message": "there is no /dev/carrier-pigeon"}})
        return
    if HOW == "times-out-at-probe":
        say({"id": request["id"], "error": {"code": "timed-out", "message": "the loft did not answer"}})
        return
    if HOW.startswith("probe-waits") and late == []:
        late.append(request)  # until it is configured
        return
    if HOW.startswith("probe-waits"):
        say({"id": request["id"], "details": {"asked": "again"}})
        return
    if HOW == "leaves-a-child" and os.fork() == 0:
        hang()
    if HOW == "leaves-a-child":
        os._exit(3)
    say({"id": request["id"], "details": {"lines": 3, "nested": {}, "colour": "grey", "fast": False}})


def connect(request):
    number, ticket = request["id"], request["ticket"]
    if HOW == "dies-at-connect":
        sys.exit(0)
    elif HOW == "silent-at-connect":
        hang()
    elif HOW == "never-answers-connect":
        return
    elif HOW == "no-channel":
        say({"id": number})
    elif HOW == "promises":
        say({"id": number, "descriptor": True})
    elif HOW == "uninvited":
        say({"id": number}, channel())
    elif HOW == "descriptor-alone":
        send(b"\n", channel())
    elif HOW == "many-descriptors":
        say({"id": number, "descriptor": True}, *[channel() for _ in range(100)])
    elif HOW == "two-descriptors":
        say({"id": number, "descriptor": True}, channel(), channel())
    elif HOW == "no-socket":
        say({"id": number, "descriptor": True}, os.open("/dev/null", os.O_RDWR))
    elif HOW == "wrong-local":
        say({"id": number, "descriptor": True, "local": "tcp://127.0.0.1:1"}, channel())
    elif HOW == "strange-error":
        say({"id": number, "error": {"code": "not-trusted", "message": "x" * 4000}})
    elif HOW == "error-without-words":
        say({"id": number, "error": {}})
    elif HOW == "error-with-a-channel":
        say({"id": number, "error": {"code": "busy", "message": "the nest is full"}, "descriptor": True}, channel())
    elif HOW == "twice":
        say({"id": number, "descriptor": True}, channel())
        say({"id": number, "descriptor": True}, channel())
    elif HOW == "piecewise":
        line = json.dumps({"id": number, "descriptor": True, "host": "\n"}).encode() + b"\n"
        send(line[:1], channel())
        for i in range(1, len(line)):
            send(line[i:i + 1])
    elif HOW == "answers-too-late":
        time.sleep(request["timeout-ms"] / 1000 + 0.1)
        say({"id": number, "descriptor": True}, channel())
    elif HOW == "wrong-ticket":
        meet(b'{"ticket": "00000000000000000000000000000000"}\n')
        meet(b"nonsense\n")
        meet(b"x" * 5000)
        meet(b"half a li")
        for _ in range(100):
            meet(b"")
        meet(json.dumps({"ticket": ticket, "host": "at last"}).encode() + b"\nfirst")
    elif HOW == "ticket-twice":
        for _ in range(2):
            meet(json.dumps({"ticket": ticket}).encode() + b"\n")
    else:
        say({"id": number, "descriptor": True}, channel())


def configure(request):
    if HOW == "probe-waits-for-cancel":
        return
    if HOW == "probe-waits-for-refusal":
        say({"id": request["id"], "error": {"code": "invalid-setting", "message": "too deep"}})
    else:
        say({"id": request["id"]})
    if HOW == "probe-waits-for-refusal":
        say({"id": late[0]["id"]})
    if HOW == "probe-waits-for-options":
        say({"id": late[0]["id"], "error": {"code": "unavailable", "message": "how deep?"}})


def listen(request):
    number, ticket = request["id"], request["ticket"]
    if HOW == "dies-at-listen":
        sys.exit(0)
    if HOW == "silent-at-listen":
        hang()
    if HOW == "listens-too-late":
        say({"event": "hiccup"})  # it is alive
        late.append(number)  # until it is told to close
        return
    if HOW == "has-each-address-once":
        if request["endpoint"] in taken.values():
            say({"id": number, "error": {"code": "address-in-use", "message": "there is a pigeon in it"}})
            return
        taken[number] = request["endpoint"]
    if HOW == "wrong-bound":
        say({"id": number, "bound": "unruly:"})
        return
    say({"id": number, "bound": request["endpoint"]})
    if HOW == "dies-after-listen":
        time.sleep(0.2)
        sys.exit(0)
    if HOW == "listener-fails":
        say({"event": "failed", "listener": number, "message": "the cable is out"})
    if HOW == "accepts-nothing":
        say({"event": "accepted", "listener": number})
    if HOW == "accepts-no-socket":
        say({"event": "accepted", "listener": number, "descriptor": True}, os.open("/dev/null", os.O_RDWR))
    if HOW == "accepts-too-early":
        for _ in range(200):
            far = channel()
            say({"event": "accepted", "listener": number, "descriptor": True}, far)
            os.close(far)
    if HOW == "wrong-remote":
        say({"event": "accepted", "listener": number, "descriptor": True, "remote": "unruly:"}, channel())
    if HOW == "other-events":
        say({"event": "hiccup", "listener": number})
        say({"event": "accepted", "listener": number + 1000, "descriptor": True}, channel())
        say({"event": "accepted", "listener": number, "descriptor": True, "host": "me"}, channel())
    if HOW == "floods":
        far = channel()
        while True:
            say({"event": "accepted", "listener": number + 1000, "descriptor": True}, far)


def close(request):
    taken.pop(request["id"], None)
    if HOW == "listens-too-late" and late == []:
        sys.exit(9)
    if HOW == "listens-too-late":
        say({"id": late.pop(), "bound": "unruly:nest"})


def main():
    on_start()
    rest = b""
    while data := NODE.recv(1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if request["do"] == "close":
                close(request)
            if request["do"] == "cancel" and HOW == "probe-waits-for-cancel":
                say({"id": late[0]["id"]})
            if request["do"] in ("cancel", "close"):
                continue
            {"hello": hello, "configure": configure, "probe": probe, "connect": connect, "listen": listen}[request["do"]](request)
    if HOW == "stubborn":
        hang()


try:
    main()
except BrokenPipeError:
    pass  # the node has gone
