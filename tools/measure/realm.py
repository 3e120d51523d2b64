"""A realm of real daemons on the loopback."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from measure.processes import cpu_seconds, free_ports, run_timed, wait_until
from measure.sources import occupied_bytes


def find_program(binaries, name):
    for path in (binaries / name, binaries / "tools" / name, binaries / "node" / name):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise SystemExit(f"tools/bench: {binaries} has no {name}")


class Realm:
    """Daemons by name; the first is headquarters' node. `kinds`: name -> hq, bureau or vault. All hold the library `works`; and `libraries - 1` more."""

    def __init__(self, folder, binaries, kinds):
        self.folder, self.kinds, self.running = folder, kinds, {}
        self.dozo_path, self.dozod_path = (find_program(binaries, name) for name in ("dozo", "dozod"))
        folder.mkdir(mode=0o700)
        key = folder / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(32))
        self.dozo("authority", "init", "hq", "--realm", "bench", "--recovery", "2/3", "--key-file", "key")
        head = next(iter(kinds))
        for name in kinds:
            self.init(name)
            self.dozo("authority", "admit", "hq", f"{name}/request.json", "--key-file", "key")
        self.dozo("authority", "install", "hq", "--home", head, "--key-file", "key")
        members = "\n".join(f'members.{name} = {{ holding = "blind" }}' if kind == "vault" else f'members.{name} = {{ holding = "full", write = true }}'
                            for name, kind in kinds.items())
        with open(folder / "hq/policy.toml", "a", encoding="utf-8") as source:
            source.write(f'[[library]]\nname = "works"\ntitle = "works"\nhome = "{head}"\ncopies = {len(kinds)}\n{members}\n'
                         '[[permit]]\nid = "service"\nroles = ["service"]\nactions = ["read", "write"]\n')
        try:
            for name in kinds:
                self.start(name)
            self.dozo("authority", "publish", "hq", "--yes", "--key-file", "key", "--home", head)
            for name in kinds:
                self.dozo("node", "join", "--timeout", "30", "--home", name)
        except BaseException:
            self.close()
            raise

    def init(self, name):
        self.dozo("node", "init", name, "--realm", "hq/realm.json", "--name", name, "--kind", self.kinds[name], "--zone", f"z-{name}", "--listen",
                  f"127.0.0.1:{free_ports(3)}", "--key-file", "key")

    # ---- daemons -----------------------------------------------------------------------------------------------------
    def dozo(self, *arguments):
        return run_timed([self.dozo_path, *arguments], cwd=self.folder)

    def launch(self, name):
        """Does not wait until the daemon answers."""
        log = open(self.folder / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen([self.dozod_path, name], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def answers(self, name):
        if self.running[name].poll() is not None:
            raise SystemExit(f"tools/bench: the daemon of {name} ended")
        return subprocess.run([self.dozo_path, "status", "--home", name], cwd=self.folder, capture_output=True, check=False).returncode == 0

    def start(self, name):
        self.launch(name)
        wait_until(lambda: self.answers(name), f"an answer of {name}", 600, 0.02)

    def stop(self, name):
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    # ---- what is so ----------------------------------------------------------------------------------------------------
    def pids(self):
        return {name: process.pid for name, process in self.running.items()}

    def status(self, name):
        return json.loads(self.dozo("status", "--json", "--home", name)[2])

    def library(self, name):
        return self.status(name)["libraries"][0]

    def sent_bytes(self):
        """Of all daemons together, so both ways."""
        return sum(self.status(name)["sent_bytes"] for name in self.running)

    def stored_bytes(self, name):
        return occupied_bytes(self.folder / name)

    def truth_bytes(self, name):
        """Without what can be made anew from it."""
        return occupied_bytes(self.folder / name / "truth")

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in self.pids().values())

    def is_synced(self):
        if any(it.poll() is not None for it in self.running.values()):
            raise SystemExit("tools/bench: a daemon ended")
        rows = [self.library(name) for name in self.running]
        return all(row["packs_missing"] == 0 and row["entries"] == rows[0]["entries"] and row["packs"] == rows[0]["packs"] for row in rows)

    def wait_until_synced(self):
        wait_until(self.is_synced, "that all nodes hold the same")

    # ---- what people do ------------------------------------------------------------------------------------------------
    def put(self, name, source, target):
        """Acknowledged "local": durable at this node. Seconds, and processor seconds of the command itself."""
        seconds, cpu, _ = self.dozo("put", source, f"works:{target}", "--home", name)
        return seconds, cpu

    def gives(self, name, path, target):
        """Writes the document out, if this node has it."""
        done = subprocess.run([self.dozo_path, "get", f"works:{path}", target, "--force", "--home", name], cwd=self.folder, capture_output=True, check=False)
        if done.returncode not in (0, 3):
            raise SystemExit(f"tools/bench: dozo get ended with status {done.returncode}: {done.stderr.decode(errors='replace')}")
        return done.returncode == 0

    def replace(self, name):
        """The node's home is gone; headquarters admits another in its place. Its daemon is to be stopped before, and started after."""
        shutil.rmtree(self.folder / name)
        self.init(name)
        self.dozo("authority", "admit", "hq", f"{name}/request.json", "--replace", "--key-file", "key")
        self.dozo("authority", "publish", "hq", "--yes", "--key-file", "key", "--home", next(iter(self.kinds)))

    def close(self):
        for name, process in self.running.items():
            if process.poll() is not None:
                last = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
                print(f"tools/bench: the daemon of {name} ended by itself, status {process.returncode}", *last, sep="\n", file=sys.stderr)
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
