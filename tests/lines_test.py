"""Lines that are cut or slow while the nodes at both ends run: osaka and sapporo are cut off from each other and from all, both go on, and come to the same
when they meet; one that takes a byte a second holds up nobody but its own end.
"""

import os
import time

from lines import LinesRealm
from realm import main, need

ALL = ("hq", "osaka", "sapporo", "naha")


def put(realm, name, text, place):
    source = realm.path / "source.txt"
    source.write_text(text)
    realm.dozo("--home", name, "put", source, place)


def both(realm):
    """What osaka and sapporo show: view, history and conflicts, as they are printed."""
    return [tuple(realm.dozo("--home", name, *verb) for verb in (("ls", "-r", "works:", "--json"), ("log", "works:", "-n", "1000", "--json"), ("conflicts", "works", "--json")))
            for name in ("osaka", "sapporo")]


def agree(realm):
    one, other = both(realm)
    return one == other


def cut_off(realm):
    put(realm, "osaka", "第一版\n", "works:契約書.txt")
    realm.until(30, "sapporo has the first version", lambda: "契約書.txt" in realm.shown("sapporo"))
    for name in ("osaka", "naha"):
        realm.line("sapporo", name, 0)
    realm.line("sapporo", "hq", 0)
    put(realm, "osaka", "大阪の版\n", "works:契約書.txt")
    put(realm, "sapporo", "札幌の版\n", "works:契約書.txt")
    realm.dozo("--home", "osaka", "mv", "works:契約書.txt", "契約書 第2版.txt")
    put(realm, "osaka", "大阪の図面\n", "works:大阪.txt")
    put(realm, "sapporo", "札幌の図面\n", "works:札幌.txt")
    time.sleep(3)
    need("札幌.txt" not in realm.shown("osaka") and "大阪.txt" not in realm.shown("sapporo"), "the line is cut, and something came over it")
    held = realm.command("--home", "sapporo", "put", "source.txt", "works:held.txt", "--held", "1", "--timeout", "2")
    need(held.returncode == 7 and "saved here" in held.stderr.decode(), "a save that nobody else can have is said to be held")
    realm.until(60, "osaka notices that sapporo is away", lambda: not any(it["name"] == "sapporo" and it["up"] for it in realm.ask("osaka", "peers")))

    for name in ("osaka", "naha", "hq"):
        realm.line("sapporo", name)
    began = time.monotonic()
    realm.until(60, "both show the same", lambda: realm.caught_up("osaka", "sapporo") and realm.caught_up("sapporo", "osaka") and agree(realm))
    print(f"cut off from each other while both run: they agree {time.monotonic() - began:.1f} s after the line is there again", flush=True)
    shown = realm.shown("osaka")
    need({"契約書 第2版.txt", "大阪.txt", "札幌.txt", "held.txt"} <= set(shown), f"something is lost: {sorted(shown)}")
    conflicts = realm.ask("osaka", "conflicts", "works")
    need(len(conflicts) == 1, f"one document was edited at both, and there are {len(conflicts)} conflicts")
    realm.dozo("--home", "sapporo", "resolve", "works:契約書 第2版.txt", "--with", "source.txt")
    realm.until(60, "resolved at one it is resolved at the other", lambda: realm.ask("osaka", "conflicts", "works") == [] and agree(realm))


def slow(realm):
    """A peer that takes a byte a second, from everybody."""
    for name in ("osaka", "naha", "hq"):
        realm.line("sapporo", name, 1)
    folder = realm.path / "much"
    folder.mkdir()
    for i in range(20):
        (folder / f"写真 {i}").write_bytes(os.urandom(1_000_000))
    before = anonymous_bytes(realm, "osaka")
    slowest = 0.0
    for i in range(10):
        (folder / "写真 0").write_bytes(os.urandom(2_000_000))
        began = time.monotonic()
        realm.dozo("--home", "osaka", "put", folder, "works:", "--held", "1", "--timeout", "30")
        slowest = max(slowest, time.monotonic() - began)
    grown = anonymous_bytes(realm, "osaka") - before
    need(grown < 48 << 20, f"a peer that takes a byte a second has cost {grown >> 20} MiB")
    for name in ("osaka", "naha", "hq"):
        realm.line("sapporo", name)
    realm.until(120, "sapporo has all when its lines are fast again", lambda: realm.caught_up("sapporo", "osaka") and agree(realm))
    print(f"a peer that takes a byte a second: beside it a save is held by another within {slowest:.1f} s; {grown >> 10} KiB more memory", flush=True)


def anonymous_bytes(realm, name):
    with open(f"/proc/{realm.running[name].pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def test(dozo, dozod, _):
    with LinesRealm(dozo, dozod) as realm:
        cut_off(realm)
        slow(realm)


if __name__ == "__main__":
    main(test)
