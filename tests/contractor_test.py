"""A contractor's node, over real daemons: it works in the library that it shares with a bureau, by its slice of the directory alone, decides there as the bureau does, and learns nothing of
anything else.

    tests/contractor_test.py DOZO DOZOD
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from realm import Realm, main, need  # noqa: E402

WITHIN_S = 20

SHARED = """[[library]]
name = "shared"
title = "Bridge 7"
home = "osaka"
members.osaka = { holding = "full", write = true }
members.builder = { holding = "full", write = true }
[[org]]
id = "company"
title = "Company"
[[post]]
id = "site"
title = "Site"
org = "company"
roles = ["site"]
[[permit]]
id = "site-work"
roles = ["site", "clerk"]
actions = ["read", "write"]
libraries = ["shared"]
[[forbid]]
id = "site-elsewhere"
roles = ["site"]
actions = ["read", "write"]
libraries = ["works"]
"""


def test(dozo, dozod, _):
    with Realm(dozo, dozod) as realm:
        told(realm)


def save(realm, home, name, text):
    (realm.path / name).write_text(text, encoding="utf-8")
    return realm.command("--home", home, "put", name, "Bridge 7:")


def shown(realm, home):
    return {row["path"]: row["sha256"] for row in realm.ask(home, "ls", "-r", "Bridge 7:") if row["kind"] == "file"}


def answers(realm, home):
    """What that node says of who may do what in the shared library."""
    out = []
    for who in ("sato/clerk", "kato/site"):
        for action in ("read", "write", "administer"):
            out.append(realm.command("--home", home, "policy", "explain", who, action, "Bridge 7").stdout.decode().split(":")[0])
    for action in ("read", "write"):
        out.append(sorted(row["name"] for row in realm.ask(home, "policy", "who-can", action, "Bridge 7")["rows"]))
    return out


def told(realm):
    realm.ports["builder"] = realm.ports["naha"]  # naha rests: its ports are free
    realm.stop("naha")
    realm.make_node("builder", "bureau", "company")
    realm.dozo("person", "new", "kato", "--realm", "authority/realm.json", "--shown", "Kato", "--key-file", "secret")
    realm.dozo("person", "new", "bond", "--realm", "authority/realm.json", "--shown", "Bond", "--key-file", "secret")
    realm.dozo("authority", "admit", "authority", "builder/request.json", "kato.request.json", "bond.request.json", "--key-file", "secret")
    source = realm.path / "authority/policy.toml"
    text = source.read_text(encoding="utf-8")
    text = text.replace('name = "builder"\nkind = "bureau"\n', 'name = "builder"\nkind = "bureau"\nslice = true\n')
    text = text.replace('name = "kato"\nshown = "Kato"\n', 'name = "kato"\nshown = "Kato"\nposts = [{ post = "site" }]\n')
    text = text.replace('name = "bond"\nshown = "Bond"\n', 'name = "bond"\nshown = "Bond"\nposts = [{ post = "agent" }]\n')
    text = text.replace('[[permit]]\nid = "work"\n', '[[post]]\nid = "agent"\ntitle = "Agent"\norg = "roads"\nroles = ["agent"]\n[[permit]]\nid = "work"\n')
    text = text.replace('id = "work"\nroles = ["clerk", "service"]\n', 'id = "work"\nroles = ["clerk", "service", "agent"]\nlibraries = ["works"]\n')
    source.write_text(text + SHARED, encoding="utf-8")
    realm.publish()
    realm.start("builder")
    realm.dozo("--home", "builder", "node", "join", "--timeout", "60")
    realm.until(WITHIN_S, "the builder has its library", lambda: [row["title"] for row in realm.ask("builder", "library", "list")] == ["Bridge 7"])

    # ---- both work in it, and judge each other's work alike
    realm.dozo("--home", "builder", "person", "login", "kato.key", "--role", "site", "--key-file", "secret")
    realm.dozo("--home", "osaka", "person", "login", "sato.key", "--role", "clerk", "--key-file", "secret")
    need(save(realm, "builder", "drawing", "by the builder").returncode == 0, "the builder saves")
    need(save(realm, "osaka", "remark", "by the bureau").returncode == 0, "the bureau saves")
    realm.until(WITHIN_S, "both show both", lambda: shown(realm, "builder") == shown(realm, "osaka") and len(shown(realm, "builder")) == 2)
    for home in ("builder", "osaka"):
        need({row["author"] for row in realm.ask(home, "log", "Bridge 7:")} == {"Kato", "Sato"}, f"{home} knows who wrote")
        need(all(row["refused"] == 0 for row in realm.ask(home, "library", "list")), f"{home} refuses nothing")
    need(answers(realm, "builder") == answers(realm, "osaka"), f"{answers(realm, 'builder')} and {answers(realm, 'osaka')}")

    # ---- of others it knows nothing
    for name in ("bond", "nobody"):
        done = realm.command("--home", "builder", "policy", "explain", name, "read", "Bridge 7")
        need(done.returncode == 3 and b"names no such person" in done.stderr, f"{name}: {done.stderr}")
    done = realm.command("--home", "builder", "policy", "explain", "kato", "read", "works")
    need(done.returncode == 3 and b"no such library" in done.stderr, f"works: {done.stderr}")
    need(realm.command("--home", "osaka", "policy", "explain", "bond", "read", "works").returncode == 0, "osaka does")
    need(realm.command("--home", "builder", "person", "login", "bond.key", "--role", "agent", "--key-file", "secret").returncode != 0, "bond has no business there")

    # ---- and so after a restart, and when what its slice says changes
    realm.stop("builder")
    source.write_text(source.read_text(encoding="utf-8").replace('shown = "Kato"', 'shown = "Kato Jiro"'), encoding="utf-8")
    realm.publish()
    realm.start("builder")
    realm.until(WITHIN_S, "the builder has the new policy", lambda: realm.ask("builder", "status")["policy"] == realm.ask("hq", "status")["policy"])
    realm.dozo("--home", "builder", "person", "login", "kato.key", "--role", "site", "--key-file", "secret")
    need(save(realm, "builder", "drawing", "once more").returncode == 0, "the builder saves again")
    realm.until(WITHIN_S, "osaka shows it", lambda: shown(realm, "builder") == shown(realm, "osaka"))
    authors = {row["author"] for row in realm.ask("osaka", "log", "Bridge 7:")}
    need(authors == {"Kato", "Kato Jiro", "Sato"}, f"by the names of then: {authors}")
    need(answers(realm, "builder") == answers(realm, "osaka"), "alike again")


if __name__ == "__main__":
    main(test)
