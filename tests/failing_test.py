"""One call on files after the other fails, as on a disk that is full or damaged or a system without descriptors: in a daemon that starts and saves, in one that
receives, and in the commands that read and write people's files and homes. Each ends with a word or goes on, and nothing that was acknowledged is lost.

The program runs with failing_calls.cpp loaded before it. DOZO_FAILING_CALLS: how many calls of each kind fail, evenly spread (0: every one).
"""

import json
import os
import re
import shutil
import subprocess
import time

from realm import Failed, Realm, main, need, sha256

CALLS = int(os.environ.get("DOZO_FAILING_CALLS", "6"))
ROUNDS_KEPT = 40  # then the homes are put back as they were: each round saves 3 MB twice, which every member holds


class FailingRealm(Realm):
    """`shim`: the library that is loaded before a program."""

    def __init__(self, shim, *arguments):
        self.shim = shim
        super().__init__(*arguments)

    def environment(self, roots, at=None, seed=0, stays=False):
        said, count = self.path / "said", self.path / "count."
        for it in (said, *self.path.glob("count.*")):
            it.unlink(missing_ok=True)
        out = {"LD_PRELOAD": self.shim, "DOZO_FAIL_ROOT": ":".join(f"{self.path / root}/" for root in roots), "DOZO_FAIL_SAID": str(said)}
        if at is None:
            out["DOZO_FAIL_COUNT"] = str(count)
        else:
            out |= {"DOZO_FAIL_AT": str(at), "DOZO_FAIL_SEED": str(seed)}
        if stays:
            out["DOZO_FAIL_STAYS"] = "1"
        return {**os.environ, **out}

    def counted(self):
        """Calls of that process of a program which makes the most of them."""
        return max(it.stat().st_size for it in self.path.glob("count.*"))

    def said(self):
        said = self.path / "said"
        return said.read_text(errors="replace").strip().replace("\n", "; ") if said.exists() else ""

    def launch(self, name, roots, **how):
        environment = self.environment(roots, **how)
        with open(self.log(name), "ab") as log:
            self.running[name] = subprocess.Popen([self.programs[1], name], cwd=self.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def answers(self, name):
        return self.command("--home", name, "status").returncode == 0

    def ended(self, name):
        return self.running[name].poll() is not None

    def run(self, arguments, roots, **how):
        """A command whose files fail."""
        try:
            return subprocess.run([self.programs[0], *map(str, arguments)], cwd=self.path, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False,
                                  env=self.environment(roots, **how))
        except subprocess.TimeoutExpired as hangs:
            raise Failed(f"{arguments[0]} {arguments[1]} hangs ({how}: {self.said()})") from hangs


def spread(calls, dice):
    """Which of so many calls fail: one by the dice of each stretch."""
    if CALLS == 0 or calls <= CALLS:
        return range(1, calls + 1)
    return [1 + dice.randrange(calls * i // CALLS, calls * (i + 1) // CALLS) for i in range(CALLS)]


def say_so(done, what):
    """It ended by itself, and said why."""
    text = done.stderr.decode(errors="replace")
    need(done.returncode >= 0, f"{what} dies of signal {-done.returncode}: {text}")
    need(done.returncode == 0 or len(text.strip().splitlines()) >= 1, f"{what} ends with {done.returncode} and no word")


# ---- commands --------------------------------------------------------------------------------------------------------
def command(realm, dice, kind, roots, arguments, before, check):
    """`before()` makes ready; `check(done)` looks at what a command leaves whose n-th call failed."""
    before()
    done = realm.run(arguments, roots)
    need(done.returncode == 0, f"{kind} fails when nothing fails: {done.stderr.decode(errors='replace')}")
    calls = realm.counted()
    need(calls > 5, f"{kind} hardly touches a file: {calls} calls")
    ended = {}
    for at in spread(calls, dice):
        before()
        seed = dice.getrandbits(32)
        done = realm.run(arguments, roots, at=at, seed=seed)
        said = realm.said()
        try:
            say_so(done, kind)
            need(said or done.returncode == 0, "fails by itself")
            check(done)
        except Failed as failed:
            raise Failed(f"{failed} ({kind}, call {at} of {calls}, seed {seed}: {said}; status {done.returncode}: {done.stderr.decode(errors='replace').strip()})") from failed
        how = done.returncode if said else "not reached"
        ended[how] = ended.get(how, 0) + 1
        if os.environ.get("DOZO_FAILING_TOLD"):
            print(kind, at, said, "->", done.returncode, done.stderr.decode(errors="replace").strip(), flush=True)
    return ended


def commands(realm, dice, shown):
    out = {}
    target = realm.path / "got"

    def fresh():
        shutil.rmtree(target, ignore_errors=True)

    def left_whole(done):
        need(done.returncode in (0, 7), "neither done nor `unavailable`")
        # An export that could not move its things up says so, and leaves them in its hidden folder.
        found = {re.sub(r"^[.]dozo-export-[^/]*/", "", str(it.relative_to(target))): it for it in target.rglob("*") if it.is_file()} if target.exists() else {}
        wrong = [path for path, it in found.items() if shown.get(path) != sha256(it.read_bytes())]
        need(not wrong, f"leaves {wrong[:2]}, which is not what was saved")
        need(done.returncode != 0 or len(found) == len(shown), "says that all is there, and it is not")

    out["get"] = command(realm, dice, "get", ["got"], ["--home", "osaka", "get", "works:", target], fresh, left_whole)
    out["export"] = command(realm, dice, "export", ["got", "."], ["--home", "osaka", "export", "works:", target], fresh, left_whole)

    home = realm.path / "new"

    def no_home():
        shutil.rmtree(home, ignore_errors=True)

    init = ["node", "init", "new", "--realm", "authority/realm.json", "--name", "new", "--kind", "bureau", "--zone", "kanto", "--listen", "127.0.0.1:9", "--key-file", "secret"]

    def all_or_nothing(done):
        need(done.returncode in (0, 7), "neither done nor `unavailable`")
        if done.returncode == 0:
            realm.dozo("fsck", "new", "--key-file", "secret")
        else:
            again = realm.command(*init)
            need(again.returncode == 0, f"what it leaves stands in the way of the next: {again.stderr.decode(errors='replace')}")

    out["node init"] = command(realm, dice, "node init", ["new", "."], init, no_home, all_or_nothing)

    realm.stop("sapporo")
    copy = realm.path / "copy"

    def copied():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(realm.path / "sapporo", copy)

    def still_good(done):
        need(done.returncode in (0, 6, 7), "neither done, `damaged` nor `unavailable`")
        again = realm.command("fsck", copy, "--key-file", "secret", *rebuild)
        need(again.returncode == 0, f"harms the home: {again.stdout.decode(errors='replace')} {again.stderr.decode(errors='replace')}")

    for rebuild in ([], ["--rebuild"]):
        kind = " ".join(["fsck", *rebuild])
        out[kind] = command(realm, dice, kind, ["copy"], ["fsck", copy, "--key-file", "secret", *rebuild], copied, still_good)
    realm.start("sapporo")
    return out


# ---- daemons ---------------------------------------------------------------------------------------------------------
class Saves:
    """What was tried, and what was acknowledged: digest by path."""

    def __init__(self, realm, dice):
        self.realm, self.dice, self.number, self.tried, self.acknowledged = realm, dice, 0, {}, {}

    def save(self):
        """A folder of some small documents and a larger one. What the command said of it."""
        self.number += 1
        top = f"案 {self.number}"
        folder = self.realm.path / "sources" / top
        folder.mkdir(parents=True)
        content = {}
        for j in range(12):
            path = folder / f"書類 {j}.txt"
            path.write_bytes(self.dice.randbytes(self.dice.choice([10, 3000, 30_000]) if j else 3_000_000))
            content[f"{top}/{path.name}"] = sha256(path.read_bytes())
        self.tried |= content
        done = self.realm.command("--home", "osaka", "put", folder, "works:")
        lines = [line + "\n" for line in done.stderr.decode(errors="replace").splitlines() if line.startswith("dozo: not saved: ")]
        named = {path for path in [folder, *folder.iterdir()] if any(f"{path}{end}" in line for line in lines for end in ("\n", ":", " ")) or any(line.endswith(f": {path.name}\n") for line in lines)}
        need(done.returncode in (0, 4, 6, 7), f"put ends with {done.returncode}: {done.stderr.decode(errors='replace')}")
        need((done.returncode == 4) == bool(named), f"put ends with {done.returncode} and names {named}: {done.stderr.decode(errors='replace')}")
        if done.returncode in (0, 4) and folder not in named:  # what it does not name, it has saved
            self.acknowledged |= {path: digest for path, digest in content.items() if self.realm.path / "sources" / path not in named}
        return done

    def listed(self, name):
        """What a node in trouble shows; nothing: it says that it is. After a commit in doubt its store answers nothing until it is opened again."""
        done = self.realm.command("--home", name, "ls", "-r", "works:", "--json")
        if done.returncode in (6, 7):
            return None
        return {row["path"]: row["sha256"] for row in json.loads(done.stdout) if row["kind"] == "file"}

    def follows(self, name):
        shown = self.listed(name)
        return shown is None or self.acknowledged.items() <= shown.items()

    def shows_nothing_wrong(self, name):
        shown = self.listed(name)
        return shown is None or shown.items() <= self.tried.items()

    def check(self, name):
        shown = self.realm.shown(name)
        lost = [path for path, digest in self.acknowledged.items() if shown.get(path) != digest]
        need(not lost, f"{len(lost)} documents that were acknowledged are not at {name}, such as {lost[:1]}")
        wrong = [path for path, digest in shown.items() if self.tried.get(path) != digest]
        need(not wrong, f"{name} shows {len(wrong)} documents that nobody saved so, such as {wrong[:1]}")


class Kept:
    """The members' homes, and what was saved in them, as they are now. All of them are in step."""

    def __init__(self, realm, saves):
        self.realm, self.saves, self.folder = realm, saves, realm.path / "kept"
        realm.stop(*realm.MEMBERS)
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in realm.MEMBERS:
            shutil.copytree(realm.path / name, self.folder / name)
        self.tried, self.acknowledged = dict(saves.tried), dict(saves.acknowledged)
        self.start()

    def start(self):
        for name in self.realm.MEMBERS:
            self.realm.start(name)

    def put_back(self):
        self.realm.stop(*self.realm.MEMBERS)
        for name in self.realm.MEMBERS:
            shutil.rmtree(self.realm.path / name)
            shutil.copytree(self.folder / name, self.realm.path / name)
        shutil.rmtree(self.realm.path / "sources")
        self.saves.tried, self.saves.acknowledged = dict(self.tried), dict(self.acknowledged)
        self.start()


def ended_by(realm, name):
    """Stops it. The call that fails may be one of its last."""
    realm.running[name].terminate()
    status = realm.running.pop(name).wait(30)
    need(status in (0, 7), f"{name}, which was stopped, ends with status {status}")


def daemon(realm, dice, name, saves, stays):
    """`name` starts and takes part in a save, and its n-th call fails."""
    roots = [name, "sources"]

    def round_with(**how):
        ended_by(realm, name)
        realm.launch(name, roots, **how)
        end = time.monotonic() + 30
        while not realm.ended(name) and not realm.answers(name):
            need(time.monotonic() < end, f"{name} neither answers nor ends")
            time.sleep(0.02)
        done = None if realm.ended(name) and name == "osaka" else saves.save()
        need(done is None or name == "osaka" or done.returncode == 0, "a save beside a node that fails")
        if name != "osaka":
            end = time.monotonic() + 4
            while not realm.ended(name) and time.monotonic() < end and not (realm.answers(name) and realm.caught_up(name, "osaka")):
                time.sleep(0.05)
        return done

    for other in ("sapporo", "naha"):
        realm.until(60, f"{other} has all", lambda other=other: realm.caught_up(other, "osaka"))
    kept = Kept(realm, saves)
    for _ in range(2):  # the first has more to catch up with
        round_with()
    calls = realm.counted()
    ended = {}
    for number, at in enumerate(spread(calls, dice), 1):
        if number % ROUNDS_KEPT == 0:
            for other in ("sapporo", "naha"):
                realm.until(60, f"{other} has all", lambda other=other: realm.caught_up(other, "osaka"))
            kept.put_back()
        seed = dice.getrandbits(32)
        try:
            done = round_with(at=at, seed=seed, stays=stays)
            said = realm.said()
            if done is not None and name == "osaka":
                say_so(done, "put")
            if realm.ended(name):
                status = realm.running.pop(name).returncode
                need(status in (6, 7), f"the daemon ends with status {status}")
            else:
                status = f"put {done.returncode}" if name == "osaka" else "goes on"
                if name == "osaka":
                    realm.until(20, "it shows what it acknowledged", lambda: saves.follows(name) or (stays and saves.shows_nothing_wrong(name)))
                ended_by(realm, name)
            realm.start(name)
            if name == "osaka":
                saves.check(name)
                again = saves.save()
                need(again.returncode == 0, f"the next save after a restart: {again.stderr.decode(errors='replace')}")
        except Failed as failed:
            raise Failed(f"{failed} ({name}, call {at} of {calls}, seed {seed}: {realm.said()})") from failed
        if not said:
            status = "not reached"
        ended[status] = ended.get(status, 0) + 1
        if os.environ.get("DOZO_FAILING_TOLD"):
            print(name, at, said, "->", status, flush=True)
    return ended


def test(dozo, dozod, dice):
    with FailingRealm(os.environ["DOZO_FAILING_LIBRARY"], dozo, dozod) as realm:
        saves = Saves(realm, dice)
        need(saves.save().returncode == 0, "nothing can be saved")
        realm.until(30, "sapporo has all", lambda: realm.caught_up("sapporo", "osaka"))
        out = commands(realm, dice, realm.shown("osaka"))
        for name in ("osaka", "sapporo"):
            for stays in (False, True):
                out[f"{name}{', and stays' if stays else ''}"] = daemon(realm, dice, name, saves, stays)
        for name in ("sapporo", "naha"):
            realm.until(60, f"{name} has all", lambda name=name: realm.caught_up(name, "osaka"))
        for name in ("osaka", "sapporo"):
            saves.check(name)
            need(realm.written_out(name) == realm.shown(name), f"{name} gives out something else than it shows")
        realm.stop("hq", *realm.MEMBERS)
        for name in realm.MEMBERS:
            realm.dozo("fsck", name, "--key-file", "secret")
        for kind, ended in out.items():
            need(ended.get("not reached", 0) <= sum(ended.values()) // 2, f"{kind}: hardly any call failed")
            print(f"{kind}: {', '.join(f'{count} x {how}' for how, count in sorted(ended.items(), key=str))}", flush=True)
        print(f"all of {len(saves.acknowledged)} acknowledged documents are there, of {len(saves.tried)} tried", flush=True)


if __name__ == "__main__":
    main(test)
