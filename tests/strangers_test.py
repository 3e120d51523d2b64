"""Strangers at the ports of a daemon, thousands of them: connections that say nothing, noise, other protocols, greetings of ZeroMQ with every mechanism, frames
that lie about their length. Meanwhile members are served, and when the strangers are gone memory and descriptors are what they were. (What a stranger with a
key and the real protocol is told: badinput_stranger_test.cpp.)
"""

import contextlib
import os
import random
import resource
import selectors
import socket
import struct
import threading
import time

from realm import Realm, main, need

CONNECTS = 10_000
AT_ONCE = 400


def greeting(mechanism, version=(3, 1), as_server=0):
    """ZMTP 3.1 (ZeroMQ RFC 37): signature, version, mechanism, as-server, filler."""
    return b"\xff" + bytes(8) + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def words(dice):
    """What a stranger says: nothing, or worse."""
    hello = b"\x05HELLO\x01\x00" + bytes(72) + dice.randbytes(120)
    return dice.choice([
        b"",
        dice.randbytes(dice.randrange(1, 2000)),
        b"GET / HTTP/1.1\r\nHost: bureau\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(500),
        greeting(b"NULL") + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER",
        greeting(b"PLAIN") + b"\x04\x12\x05HELLO\x05admin\x05admin",
        greeting(b"GSSAPI") + dice.randbytes(50),
        greeting(b"CURVE")[:dice.randrange(1, 64)],
        greeting(b"CURVE"),
        greeting(b"CURVE", as_server=1) + b"\x04" + bytes([len(hello)]) + hello,
        greeting(b"CURVE") + b"\x04" + bytes([len(hello)]) + hello,
        greeting(b"CURVE") + b"\x06" + struct.pack(">Q", 1 << 62) + dice.randbytes(100),
        greeting(b"CURVE") + b"\x02" + struct.pack(">Q", (1 << 63) - 1),
        greeting(b"CURVE") + b"\x00\xff" + dice.randbytes(255),
        greeting(b"CURVE", version=(9, 9)) + dice.randbytes(20),
        b"\xff" + struct.pack(">Q", 1 << 40) + b"\x7f",
    ])


class Strangers(threading.Thread):
    """Connects without pause, some of them at once; each says its words and stays until its place is needed."""

    def __init__(self, ports, dice):
        super().__init__(daemon=True)  # where the test fails nobody waits for it
        self.ports, self.dice = ports, dice
        self.connected, self.answered, self.done = 0, b"", False

    def run(self):
        held = []
        with selectors.DefaultSelector() as selector:
            while self.connected < CONNECTS:
                while len(held) >= AT_ONCE:
                    self.leave(selector, held.pop(self.dice.randrange(len(held))))
                caller = socket.socket()
                caller.settimeout(10)
                try:
                    caller.connect(("127.0.0.1", self.dice.choice(self.ports)))
                except OSError:
                    caller.close()
                    time.sleep(0.01)
                    continue
                self.connected += 1
                with contextlib.suppress(OSError):  # cut already
                    caller.sendall(words(self.dice))
                caller.setblocking(False)
                selector.register(caller, selectors.EVENT_READ)
                held.append(caller)
                for key, _ in selector.select(0):
                    with contextlib.suppress(OSError):
                        self.answered += key.fileobj.recv(4096) if len(self.answered) < 1 << 24 else b""
            for caller in held:
                self.leave(selector, caller)
        self.done = True

    def leave(self, selector, caller):
        selector.unregister(caller)
        if self.dice.random() < 0.5:  # with a reset
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.close()


def cost(realm, name):
    """Anonymous memory in bytes, and open descriptors."""
    process = realm.running[name].pid
    with open(f"/proc/{process}/status", encoding="ascii") as status:
        memory = next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
    return memory, len(os.listdir(f"/proc/{process}/fd"))


def test(dozo, dozod, dice):
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    with Realm(dozo, dozod) as realm:
        source = realm.path / "文書.txt"
        source.write_text("before")
        realm.dozo("--home", "osaka", "put", source, "works:", "--held", "2", "--timeout", "30")
        policy = realm.ask("osaka", "status")["policy"]
        memory, descriptors = cost(realm, "osaka")
        strangers = Strangers([realm.ports["osaka"] + i for i in range(3)], random.Random(dice.random()))
        began = time.monotonic()
        strangers.start()
        saves, slowest = 0, 0.0
        while not strangers.done:
            source.write_text(f"saved beside {strangers.connected} strangers")
            save_began = time.monotonic()
            realm.dozo("--home", "osaka", "put", source, "works:", "--held", "2", "--timeout", "30")
            slowest = max(slowest, time.monotonic() - save_began)
            saves += 1
            need(strangers.is_alive() or strangers.done, "the strangers ended before their time")
            time.sleep(0.2)
        seconds = time.monotonic() - began
        need(saves > 0 and slowest < 20, f"beside strangers a save took {slowest:.1f} s until others held it")
        need(b"works" not in strangers.answered and "文書".encode() not in strangers.answered, "a stranger was told of a document")
        print(f"{strangers.connected} strangers in {seconds:.0f} s: {saves} saves beside them were held by two others, the slowest in {slowest:.1f} s", flush=True)
        realm.until(40, "descriptors of strangers are closed", lambda: cost(realm, "osaka")[1] <= descriptors + 8)
        more = cost(realm, "osaka")[0] - memory
        need(more < 32 << 20, f"strangers who are gone have cost {more >> 20} MiB for good")
        need(realm.ask("osaka", "status")["policy"] == policy and realm.shown("osaka") == realm.shown("sapporo"), "strangers have changed something")
        source.write_text("afterwards")
        realm.dozo("--home", "osaka", "put", source, "works:", "--held", "2", "--timeout", "30")
        print(f"afterwards {more >> 10} KiB more memory and no descriptor", flush=True)


if __name__ == "__main__":
    main(test)
