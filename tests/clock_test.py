"""Clocks that are wrong by years: a policy that has expired is refused by who has none yet, and a daemon whose clock is wrong says so, loses nothing that it
acknowledged, and harms nobody else's documents.

Programs with a wrong clock run with shifted_clock.cpp loaded before them, whose path is DOZO_SHIFTED_CLOCK.
"""

import contextlib
import os

from realm import Realm, main, need

YEAR_S = 365 * 24 * 60 * 60


@contextlib.contextmanager
def clock_off(shift_s):
    """What is begun within has a clock that is wrong so."""
    os.environ.update(LD_PRELOAD=os.environ["DOZO_SHIFTED_CLOCK"], DOZO_CLOCK_SHIFT_S=str(shift_s))
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"], os.environ["DOZO_CLOCK_SHIFT_S"]


def expired(realm):
    """Headquarters of another realm, which signed all four years ago. A node without a policy is offered that."""
    with clock_off(-4 * YEAR_S):
        realm.dozo("authority", "init", "old", "--realm", "Old", "--key-file", "secret")
        realm.dozo("node", "init", "old-hq", "--realm", "old/realm.json", "--name", "head", "--kind", "hq", "--zone", "z", "--key-file", "secret")
        realm.dozo("authority", "admit", "old", "old-hq/request.json", "--key-file", "secret")
        realm.dozo("authority", "publish", "old", "--yes", "--key-file", "secret")
    realm.start("old-hq")
    refused = realm.command("authority", "offer", "old", "--home", "old-hq")
    lines = refused.stderr.decode().splitlines()
    need(refused.returncode == 4, f"a policy that has expired is offered, and that ends with {refused.returncode}: {lines}")
    need(len(lines) == 2 and "has expired" in lines[0] and "is at policy 0" in lines[1], f"what is said of a policy that has expired: {lines}")
    need(realm.ask("old-hq", "status")["policy"] == 0, "a policy that has expired came into force")
    realm.dozo("authority", "publish", "old", "--yes", "--key-file", "secret", "--home", "old-hq")
    need(realm.ask("old-hq", "status")["policy"] == 2, "after one that had expired none comes into force")
    realm.stop("old-hq")
    print("a policy that has expired is refused in one line, and one that was signed now is taken", flush=True)


def put(realm, name, path):
    (realm.path / path).write_text(f"{path}, saved at {name}\n")
    realm.dozo("--home", name, "put", path, "works:")


def said(realm, name, text):
    return any(text in line for line in realm.ask(name, "status")["notices"])


def test(dozo, dozod, _):
    with Realm(dozo, dozod) as realm:
        expired(realm)
        put(realm, "osaka", "before")
        realm.until(30, "sapporo has it", lambda: "before" in realm.shown("sapporo"))

        # Years behind: what is saved counts, everywhere.
        realm.stop("sapporo")
        with clock_off(-10 * YEAR_S):
            realm.start("sapporo")
        put(realm, "sapporo", "behind")
        realm.until(30, "what a node saves whose clock is behind is shown elsewhere", lambda: "behind" in realm.shown("osaka"))
        realm.until(30, "a clock that is behind is said", lambda: said(realm, "sapporo", "clock is behind"))
        need(set(realm.shown("sapporo")) == {"before", "behind"}, "a node whose clock is behind shows less")
        realm.stop("sapporo")

        # Years ahead: what is saved is kept at once, and counts when its time has come. Nobody else is held up.
        with clock_off(3 * YEAR_S):
            realm.start("sapporo")
        put(realm, "sapporo", "ahead")
        need("ahead" in realm.shown("sapporo"), "a node does not show what it has just acknowledged")
        put(realm, "osaka", "meanwhile")
        realm.until(30, "sapporo has what osaka saved", lambda: "meanwhile" in realm.shown("sapporo"))
        realm.until(30, "osaka has all of sapporo's", lambda: realm.caught_up("osaka", "sapporo"))
        realm.until(30, "osaka says that a clock is wrong", lambda: said(realm, "osaka", "a clock is wrong"))
        need("ahead" not in realm.shown("osaka"), "what is dated years ahead is shown")

        # The clock is put right: the same everywhere, and what waits is named, kept, and can be saved anew.
        realm.stop("sapporo")
        realm.start("sapporo")
        realm.until(30, "both show the same", lambda: realm.shown("sapporo") == realm.shown("osaka"))
        need(set(realm.shown("osaka")) == {"before", "behind", "meanwhile"}, f"shown in the end: {sorted(realm.shown('osaka'))}")
        put(realm, "sapporo", "ahead")
        realm.until(30, "what is saved anew is shown everywhere", lambda: "ahead" in realm.shown("osaka") and realm.shown("sapporo") == realm.shown("osaka"))
        for name in ("osaka", "sapporo"):
            need(realm.written_out(name) == realm.shown(name), f"{name} gives out something else than it shows")
        print("clocks ten years behind and three ahead: said, nothing lost, nobody held up", flush=True)


if __name__ == "__main__":
    main(test)
