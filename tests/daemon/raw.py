# SPDX-License-Identifier: LGPL-2.1-or-later
"""D-Bus by hand: for messages that no library would send, or would wait for the answer to."""

import array
import os
import socket
import struct

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1


def pad(data, to):
    return data + b"\0" * (-len(data) % to)


def text(value):
    value = value.encode()
    return struct.pack("<I", len(value)) + value + b"\0"


def field(code, signature, value):
    return struct.pack("<BB", code, 1) + signature.encode() + b"\0" + value


def message(serial, path, interface, member, signature="", body=b"", flags=0, destination=None, descriptors=0, sender=None):
    """A method call as it goes over the wire; the body is as it is given. DESCRIPTORS: how many are to come with it. SENDER: who
    says so; a bus knows better."""
    fields = [field(1, "o", text(path)), field(2, "s", text(interface)), field(3, "s", text(member))]
    if destination:
        fields.append(field(6, "s", text(destination)))
    if sender:
        fields.append(field(7, "s", text(sender)))
    if signature:
        fields.append(field(8, "g", struct.pack("B", len(signature)) + signature.encode() + b"\0"))
    if descriptors:
        fields.append(field(9, "u", struct.pack("<I", descriptors)))
    whole = b""
    for one in fields:
        whole = pad(whole, 8) + one
    header = struct.pack("<BBBBIII", ord("l"), CALL, flags, 1, len(body), serial, len(whole)) + whole
    return pad(header, 8) + body


class Raw:
    """A connection that has authenticated; on a message bus, say_hello() comes first. DESCRIPTORS: it may pass some."""

    def __init__(self, path, timeout, authenticate=True, descriptors=False):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""
        self.body = b""  # of the message that was read last
        self.descriptors = array.array("i")  # that came along; closed with the connection
        if authenticate:
            self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
            self.line(b"OK")
            if descriptors:
                self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
                self.line(b"AGREE_UNIX_FD")
            self.socket.sendall(b"BEGIN\r\n")

    def line(self, wanted):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        if not line.startswith(wanted):
            raise AssertionError(line)

    def fill(self):
        got, beside, _flags, _from = self.socket.recvmsg(65536, socket.CMSG_SPACE(64))
        for _level, _kind, data in beside:
            self.descriptors.frombytes(data)
        if not got:
            raise EOFError
        self.buffer += got

    def say_hello(self):
        self.send(message(1, "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", destination="org.freedesktop.DBus"))
        self.answer(1)

    def send(self, data, descriptors=()):
        if descriptors:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
            data = data[self.socket.sendmsg([data], [rights]):]
        self.socket.sendall(data)

    def read(self):
        """The next message: its type, the serial it answers, the error's name."""
        while len(self.buffer) < 16:
            self.fill()
        order, kind, _flags, _version, body, _serial, length = struct.unpack_from("<BBBBIII", self.buffer)
        assert order == ord("l")
        whole = 16 + length + -length % 8 + body
        while len(self.buffer) < whole:
            self.fill()
        fields, self.body, self.buffer = self.buffer[16:16 + length], self.buffer[whole - body:whole], self.buffer[whole:]
        return kind, *self.parse(fields)

    @staticmethod
    def parse(fields):
        """Of all fields those that tell what it answers, and how."""
        at, answers, error = 0, 0, None
        while at < len(fields):
            at += -at % 8
            code, length = fields[at], fields[at + 1]
            kind = fields[at + 2:at + 2 + length].decode()
            at += 2 + length + 1
            if kind == "g":
                at += 1 + fields[at] + 1
                continue
            at += -at % 4
            number = struct.unpack_from("<I", fields, at)[0]
            at += 4
            if kind in ("s", "o"):
                if code == 4:
                    error = fields[at:at + number].decode()
                at += number + 1
            elif code == 5:
                answers = number
        return answers, error

    def answer(self, serial):
        while True:
            kind, answers, error = self.read()
            if kind in (RETURN, ERROR) and answers == serial:
                return error

    def close_descriptors(self):
        while self.descriptors:
            os.close(self.descriptors.pop())

    def close(self):
        self.socket.close()
        self.close_descriptors()
