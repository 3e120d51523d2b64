"""A unit with administrators of its own, over real daemons: what two of them sign is honoured at the unit's own node at once, headquarters lists it, and then it counts everywhere; whatever
reaches further is refused before anybody signs.

    tests/unit_test.py DOZO DOZOD
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from realm import Realm, main, need  # noqa: E402

WITHIN_S = 20

UNIT = """unit = "north"
[[post]]
id = "north-clerk"
title = "Clerk"
roles = ["clerk"]
"""
PERSON = """[[person]]
name = "north-{0}"
shown = "{0}"
request = "north-{0}.request.json"
posts = [{{ post = "north-clerk" }}]
"""


def publish_unit(realm, text, *options, good=True):
    (realm.path / "north.toml").write_text(text, encoding="utf-8")
    done = realm.command("--home", "sapporo", "unit", "publish", "north.toml", "--key", "one.key", "--key-file", "secret", "--yes", *options)
    need((done.returncode == 0) == good, f"unit publish: {done.returncode} {done.stderr.decode()}")
    return done.stderr.decode() + done.stdout.decode()


def save(realm, home, text):
    (realm.path / "note").write_text(text, encoding="utf-8")
    return realm.command("--home", home, "put", "note", "works:")


def login(realm, home, name):
    return realm.command("--home", home, "person", "login", f"{name}.key", "--role", "clerk", "--key-file", "secret")


def test(dozo, dozod, _):
    with Realm(dozo, dozod) as realm:
        told(realm)


def told(realm):
    keys = [json.loads(realm.dozo("unit", "key", f"{name}.key", "--key-file", "secret", "--json"))["key"] for name in ("one", "two", "other")]
    for name in ("abe", "baba"):
        realm.dozo("person", "new", f"north-{name}", "--realm", "authority/realm.json", "--key-file", "secret")
    source = realm.path / "authority/policy.toml"
    text = source.read_text(encoding="utf-8")
    source.write_text(text + f"""[[org]]
id = "north"
title = "North"
[[delegation]]
org = "north"
keys = ["{keys[0]}", "{keys[1]}"]
threshold = 2
roles = ["clerk"]
nodes = ["sapporo"]
""", encoding="utf-8")
    realm.publish()
    realm.until(WITHIN_S, "sapporo knows of it", lambda: realm.command("--home", "sapporo", "unit", "show", "north").returncode == 0)

    # ---- refused, with a reason, before anybody signs
    for wrong, says in ((UNIT.replace('roles = ["clerk"]', 'roles = ["chief"]'), "not delegated"), (UNIT.replace("north-clerk", "clerk"), "must begin with"),
                        (UNIT.replace('title = "Clerk"', 'title = "Clerk"\norg = "roads"'), "not below this one"),
                        (UNIT + PERSON.format("abe").replace('request = "north-abe', 'request = "north-baba'), "is of \"north-baba\""),
                        (UNIT + PERSON.format("abe").replace("north-clerk", "chief"), "there is no post"), (UNIT.replace('"north"', '"south"', 1), "south")):
        need(says in (said := publish_unit(realm, wrong, good=False)), f"{says}: {said}")
    need("give --output" in publish_unit(realm, UNIT, good=False), "one of two is not enough")
    done = realm.command("--home", "sapporo", "unit", "publish", "north.toml", "--key", "other.key", "--key-file", "secret", "--yes", "-o", "draft.json")
    need(done.returncode != 0 and b"delegates nothing to this key" in done.stderr, f"a stranger's key: {done.stderr}")

    # ---- two sign, one after the other, and the unit's own node goes by it at once
    need(login(realm, "sapporo", "north-abe").returncode != 0, "nobody knows abe yet")
    said = publish_unit(realm, UNIT + PERSON.format("abe"), "-o", "draft.json")
    need("signed by 1 of 2" in said and "north-abe" in said, said)
    said = realm.dozo("--home", "sapporo", "unit", "sign", "draft.json", "--key", "two.key", "--key-file", "secret", "--yes")
    need("north version 1 is in force" in said and "north-abe" in said, said)
    need(login(realm, "sapporo", "north-abe").returncode == 0, "abe may begin a session at the unit's node")
    need(login(realm, "osaka", "north-abe").returncode != 0, "and nowhere else")
    done = save(realm, "sapporo", "too early")
    need(done.returncode != 0 and b"headquarters has not listed it yet" in done.stderr, f"what would not count elsewhere is not saved: {done.stderr}")

    # ---- what was refused stands in the node's log: by which version and rule, and without names
    def logged():
        realm.ask("sapporo", "status")  # it writes its log when it has something to do
        return [line for line in realm.log("sapporo").read_text(encoding="utf-8").splitlines() if " refused: " in line]
    realm.until(WITHIN_S, "the log says it", lambda: any("write in library" in it for it in logged()) and any("a session of person" in it for it in logged()))
    need(any("write in library" in it and "policy 2: as no permit fits" in it for it in logged()), f"with version and rule: {logged()}")
    need(not any(name in line.split("refused: ")[1] for line in logged() for name in ("abe", "works", "note", "clerk")), f"without names: {logged()}")

    # ---- headquarters' node has it by itself; a publication without any other change lists it
    realm.until(WITHIN_S, "it is at headquarters", lambda: realm.ask("hq", "unit", "show", "north")["version"] == 1)
    need(realm.ask("hq", "unit", "show", "north")["listed"] == 0, "not listed yet")
    said = realm.dozo("authority", "publish", "authority", "--yes", "--home", "hq", "--key-file", "secret")
    need("north-abe" in said, f"who signs is shown what people gain: {said}")
    realm.until(WITHIN_S, "sapporo has it listed", lambda: realm.ask("sapporo", "unit", "show", "north")["listed"] == 1)
    done = save(realm, "sapporo", "now it counts")
    need(done.returncode == 0, f"abe saves: {done.stderr}")
    realm.until(WITHIN_S, "osaka shows it", lambda: realm.shown("osaka") == realm.shown("sapporo") and realm.shown("osaka"))
    need(realm.ask("osaka", "log", "works:")[0]["author"] == "abe", "in abe's name")
    need(login(realm, "osaka", "north-abe").returncode == 0, "now osaka knows abe too")

    # ---- taken back by the unit: at once at its own node, and what was written stays
    publish_unit(realm, UNIT + PERSON.format("baba"), "-o", "draft.json")
    realm.dozo("--home", "sapporo", "unit", "sign", "draft.json", "--key", "two.key", "--key-file", "secret", "--yes")
    done = save(realm, "sapporo", "after the end")
    need(done.returncode != 0 and b"administrators have ended that" in done.stderr, f"abe writes no more: {done.stderr}")
    realm.stop("sapporo")
    realm.start("sapporo")
    need(login(realm, "sapporo", "north-abe").returncode != 0, "nor after a restart")
    need(login(realm, "sapporo", "north-baba").returncode == 0, "baba may")
    realm.until(WITHIN_S, "headquarters has it", lambda: realm.ask("hq", "unit", "show", "north")["version"] == 2)
    realm.publish()
    realm.until(WITHIN_S, "osaka has it listed", lambda: realm.ask("osaka", "unit", "show", "north")["listed"] == 2)
    realm.until(WITHIN_S, "sapporo has it listed", lambda: realm.ask("sapporo", "unit", "show", "north")["listed"] == 2)
    need(realm.shown("osaka") == realm.shown("sapporo") != {}, "abe's work stays")
    need(save(realm, "sapporo", "by baba").returncode == 0, "baba writes")

    realm.until(WITHIN_S, "the log says why", lambda: any("by what its unit has signed since" in it for it in logged()))

    # ---- the same once more is no mistake
    realm.dozo("--home", "sapporo", "unit", "offer", "draft.json")


if __name__ == "__main__":
    main(test)
