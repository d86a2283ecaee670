// SPDX-License-Identifier: LGPL-2.1-or-later
// The library as programs in JavaScript see it: run by test-gjs.py, with the name of a scenario and its arguments.

imports.gi.versions.Hypha = '1';
const {Gio, GLib, Hypha, Json} = imports.gi;
const ByteArray = imports.byteArray;
const System = imports.system;

const loop = GLib.MainLoop.new(null, false);

function check(good, what) {
    if (!good)
        throw new Error(`not so: ${what}`);
}

function checkEqual(found, wanted) {
    check(found === wanted, `${found} is ${wanted}`);
}

// Calls an asynchronous method, and finishes it.
function call(object, name, ...args) {
    const finish = name.replace(/_async$/, '_finish');
    return new Promise((resolve, reject) => {
        object[name](...args, null, (source, result) => {
            try {
                resolve(object[finish](result));
            } catch (error) {
                reject(error);
            }
        });
    });
}

// How a stream ended: null, or the error.
async function end(stream) {
    try {
        const [finished, received, sent] = await call(stream, 'wait_end_async');
        return {finished, received, sent};
    } catch (error) {
        return {finished: false, error};
    }
}

// By GBytes, for gjs frees an array as soon as the call returns, which may be before its bytes are written.
async function write(stream, text) {
    let rest = ByteArray.fromString(text);
    while (rest.length > 0)
        rest = rest.slice(await call(stream.get_output_stream(), 'write_bytes_async', new GLib.Bytes(rest), GLib.PRIORITY_DEFAULT));
}

async function readAll(stream) {
    let text = '';
    for (;;) {
        const bytes = await call(stream.get_input_stream(), 'read_bytes_async', 4096, GLib.PRIORITY_DEFAULT);
        if (bytes.get_size() === 0)
            return text;
        text += ByteArray.toString(ByteArray.fromGBytes(bytes));
    }
}

async function failure(promise) {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    throw new Error('it did not fail');
}

// The first time that an object emits a signal.
function once(object, signal) {
    return new Promise(resolve => {
        const id = object.connect(signal, (source, ...args) => {
            object.disconnect(id);
            resolve(args);
        });
    });
}

const scenarios = {
    async peers(address, id) {
        const client = Hypha.Client.new(address, null);
        check(client.running, 'the node runs');
        const peers = client.get_peers();
        checkEqual(peers.get_n_items(), 0);
        const added = once(peers, 'items-changed');
        await call(client, 'trust_async', id, 'alpha');
        await added;
        const peer = peers.get_item(0);
        checkEqual(peer.id, id);
        if (!peer.trusted)
            await once(peer, 'notify::trusted');
        const removed = once(peers, 'items-changed');
        await call(client, 'forget_async', id);
        await removed;
        checkEqual(peers.get_n_items(), 0);
        let error = null;
        try {
            client.lookup_peer('alpha');
        } catch (e) {
            error = e;
        }
        check(error.matches(Hypha.error_quark(), Hypha.Error.NO_SUCH_PEER), error);
    },

    async streams(address) {
        const client = Hypha.Client.new(address, null);
        const peer = client.lookup_peer('alpha');
        const stream = await call(peer, 'open_stream_async', 'echo', 20000);
        stream.timeout = 30;
        let error = await failure(call(stream.get_input_stream(), 'read_bytes_async', 1, GLib.PRIORITY_DEFAULT));
        check(error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT), error);
        stream.timeout = 20000;
        await write(stream, 'there and back');
        stream.close_write();
        checkEqual(await readAll(stream), 'there and back');
        const {finished, received, sent} = await end(stream);
        check(finished, 'the stream finished');
        checkEqual(received, 14);
        checkEqual(sent, 14);

        const other = await call(peer, 'open_stream_async', 'echo', 20000);
        await call(peer, 'disconnect_async');
        ({error} = await end(other));
        check(error.matches(Hypha.error_quark(), Hypha.Error.DISCONNECTED), error);
    },

    async json(address) {
        const client = Hypha.Client.new(address, null);
        const stream = await call(client.lookup_peer('alpha'), 'open_stream_async', 'echo', 20000);
        const channel = new Hypha.JsonChannel({stream, framing: Hypha.JsonFraming.LINES, max_size: 100});
        const reply = await call(channel, 'call_async', Json.from_string(JSON.stringify({question: [1, 'é']})));
        checkEqual(Json.to_string(reply, false), '{"question":[1,"é"]}');
        checkEqual(Json.to_string(channel.call(Json.from_string('[2]'), null), false), '[2]');
        const error = await failure(call(channel, 'send_async', Json.from_string(`"${'x'.repeat(100)}"`)));
        check(error.matches(Hypha.error_quark(), Hypha.Error.INVALID_ARGUMENT), error);
        stream.close_write();
        checkEqual(await call(channel, 'receive_async'), null);
    },

    async bare() {
        const listener = await new Promise((resolve, reject) => Hypha.listen_async('tcp://127.0.0.1:0', null, (_, result) => {
            try {
                resolve(Hypha.listen_finish(result));
            } catch (error) {
                reject(error);
            }
        }));
        const accepted = once(listener, 'accepted');
        const ours = await new Promise((resolve, reject) => {
            Hypha.dial_async(listener.get_bound().to_string(), 5000, null, (_, result) => {
                try {
                    resolve(Hypha.dial_finish(result));
                } catch (error) {
                    reject(error);
                }
            });
        });
        const theirs = Hypha.Stream.new_for_channel((await accepted)[0]);
        await write(ours, 'question');
        ours.close_write();
        checkEqual(await readAll(theirs), 'question');
        await write(theirs, 'answer');
        theirs.close_write();
        checkEqual(await readAll(ours), 'answer');
        check((await end(ours)).finished, 'our end finished');
        check((await end(theirs)).finished, 'their end finished');
        listener.close();
    },

    // Prints its id, and reads that of the node it is to trust and the endpoint it is to connect to.
    async embedded() {
        const node = Hypha.Node.new_ephemeral();
        const taken = new Promise(resolve => node.connect('incoming-stream::greet', (_, from, stream) => {
            resolve([from, stream]);
            return true;
        }));
        print(node.dup_id());
        const input = Gio.DataInputStream.new(Gio.UnixInputStream.new(0, false));
        const [id, endpoint] = input.read_line_utf8(null)[0].split(' ');
        node.trust(id, 'alpha');
        const peer = await call(node, 'connect_async', endpoint, null);
        checkEqual(peer.id, id);
        const stream = await call(peer, 'open_stream_async', 'echo', 20000);
        await write(stream, 'hello');
        stream.close_write();
        checkEqual(await readAll(stream), 'hello');
        print('ready');
        const [from, theirs] = await taken;
        checkEqual(from.id, id);
        await write(theirs, `you said ${await readAll(theirs)}`);
        theirs.close_write();
        check((await end(theirs)).finished, 'the stream finished');
        node.stop();
    },
};

let status = 1;
const [scenario, ...args] = ARGV;
imports.gi.GLib.idle_add(GLib.PRIORITY_DEFAULT, () => {
    scenarios[scenario](...args).then(() => {
        status = 0;
    }).catch(error => printerr(`${error}\n${error.stack}`)).then(() => loop.quit());
    return GLib.SOURCE_REMOVE;
});
loop.run();
System.exit(status);
