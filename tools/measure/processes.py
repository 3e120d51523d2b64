"""What a running process costs: processor seconds, anonymous memory."""
import os
import random
import socket
import subprocess
import threading
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_seconds_below(pid):
    """Of the process and of all that it has started and that still run."""
    children = [int(child) for it in Path(f"/proc/{pid}/task").glob("*/children") for child in it.read_text().split()]
    return cpu_seconds(pid) + sum(cpu_seconds_below(child) for child in children)


def anon_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def run_timed(command, **how):
    """Wall and processor seconds, and the standard output, of a command that must work."""
    before = os.times()
    began = time.monotonic()
    done = subprocess.run([str(it) for it in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **how)
    seconds = time.monotonic() - began
    after = os.times()
    if done.returncode != 0:
        raise SystemExit(f"tools/bench: {command[0]} {command[1]} ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return seconds, after.children_user - before.children_user + after.children_system - before.children_system, done.stdout


def wait_until(is_so, what, most_seconds=3600, pause_seconds=0.05):
    end = time.monotonic() + most_seconds
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit(f"tools/bench: {what} does not come about in {most_seconds} seconds")
        time.sleep(pause_seconds)


def free_ports(count):
    """The first of so many adjacent ports of the loopback that nobody has."""
    while True:
        first = random.randrange(20000, 31990)
        taken = []
        try:
            for port in range(first, first + count):
                it = socket.socket()
                taken.append(it)
                it.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for it in taken:
                it.close()


class Sampler(threading.Thread):
    """The most anonymous memory that each of some processes has, looked at each 100 ms."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.most_kib, self.ended = pids, dict.fromkeys(pids, 0), threading.Event()

    def look(self):
        for name, pid in self.pids.items():
            try:
                self.most_kib[name] = max(self.most_kib[name], anon_kib(pid))
            except OSError:
                pass

    def run(self):
        while not self.ended.wait(0.1):
            self.look()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.look()
        self.ended.set()
        self.join()

    def mib(self):
        return {name: round(kib / 1024, 1) for name, kib in self.most_kib.items()}
