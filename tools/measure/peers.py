"""Other programs that do the same work, each so that what it acknowledges is on the disk."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

from measure.processes import cpu_seconds_below, free_ports, run_timed, wait_until
from measure.sources import occupied_bytes


class Repository:
    """A local encrypted repository of a backup program. A save counts as ended when all its files are on the disk."""

    def __init__(self, folder):
        self.folder, self.repository, self.synced = folder, folder / "repository", set()
        folder.mkdir(mode=0o700)
        self.environment = dict(os.environ)
        self.make()
        self.sync()

    def sync(self):
        for it in self.repository.rglob("*"):
            if it.is_dir() or it not in self.synced:
                handle = os.open(it, os.O_RDONLY)
                os.fsync(handle)
                os.close(handle)
                self.synced.add(it)

    def put(self, source):
        seconds, cpu, _ = run_timed(self.command(source), env=self.environment)
        began = time.monotonic()
        self.sync()
        return seconds + time.monotonic() - began, cpu

    def stored_bytes(self):
        """With its cache, which stands to its repository as what is derived does to the truth."""
        return occupied_bytes(self.folder)

    def truth_bytes(self):
        return occupied_bytes(self.repository)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Restic(Repository):
    """Does not wait for the disk by itself: the fsync of its files is added."""

    def make(self):
        self.environment |= {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(self.repository), "RESTIC_CACHE_DIR": str(self.folder / "cache")}
        run_timed(["restic", "init"], env=self.environment)

    def command(self, source):
        return ["restic", "backup", "--quiet", source]


class Borg(Repository):
    def make(self):
        self.environment |= {"BORG_PASSPHRASE": "bench", "BORG_REPO": str(self.repository), "BORG_BASE_DIR": str(self.folder / "base")}
        run_timed(["borg", "init", "--encryption", "repokey-blake2"], env=self.environment)
        self.saves = 0

    def command(self, source):
        self.saves += 1
        return ["borg", "create", f"::save-{self.saves}", source]


class Syncthing:
    """Two instances, `a` and `b`, that share one folder, with the shortest delay that its watcher has; no discovery, no relays."""

    def __init__(self, folder):
        self.folder, self.running, self.ports = folder, {}, {}
        folder.mkdir(mode=0o700)
        first = free_ports(4)
        names = ("a", "b")
        for i, name in enumerate(names):
            self.ports[name] = (first + 2 * i, first + 2 * i + 1)
            run_timed(["syncthing", "generate", f"--home={folder / name}", "--no-default-folder", "--skip-port-probing"])
        ids = {name: run_timed(["syncthing", f"--home={folder / name}", "--device-id"])[2].strip() for name in names}
        for name in names:
            self.root(name).mkdir()
            self.configure(name, ids)

    def root(self, name):
        return self.folder / f"folder-{name}"

    def configure(self, name, ids):
        path = self.folder / name / "config.xml"
        tree = ElementTree.parse(path)
        config = tree.getroot()
        for it in config.findall("folder") + config.findall("device"):
            config.remove(it)
        shared = ElementTree.SubElement(config, "folder", {"id": "works", "label": "works", "path": str(self.root(name)), "type": "sendreceive",
                                                           "rescanIntervalS": "3600", "fsWatcherEnabled": "true", "fsWatcherDelayS": "1"})
        for other, device in ids.items():
            ElementTree.SubElement(shared, "device", {"id": device})
            entry = ElementTree.SubElement(config, "device", {"id": device, "name": other, "compression": "metadata"})
            ElementTree.SubElement(entry, "address").text = f"tcp://127.0.0.1:{self.ports[other][0]}"
        options = config.find("options")
        for it in options.findall("listenAddress"):
            options.remove(it)
        settings = {"listenAddress": f"tcp://127.0.0.1:{self.ports[name][0]}", "globalAnnounceEnabled": "false", "localAnnounceEnabled": "false",
                    "relaysEnabled": "false", "natEnabled": "false", "urAccepted": "-1", "autoUpgradeIntervalH": "0", "crashReportingEnabled": "false",
                    "startBrowser": "false", "reconnectionIntervalS": "1"}
        for key, value in settings.items():
            found = options.find(key)
            (ElementTree.SubElement(options, key) if found is None else found).text = value
        gui = config.find("gui")
        gui.find("address").text = f"127.0.0.1:{self.ports[name][1]}"
        gui.find("apikey").text = "bench"
        tree.write(path)

    def start(self, name):
        log = open(self.folder / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen(["syncthing", "serve", f"--home={self.folder / name}", "--no-browser", "--no-restart", "--no-upgrade"],
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "STNORESTART": "1"})

    def stop(self, name):
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    def ask(self, name, what):
        """Nothing while it does not answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[name][1]}/rest/{what}", headers={"X-API-Key": "bench"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            if self.running[name].poll() is not None:
                raise SystemExit(f"tools/bench: syncthing ended, status {self.running[name].returncode}") from None
            return None

    def holds(self, name, files, size):
        """All is in its folder, and nothing is under way."""
        status = self.ask(name, "db/status?folder=works")
        if status is None or status["state"] != "idle" or status["needTotalItems"] > 0:
            return False
        of_files = status["localBytes"] - 128 * (status["localDirectories"] + status["localSymlinks"])  # as which syncthing counts each of those
        return status["localFiles"] == files and of_files == size

    def sent_bytes(self):
        return sum(self.ask(name, "system/connections")["total"]["outBytesTotal"] for name in self.running)

    def cpu_seconds(self):
        """Of those that were started and of what they started: the first of each only watches."""
        return sum(cpu_seconds_below(it.pid) for it in self.running.values())

    def stored_bytes(self, name):
        return occupied_bytes(self.root(name)) + occupied_bytes(self.folder / name)

    def close(self):
        for name in list(self.running):
            self.stop(name)
        shutil.rmtree(self.folder, ignore_errors=True)


class Rsync:
    """From a folder to a daemon on the loopback, written through to the disk."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_ports(1)
        self.target = folder / "target"
        self.target.mkdir(parents=True)
        settings = folder / "rsyncd.conf"
        settings.write_text(f"use chroot = no\nuid = root\ngid = root\n[works]\npath = {self.target}\nread only = no\n", encoding="utf-8")
        self.process = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={settings}", f"--port={self.port}", "--address=127.0.0.1"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        place = ["rsync", f"rsync://127.0.0.1:{self.port}/"]
        wait_until(lambda: subprocess.run(place, capture_output=True, check=False).returncode == 0, "an answer of rsync", 30)

    def put(self, source):
        """Seconds, processor seconds of the client, bytes both ways."""
        seconds, cpu, out = run_timed(["rsync", "--archive", "--fsync", "--stats", f"{source}/", f"rsync://127.0.0.1:{self.port}/works/"])
        sent, received = (int(re.search(rf"Total bytes {it}: ([\d,]+)", out)[1].replace(",", "")) for it in ("sent", "received"))
        return seconds, cpu, sent + received

    def stored_bytes(self):
        return occupied_bytes(self.target)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


REPOSITORIES = {"restic": Restic, "borg": Borg}
