"""The power goes, again and again, while documents are saved, while they travel and while history is made: what was not synced to the disk is gone or torn, and
nothing that was acknowledged is lost.

The daemon that is cut off runs with power_cut.cpp loaded before it, which forgets what was not synced and kills it. DOZO_POWER_CUTS: how many cuts.
"""

import os
import random
import subprocess
import threading
import time

from realm import Failed, Realm, main, need, sha256

CUTS = int(os.environ.get("DOZO_POWER_CUTS", "21"))


class PowerRealm(Realm):
    """`cut`: the library that is loaded before a daemon."""

    def __init__(self, cut, *arguments):
        self.cut = cut
        super().__init__(*arguments)

    def launch(self, name, **environment):
        root = f"{self.path / name}/"
        with open(self.log(name), "ab") as log:
            self.running[name] = subprocess.Popen([self.programs[1], name], cwd=self.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  env={**os.environ, "LD_PRELOAD": self.cut, "DOZO_POWER_ROOT": root, **environment})

    def answers(self, name):
        return self.command("--home", name, "status").returncode == 0

    def ended(self, name):
        return self.running[name].poll() is not None

    def wait_for_start(self, name):
        """Until it answers, or the power is gone already."""
        end = time.monotonic() + 30
        while not self.ended(name) and not self.answers(name):
            need(time.monotonic() < end, f"{name} neither answers nor ends")
            time.sleep(0.02)


class Work(threading.Thread):
    """What a round does until its node is gone: small and large saves, or listing the history."""

    def __init__(self, realm, name, kind, dice, number):
        super().__init__()
        self.realm, self.name, self.kind, self.dice, self.number = realm, name, kind, random.Random(dice.random()), number
        self.acknowledged, self.tried = {}, {}

    def run(self):
        for i in range(3):
            top = f"{self.kind} {self.number}.{i}"
            source = self.realm.path / "sources" / top
            source.mkdir(parents=True)
            content = {}
            for j in range(self.dice.choice([1, 1, 40])):
                path = source / f"書類 {j}.txt"
                path.write_bytes(self.dice.randbytes(self.dice.choice([10, 3000, 300_000])))
                content[f"{top}/{path.name}"] = sha256(path.read_bytes())
            self.tried.update(content)
            done = self.realm.command("--home", "osaka", "put", source, "works:")
            if done.returncode == 0:
                self.acknowledged.update(content)
            if self.kind == "log":
                self.realm.command("--home", self.name, "log", "works:")


def check(realm, name, acknowledged, tried):
    shown = realm.shown(name)
    lost = [path for path, digest in acknowledged.items() if shown.get(path) != digest]
    need(not lost, f"{len(lost)} documents that {name} had acknowledged are not there after a power cut, such as {lost[:1]}")
    wrong = [path for path, digest in shown.items() if tried.get(path) != digest]
    need(not wrong, f"{name} shows {len(wrong)} documents that nobody saved so, such as {wrong[:1]}")


def calls(realm, name, kind, dice, tried, acknowledged):
    """How many calls a round of this kind makes."""
    count = realm.path / "count"
    realm.stop(name)
    realm.launch(name, DOZO_POWER_COUNT=str(count))
    realm.until(30, f"{name} answers", lambda: realm.answers(name))
    work = Work(realm, name, kind, dice, "calls")
    work.run()
    tried.update(work.tried)
    acknowledged.update(work.acknowledged)
    realm.until(30, f"{name} has all", lambda: realm.caught_up(name, "osaka"))
    realm.stop(name)
    realm.start(name)
    size = count.stat().st_size
    count.unlink()
    return size


def disk_that_lies(realm, dice):
    """The control: where nothing that is synced comes to the disk, an acknowledged save must be found missing, or the store damaged. Not each time: the dice may
    leave all that was written where it is."""
    for at in 4 * (260, 190, 130):
        realm.stop("osaka")
        realm.launch("osaka", DOZO_POWER_AT=str(at), DOZO_POWER_SEED=str(dice.getrandbits(32)), DOZO_POWER_DEAF="1")
        realm.wait_for_start("osaka")  # a save before would be refused for want of a daemon
        saved, end = {}, time.monotonic() + 60
        while not realm.ended("osaka"):
            need(time.monotonic() < end, "the power does not go in the control")
            source = realm.path / "sources" / f"control {at}.{len(saved)}"
            source.write_bytes(dice.randbytes(3000))
            if realm.command("--home", "osaka", "put", source, "works:").returncode == 0:
                saved[source.name] = sha256(source.read_bytes())
        realm.running.pop("osaka")
        with open(realm.log("osaka"), "ab") as log:
            again = subprocess.Popen([realm.programs[1], "osaka"], cwd=realm.path, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while again.poll() is None and not realm.answers("osaka") and time.monotonic() < end:
            time.sleep(0.05)
        if again.poll() is not None:
            need(again.returncode in (4, 6, -6, -7, -11), f"a torn store ends the daemon with status {again.returncode}")
            return  # it refuses the store, or dies of LMDB's pages: the mark that has them checked after a death may be lost as well
        try:
            shown = realm.shown("osaka")
        except Failed as failed:
            need(any(loss in str(failed) for loss in ("no policy yet", "no library of this name", "status 6")), f"the control's daemon fails in another way: {failed}")
            shown = {}
        again.terminate()
        again.wait()
        if any(shown.get(path) != digest for path, digest in saved.items()):
            return
        realm.start("osaka")
    raise Failed("a disk that lies loses nothing: the test sees nothing")


def test(dozo, dozod, dice):
    cut = os.environ["DOZO_POWER_CUT"]
    kinds = {"put": "osaka", "sync": "sapporo", "log": "osaka"}
    with PowerRealm(cut, dozo, dozod) as realm:
        acknowledged, tried, cuts, missed = {}, {}, dict.fromkeys(kinds, 0), 0
        most = {kind: calls(realm, name, kind, dice, tried, acknowledged) for kind, name in kinds.items()}
        need(min(most.values()) > 20, f"the disk is hardly written to: {most}")
        number = 0
        while sum(cuts.values()) < CUTS:
            number += 1
            need(missed < 10 + CUTS, "the power hardly ever goes")
            kind = min(kinds, key=lambda it: (cuts[it], it))
            name = kinds[kind]
            seed, at = dice.getrandbits(32), dice.randrange(1, most[kind])
            realm.stop(name)
            realm.launch(name, DOZO_POWER_AT=str(at), DOZO_POWER_SEED=str(seed))
            realm.wait_for_start(name)
            work = Work(realm, name, kind, dice, number)
            if kind != "sync" or not realm.ended(name):
                work.start()
                while work.is_alive() and not realm.ended(name):
                    time.sleep(0.01)
                end = time.monotonic() + 2
                while not realm.ended(name) and time.monotonic() < end:
                    time.sleep(0.02)
                work.join()
            was_cut = realm.ended(name)
            if was_cut:
                realm.running.pop(name)
            else:
                realm.stop(name)
            cuts[kind] += was_cut
            missed += not was_cut
            tried.update(work.tried)
            acknowledged.update(work.acknowledged)
            for kept in realm.path.glob("*.power-*"):
                kept.unlink()
            try:
                realm.start(name)
                if kind != "sync":
                    check(realm, name, acknowledged, tried)
            except Failed as failed:
                raise Failed(f"{failed} (cut of {kind} at call {at}, seed {seed})") from failed
        for other in ("sapporo", "naha"):
            realm.until(60, f"{other} has all", lambda other=other: realm.caught_up(other, "osaka"))
        for name in ("osaka", "sapporo"):
            check(realm, name, acknowledged, tried)
            need(realm.written_out(name) == realm.shown(name), f"{name} gives out something else than it shows")
        need(realm.shown("osaka") == realm.shown("sapporo"), "osaka and sapporo show different things")
        realm.stop("hq", *realm.MEMBERS)
        for name in realm.MEMBERS:
            realm.dozo("fsck", name, "--key-file", "secret")
        realm.start("osaka")
        disk_that_lies(realm, dice)
        print(f"{sum(cuts.values())} power cuts ({', '.join(f'{count} in {kind}' for kind, count in cuts.items())}; {missed} rounds ended before theirs): "
              f"all of {len(acknowledged)} acknowledged documents are there, of {len(tried)} tried; a disk that lies is found out", flush=True)


if __name__ == "__main__":
    main(test)
