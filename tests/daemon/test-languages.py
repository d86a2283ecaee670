#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The face as other languages and tools see it: introspection, a property, a method, a signal, and a stream's descriptor."""

import os
import shutil
import subprocess
import sys

from harness import DEADLINE, NAME, ROOT, Case, main, trust_each_other, wait_for

DBUS_PYTHON = """
import dbus, dbus.mainloop.glib, os, socket, sys
from gi.repository import GLib
dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.bus.BusConnection(sys.argv[1])
node = bus.get_object("org.hypha.Node1", "/org/hypha/Node1")
assert "org.hypha.Node1" in node.Introspect(dbus_interface="org.freedesktop.DBus.Introspectable")
print(node.Get("org.hypha.Node1", "Id", dbus_interface="org.freedesktop.DBus.Properties"))
print(node.Listen("tcp://127.0.0.1:0", {}, dbus_interface="org.hypha.Node1"))
try:
    node.Explain("eve", dbus_interface="org.hypha.Node1")
except dbus.DBusException as error:
    print(error.get_dbus_name())
loop = GLib.MainLoop()
peer = bus.get_object("org.hypha.Node1", "/org/hypha/Node1/peer/" + sys.argv[2])
peer.connect_to_signal("StreamClosed", lambda *all: (print("closed", all[1] == "", int(all[2]), int(all[3])), loop.quit()),
                       dbus_interface="org.hypha.Peer1")
fd, number = peer.OpenStream("echo", {}, dbus_interface="org.hypha.Peer1")
stream = socket.socket(fileno=fd.take())
stream.setblocking(True)
stream.sendall(b"there")
stream.shutdown(socket.SHUT_WR)
got = b""
while True:
    more = stream.recv(100)
    if not more:
        break
    got += more
print(got.decode())
stream.close()
GLib.timeout_add_seconds(20, loop.quit)
loop.run()
print(*map(str, peer.StreamResult(number, dbus_interface="org.hypha.Peer1")))
"""

GJS = """
const { Gio, GLib } = imports.gi;
const Flags = Gio.DBusConnectionFlags;
const bus = Gio.DBusConnection.new_for_address_sync(ARGV[0], Flags.AUTHENTICATION_CLIENT | Flags.MESSAGE_BUS_CONNECTION, null, null);
const NAME = "org.hypha.Node1", ROOT = "/org/hypha/Node1";
const xml = bus.call_sync(NAME, ROOT, "org.freedesktop.DBus.Introspectable", "Introspect", null, null, 0, -1, null).deepUnpack()[0];
const Node = Gio.DBusProxy.makeProxyWrapper(
  "<node>" + xml.match(/<interface name="org.hypha.Node1">[^]*?<\\/interface>/)[0] + "</node>");
const node = new Node(bus, NAME, ROOT);
print(node.Id);
print(node.ListenSync("tcp://127.0.0.1:0", {}));
try { node.ExplainSync("eve"); } catch (error) { print(Gio.DBusError.get_remote_error(error)); }
const loop = new GLib.MainLoop(null, false);
const path = ROOT + "/peer/" + ARGV[1];
bus.signal_subscribe(NAME, "org.hypha.Peer1", "StreamClosed", path, null, 0, (c, s, p, i, m, parameters) => {
  const [id, error, received, sent] = parameters.deepUnpack();
  print("closed", error === "", received, sent);
  loop.quit();
});
const [reply, fds] = bus.call_with_unix_fd_list_sync(NAME, path, "org.hypha.Peer1", "OpenStream",
  new GLib.Variant("(sa{sv})", ["echo", {}]), null, 0, -1, null, null);
const socket = Gio.Socket.new_from_fd(fds.get(0));
socket.set_blocking(true);
const connection = socket.connection_factory_create_connection();
connection.get_output_stream().write_all("there", null);
socket.shutdown(false, true);
let got = "";
for (;;) {
  const bytes = connection.get_input_stream().read_bytes(100, null);
  if (bytes.get_size() === 0)
    break;
  got += new TextDecoder().decode(bytes.toArray());
}
print(got);
connection.close(null);
GLib.timeout_add_seconds(GLib.PRIORITY_DEFAULT, 20, () => loop.quit());
loop.run();
const result = bus.call_sync(NAME, path, "org.hypha.Peer1", "StreamResult",
  new GLib.Variant("(t)", [reply.deepUnpack()[1]]), null, 0, -1, null).deepUnpack();
print(...result);
"""


class Languages(Case):
    def setUp(self):
        self.alpha = self.node("--listen", "tcp://127.0.0.1:0")
        self.beta = self.node()
        trust_each_other(self.alpha, self.beta)
        self.beta.do("connect", self.alpha.listening("tcp"))

    def tearDown(self):
        self.stop_all(self.alpha, self.beta)

    def run_tool(self, *command, **more):
        return subprocess.run(command, env=self.beta.place.environment, capture_output=True, text=True, timeout=DEADLINE, **more)

    def check_everything(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        own_id, bound, error, echoed, closed, result = done.stdout.splitlines()
        self.assertEqual(own_id, self.beta.id())
        self.assertIn("tcp://127.0.0.1:", bound)
        self.assertEqual(error, "org.hypha.Error.NoSuchPeer")
        self.assertEqual(echoed, "there")
        self.assertEqual(closed.lower(), "closed true 5 5")
        self.assertEqual(result.split(), ["5", "5"])

    def test_dbus_python(self):
        python = next((p for p in (sys.executable, "/usr/bin/python3")
                       if subprocess.run([p, "-c", "import dbus, gi"], capture_output=True).returncode == 0), None)
        if python is None:
            self.skipTest("no python3 has dbus and gi (python3-dbus, python3-gi)")
        self.check_everything(self.run_tool(python, "-c", DBUS_PYTHON, self.beta.place.address, self.alpha.id()))

    def test_gjs(self):
        if shutil.which("gjs") is None:
            self.skipTest("there is no gjs")
        script = self.beta.place.path / "script.js"
        script.write_text(GJS)
        self.check_everything(self.run_tool("gjs", str(script), self.beta.place.address, self.alpha.id()))

    def test_busctl(self):
        if shutil.which("busctl") is None:
            self.skipTest("there is no busctl")
        busctl = ["busctl", f"--address={self.beta.place.address}"]
        self.assertRegex(self.run_tool(*busctl, "introspect", NAME, ROOT).stdout, r"\.PeerPending +signal")
        self.assertIn(self.beta.id(), self.run_tool(*busctl, "get-property", NAME, ROOT, NAME, "Id").stdout)
        self.assertIn(f"{ROOT}/peer/{self.alpha.id()}", self.run_tool(*busctl, "tree", NAME).stdout)
        bound = self.run_tool(*busctl, "call", NAME, ROOT, NAME, "Listen", "sa{sv}", "tcp://127.0.0.1:0", "0")
        self.assertRegex(bound.stdout, r'^s "tcp://127')
        self.assertIn("no peer", self.run_tool(*busctl, "call", NAME, ROOT, NAME, "Explain", "s", "eve").stderr)

    def test_gdbus(self):
        monitor = subprocess.Popen(["gdbus", "monitor", "--address", self.beta.place.address, "--dest", NAME],
                                   env=self.beta.place.environment, stdout=subprocess.PIPE, text=True)
        self.beta.place.processes.append(monitor)
        self.assertIn("Monitoring", monitor.stdout.readline())
        # The name is watched by and by: make signals until one is seen.
        os.set_blocking(monitor.stdout.fileno(), False)
        seen = []

        def told():
            self.beta.ctl("open", "alpha", "echo", input="x")
            seen.append(monitor.stdout.read() or "")
            return "StreamClosed" in "".join(seen)
        wait_for(told, "a signal")
        done = self.beta.call(f"{ROOT}/peer/{self.alpha.id()}", "org.hypha.Peer1.Streams")
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    sys.exit(main())
