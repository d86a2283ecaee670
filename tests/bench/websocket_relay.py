#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What people write when bytes have to go over a WebSocket: `serve UNIX-SOCKET` prints where it listens, and leads everybody to the
socket; `join UNIX-SOCKET URL` listens on the socket, and leads everybody to the URL. With python3-websockets, of Debian 12."""

import asyncio
import sys

import websockets

BLOCK = 256 * 1024
# No compression, as the other ways have none, and no limit to a message: both are what people turn off first.
OPTIONS = {"compression": None, "max_size": None, "ping_interval": None}


async def pump(socket, reader, writer):
    """Both ways, until either ends."""
    async def there():
        while data := await reader.read(BLOCK):
            await socket.send(data)
        await socket.close()

    async def back():
        async for data in socket:
            writer.write(data)
            await writer.drain()
        writer.close()

    await asyncio.gather(there(), back(), return_exceptions=True)


async def serve(path):
    async def handle(socket):
        await pump(socket, *await asyncio.open_unix_connection(path, limit=BLOCK))

    async with websockets.serve(handle, "127.0.0.1", 0, **OPTIONS) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await asyncio.Future()


async def join(path, url):
    async def handle(reader, writer):
        async with websockets.connect(url, **OPTIONS) as socket:
            await pump(socket, reader, writer)

    async with await asyncio.start_unix_server(handle, path, limit=BLOCK) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run({"serve": serve, "join": join}[sys.argv[1]](*sys.argv[2:]))
