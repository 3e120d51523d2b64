"""kill -9, thirty times, while documents are saved and while they travel: nothing that was acknowledged is lost, by its level.

local: what `dozo put` acknowledged at a node is there when the node runs again. held by n: what `dozo put --held` acknowledged is at others although one of
them was killed meanwhile, and survives the loss of all holders but one.
"""

import os
import random
import threading
import time

from realm import Realm, main, need, sha256

KILLS_IN_PUT = 14
KILLS_IN_SYNC = 10
KILLS_IN_HELD = 6


class Writer(threading.Thread):
    """Saves one thing after the other at a node until the node is gone: small files, and folders that take long enough to be cut off in the middle."""

    def __init__(self, realm, name, dice, round_number):
        super().__init__()
        self.realm, self.name, self.dice, self.round_number = realm, name, random.Random(dice.random()), round_number
        self.acknowledged, self.tried = {}, {}

    def run(self):
        for i in range(1000):
            top = f"{self.name} {self.round_number}.{i}"
            source = self.realm.path / "sources" / top
            source.mkdir(parents=True)
            content = {}
            big = i % 2 == 1
            for j in range(self.dice.randrange(20, 60) if big else 1):
                path = source / f"書類 {j}.txt"
                path.write_bytes(self.dice.randbytes(self.dice.randrange(100_000 if big else 3000)))
                content[f"{top}/{path.name}"] = sha256(path.read_bytes())
            self.tried.update(content)
            if self.realm.command("--home", self.name, "put", source, "works:").returncode != 0:
                return
            self.acknowledged.update(content)


def check_local(realm, name, acknowledged, tried):
    shown = realm.shown(name)
    lost = [path for path, digest in acknowledged.items() if shown.get(path) != digest]
    need(not lost, f"{len(lost)} documents that {name} had acknowledged are not there after kill -9, such as {lost[:1]}")
    wrong = [path for path, digest in shown.items() if tried.get(path) != digest]
    need(not wrong, f"{name} shows {len(wrong)} documents that nobody saved so, such as {wrong[:1]}")


def test(dozo, dozod, dice):
    with Realm(dozo, dozod) as realm:
        acknowledged, tried = {}, {}
        cut_off = 0
        for i in range(KILLS_IN_PUT):
            name = dice.choice(["osaka", "sapporo"])
            writer = Writer(realm, name, dice, i)
            writer.start()
            time.sleep(dice.uniform(0.02, 1.2))
            realm.kill(name)
            writer.join()
            acknowledged.update(writer.acknowledged)
            tried.update(writer.tried)
            cut_off += len(writer.tried) > len(writer.acknowledged)
            realm.start(name)
            # What the other one had acknowledged may still be on its way here.
            check_local(realm, name, writer.acknowledged, tried)
        need(cut_off == KILLS_IN_PUT, f"only {cut_off} of {KILLS_IN_PUT} kills cut a save off")
        print(f"{KILLS_IN_PUT} kills while saving: all of {len(acknowledged)} acknowledged documents are there, of {len(tried)} tried", flush=True)

        in_flight = 0
        for i in range(KILLS_IN_SYNC):
            source = realm.path / "sources" / f"travel {i}"
            source.mkdir()
            content = {}
            for j in range(30):
                (source / f"写真 {j}").write_bytes(dice.randbytes(dice.randrange(200_000)))
                content[f"{source.name}/写真 {j}"] = sha256((source / f"写真 {j}").read_bytes())
            realm.dozo("--home", "osaka", "put", source, "works:")
            acknowledged.update(content)
            tried.update(content)
            time.sleep(dice.choice([0, 0, dice.uniform(0, 0.05), dice.uniform(0, 0.5)]))
            victim = dice.choice(["sapporo", "naha", "osaka"])
            realm.kill(victim)
            realm.start(victim)
            in_flight += not (realm.caught_up("sapporo", "osaka") and realm.caught_up("naha", "osaka"))
            check_local(realm, "osaka", content, tried)
        realm.until(60, "sapporo has all", lambda: realm.caught_up("sapporo", "osaka"))
        realm.until(60, "naha has all", lambda: realm.caught_up("naha", "osaka"))
        for name in ("osaka", "sapporo"):
            check_local(realm, name, acknowledged, tried)
            need(realm.written_out(name) == realm.shown(name), f"{name} gives out something else than it shows")
        need(realm.shown("osaka") == realm.shown("sapporo"), "osaka and sapporo show different things")
        need(in_flight > 0, "no kill came while anything was on its way")
        print(f"{KILLS_IN_SYNC} kills while syncing ({in_flight} with something still on its way): all {len(acknowledged)} are at both", flush=True)

        for i in range(KILLS_IN_HELD):
            source = realm.path / "sources" / f"vouched {i}"
            source.mkdir()
            for j in range(30):
                (source / f"図面 {j}").write_bytes(dice.randbytes(dice.randrange(200_000)))
            content = {f"{source.name}/{it.name}": sha256(it.read_bytes()) for it in source.iterdir()}
            tried.update(content)
            done = []
            saving = threading.Thread(target=lambda source=source, done=done: done.append(realm.command("--home", "osaka", "put", source, "works:", "--held", "1", "--timeout", "20")))
            saving.start()
            time.sleep(dice.uniform(0, 0.25))
            victim = dice.choice(["sapporo", "naha"])
            realm.kill(victim)
            saving.join()
            need(done[0].returncode == 0, f"what one other node can hold is not acknowledged as held: {done[0].stderr.decode(errors='replace')}")
            acknowledged.update(content)
            # Its own node is away: who vouched for it is the one that lived, or the victim before its death.
            realm.stop("osaka")
            realm.start(victim)
            realm.until(30, "sapporo has it without osaka", lambda content=content: content.items() <= realm.shown("sapporo").items())
            realm.until(30, "and can give it out", lambda: realm.state("sapporo")[1] == 0)
            need(realm.written_out("sapporo", source.name) == content, "what was held by one other is not given out without its own node")
            realm.start("osaka")
        print(f"{KILLS_IN_HELD} kills while others take what is to be held by one of them: all of it is there without its own node", flush=True)

        source = realm.path / "sources" / "held"
        source.mkdir()
        for j in range(20):
            (source / str(j)).write_bytes(os.urandom(50_000))
        realm.dozo("--home", "osaka", "put", source, "works:", "--held", "2", "--timeout", "60")
        held = realm.shown("osaka")
        realm.until(30, "that is protected, as the policy wants it", lambda: realm.ask("osaka", "replicas", "works")["protected"])
        for name in ("osaka", "sapporo", "naha"):
            realm.kill(name)
        realm.start("naha")
        realm.replace_node("osaka")
        realm.until(90, "the replacement has all", lambda: realm.caught_up("osaka", "naha"))
        need(realm.written_out("osaka") == held, "what was held by three is not all there with one of them left")
        print(f"held by three, two lost: all {len(held)} are there", flush=True)


if __name__ == "__main__":
    main(test)
