"""A realm of real daemons for tests that are scripts: makes it with `dozo`, starts, stops and kills its nodes.

Everything lies in one temporary folder, which is removed at the end unless a test failed. Not a test itself.
"""

import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    """A check of a test did not hold, or the realm did not do what the test needs."""


RESERVED = []


def reserve_ports(first, count):
    """That no other test takes them between now and the start of a daemon: sockets of such names (daemon_fixture.h), held until this process ends."""
    for port in range(first, first + count, 3):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0dozo test port {port}")
        except OSError:
            return False
        RESERVED.append(held)
    return True


def free_ports(count):
    """The first of `count` ports in a row that nobody uses, below those that the system hands out."""
    taken = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            taken.update(int(line.split()[1].rsplit(":", 1)[1], 16) for line in lines.readlines()[1:])
    while True:
        first = random.SystemRandom().randrange(20001, 31900, 3)  # all tests go by the same threes
        if not taken.intersection(range(first, first + count)) and reserve_ports(first, count):
            return first


class Realm:
    """Nodes: hq (member of nothing), osaka and sapporo (full), naha (blind). One library, `works`, at home in osaka."""

    NODE_OPTIONS = ()  # that each node is made with, beside its name and place
    MEMBERS = {"osaka": ("bureau", "kinki"), "sapporo": ("bureau", "hokkaido"), "naha": ("vault", "okinawa")}

    def __init__(self, dozo, dozod, title="works", shown="Sato"):
        self.programs = (os.path.abspath(dozo), os.path.abspath(dozod))
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="dozo-test-"))
        self.title = title
        self.running = {}
        self.secret = self.path / "secret"
        self.secret.touch(0o600)
        self.secret.write_bytes(os.urandom(32))
        self.ports = {}
        first = free_ports(12)
        for i, name in enumerate(["hq", *self.MEMBERS]):
            self.ports[name] = first + 3 * i
        self.dozo("authority", "init", "authority", "--realm", "Test", "--key-file", "secret")
        self.make_node("hq", "hq", "tokyo")
        for name, (kind, zone) in self.MEMBERS.items():
            self.make_node(name, kind, zone)
        self.dozo("person", "new", "sato", "--realm", "authority/realm.json", "--shown", shown, "--key-file", "secret")
        self.dozo("authority", "admit", "authority", *[f"{name}/request.json" for name in self.ports], "--key-file", "secret")
        self.dozo("authority", "admit", "authority", "sato.request.json", "--key-file", "secret")
        with open(self.path / "authority/policy.toml", "a", encoding="utf-8") as source:
            source.write(f"""[[person.posts]]
post = "chief"
[[library]]
name = "works"
title = "{title}"
home = "osaka"
names = "linux"
copies = 3
members.osaka = {{ holding = "full", write = true }}
members.sapporo = {{ holding = "full", write = true }}
members.naha = {{ holding = "blind" }}
[[org]]
id = "roads"
title = "Roads"
[[post]]
id = "chief"
title = "Chief"
org = "roads"
roles = ["clerk"]
[[permit]]
id = "work"
roles = ["clerk", "service"]
actions = ["read", "write"]
""")
        self.dozo("authority", "install", "authority", "--home", "hq", "--key-file", "secret")
        self.start("hq")
        self.publish()
        self.start(*self.MEMBERS)
        for name in self.MEMBERS:
            self.dozo("--home", name, "node", "join", "--timeout", "60")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in self.running.values():
            process.kill()
            process.wait()
        if kind is None:
            shutil.rmtree(self.path)
        else:
            for name in self.ports:
                log = self.log(name)
                if log.exists():
                    print(f"-- end of {log}", *log.read_text(errors="replace").splitlines()[-8:], sep="\n", file=sys.stderr)
            print(f"-- left for looking at: {self.path}", file=sys.stderr)

    def log(self, name):
        return self.path / f"{name}.log"

    def command(self, *arguments):
        return subprocess.run([self.programs[0], *map(str, arguments)], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, timeout=200, check=False)

    def dozo(self, *arguments):
        """Runs a command that must work; its output."""
        done = self.command(*arguments)
        if done.returncode != 0:
            raise Failed(f"dozo {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()

    def ask(self, name, *arguments):
        return json.loads(self.dozo("--home", name, *arguments, "--json"))

    def make_node(self, name, kind, zone):
        self.dozo("node", "init", name, "--realm", "authority/realm.json", "--name", name, "--kind", kind, "--zone", zone, "--listen",
                  f"127.0.0.1:{self.ports[name]}", *self.NODE_OPTIONS, "--key-file", "secret")

    def publish(self):
        self.dozo("authority", "publish", "authority", "--yes", "--home", "hq", "--key-file", "secret")

    def replace_node(self, name):
        """The home is gone: another node under the same name, admitted and running."""
        shutil.rmtree(self.path / name)
        self.make_node(name, *self.MEMBERS[name])
        self.dozo("authority", "admit", "authority", f"{name}/request.json", "--replace", "--key-file", "secret")
        self.publish()
        self.start(name)

    def start(self, *names):
        for name in names:
            with open(self.log(name), "ab") as log:
                self.running[name] = subprocess.Popen([self.programs[1], name], cwd=self.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for name in names:
            self.until(30, f"{name} answers", lambda name=name: self.command("--home", name, "status").returncode == 0)

    def stop(self, *names):
        for name in names:
            self.running[name].terminate()
        for name in names:
            status = self.running.pop(name).wait(30)
            if status != 0:
                raise Failed(f"{name} ended with status {status}")

    def kill(self, name):
        self.running[name].send_signal(signal.SIGKILL)
        self.running.pop(name).wait()

    def until(self, seconds, what, condition):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Failed(f"waited {seconds} seconds in vain until {what}")
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise Failed(f"{name} ended by itself with status {process.returncode}")
            time.sleep(0.05)

    def state(self, name):
        """Entries of the library that the node knows, and how many of the packs that they list are not there yet."""
        rows = self.ask(name, "library", "list")
        return (rows[0]["entries"], rows[0]["packs_missing"]) if rows else (0, 0)

    def caught_up(self, name, other):
        mine, theirs = self.state(name), self.state(other)
        return mine == theirs and mine[0] > 0 and mine[1] == 0

    def shown(self, name):
        """What that node shows: digest by path."""
        return {row["path"]: row["sha256"] for row in self.ask(name, "ls", "-r", "works:") if row["kind"] == "file"}

    def written_out(self, name, folder=""):
        """What that node gives out, of a folder or all, read back: digest by path."""
        target = self.path / f"{name}.got"
        self.dozo("--home", name, "get", f"works:{folder}", target / folder)
        found = {str(it.relative_to(target)): sha256(it.read_bytes()) for it in target.rglob("*") if it.is_file()}
        shutil.rmtree(target)
        return found


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def need(condition, text):
    if not condition:
        raise Failed(text)


def main(test):
    """Runs test(realm arguments...) of a script that was called with dozo, dozod and perhaps a seed."""
    if len(sys.argv) not in (3, 4):
        sys.exit(f"usage: {sys.argv[0]} DOZO DOZOD [SEED]")
    seed = int(sys.argv[3]) if len(sys.argv) == 4 else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    try:
        test(sys.argv[1], sys.argv[2], random.Random(seed))
    except Failed as failed:
        sys.exit(f"FAILED: {failed}\nagain: {' '.join(sys.argv[:3])} {seed}")
    print(f"held, in {time.monotonic() - began:.0f} s")
