"""The lines between the nodes of a realm, in the hands of a test: each can be cut, or made slow, while both its ends run. Not a test itself.

Nodes listen at 127.0.0.1, and the policy names 127.0.0.2, where this relays. Each calls from an address of its own (own_address.cpp, whose path is
DOZO_LINES). A line that is cut is silent, as when a cable is pulled: nothing is closed, and nothing comes.
"""

import asyncio
import contextlib
import os
import socket
import sys
import threading

from realm import Realm


class LinesRealm(Realm):
    NODE_OPTIONS = ("--address", "127.0.0.2")

    def __init__(self, *arguments, **named):
        for address in ("127.0.0.2", "127.0.1.1"):
            with socket.socket() as probe:
                try:
                    probe.bind((address, 0))
                except OSError:
                    print(f"skipped: lines: this machine's loopback has no address {address}", flush=True)
                    sys.exit(77)
        self.bytes_per_s = {}  # by the two names of a line; None: as fast as it goes
        self.changed = None
        self.names = {}  # by the address that a node calls from
        self.loop = asyncio.new_event_loop()
        self.relayed = {}
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        super().__init__(*arguments, **named)

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        asyncio.run_coroutine_threadsafe(self.end_relays(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def end_relays(self):
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for it in running:
            it.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def make_node(self, name, kind, zone):
        super().make_node(name, kind, zone)
        asyncio.run_coroutine_threadsafe(self.listen(name), self.loop).result(10)

    def start(self, *names):
        for name in names:
            address = f"127.0.1.{1 + list(self.ports).index(name)}"
            self.names[address] = name
            os.environ.update(LD_PRELOAD=os.environ["DOZO_LINES"], DOZO_OWN_ADDRESS=address)
            try:
                super().start(name)
            finally:
                del os.environ["LD_PRELOAD"], os.environ["DOZO_OWN_ADDRESS"]

    def line(self, one, other, bytes_per_s=None):
        """From now on it takes so many bytes a second each way; 0: it is cut."""
        async def change():
            self.bytes_per_s[frozenset((one, other))] = bytes_per_s
            self.changed.set()
            self.changed = asyncio.Event()

        asyncio.run_coroutine_threadsafe(change(), self.loop).result(10)

    async def listen(self, name):
        self.changed = self.changed or asyncio.Event()
        if name in self.relayed:
            return
        self.relayed[name] = [await asyncio.start_server(lambda reader, writer, port=port: self.relay(name, port, reader, writer), "127.0.0.2", port)
                              for port in range(self.ports[name], self.ports[name] + 3)]

    async def relay(self, name, port, reader, writer):
        caller = writer.get_extra_info("peername")[0]
        if caller not in self.names:
            print(f"a call from {caller}, which is no node's", flush=True)
            writer.close()
            return
        line = frozenset((self.names[caller], name))
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self.when_open(line)
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(self.pump(line, reader, there_writer), self.pump(line, there_reader, writer))
        writer.close()

    async def when_open(self, line):
        while self.bytes_per_s.get(line) == 0:
            await self.changed.wait()

    async def pump(self, line, reader, writer):
        try:
            while True:
                await self.when_open(line)
                rate = self.bytes_per_s.get(line)
                data = await reader.read(65536 if rate is None else max(1, rate // 10))
                if not data:
                    break
                await self.when_open(line)
                writer.write(data)
                await writer.drain()
                if rate:
                    await asyncio.sleep(len(data) / rate)
        finally:
            writer.close()
