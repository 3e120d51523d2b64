"""Stopping somebody in a hurry, over real daemons: an officer's suspension reaches every connected node within ten seconds, others on first contact, and the policy's custodians lift it or
make it their own.

    tests/suspend_test.py DOZO DOZOD
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from realm import Failed, Realm, main, need  # noqa: E402

WITHIN_S = 10


def suspend(realm, number, *whom):
    realm.dozo("authority", "suspend", "--home", "hq", "--key", f"authority/keys/emergency-{number}.key", "--key-file", "secret", "--reason", "a key was stolen", "--yes", *whom)


def is_refused(realm, name, says="headquarters has stopped"):
    """Whether that node lets nobody save."""
    (realm.path / "note").write_text(f"{time.monotonic()}", encoding="utf-8")
    done = realm.command("--home", name, "put", "note", "works:")
    if done.returncode == 0:
        return False
    text = done.stderr.decode()
    if says not in text:
        raise Failed(f"{name}: {text}")
    need("a key was stolen" in text and done.returncode == 4, f"why, and status 4: {done.returncode} {text}")
    return True


def settle(realm, verb):
    realm.dozo("authority", verb, "authority", "--home", "hq")
    realm.publish()


def test(dozo, dozod, _):
    with Realm(dozo, dozod) as realm:
        told(realm)


def told(realm):
    homes = ("osaka", "sapporo")
    (realm.path / "note").write_text("before", encoding="utf-8")
    for name in homes:
        realm.dozo("--home", name, "put", "note", "works:")
    realm.until(30, "both show the same", lambda: realm.caught_up("osaka", "sapporo"))

    # ---- everything, at once; who was away obeys on first contact
    realm.stop("sapporo")
    began = time.monotonic()
    suspend(realm, 1, "--everything")
    realm.until(WITHIN_S, "osaka obeys", lambda: is_refused(realm, "osaka"))
    print(f"a suspension was obeyed after {time.monotonic() - began:.1f} s")
    realm.start("sapporo")
    realm.until(WITHIN_S, "sapporo obeys on first contact", lambda: is_refused(realm, "sapporo"))
    need(any("an officer has suspended everything until" in it for it in realm.ask("osaka", "status")["notices"]), "status says so")

    # Nobody's officer lifts it; a publication does.
    settle(realm, "lift")
    for name in homes:
        realm.until(WITHIN_S, f"{name} works again", lambda name=name: not is_refused(realm, name))

    # ---- a person, by another officer; the nodes themselves go on
    realm.dozo("--home", "osaka", "person", "login", "sato.key", "--role", "clerk", "--key-file", "secret")
    need(not is_refused(realm, "osaka"), "sato may save")
    suspend(realm, 2, "--person", "sato")
    realm.until(WITHIN_S, "sato may not", lambda: is_refused(realm, "osaka", "stopped this person's work"))
    need(not is_refused(realm, "sapporo"), "others go on")
    for whom, says in (("--person", "nobody"), ("--node", "nowhere"), ("--library", "nothing"), ("--unit", "none"), ("--role", "none")):
        done = realm.command("authority", "suspend", "--home", "hq", "--key", "authority/keys/emergency-2.key", "--key-file", "secret", "--reason", "x", "--yes", whom, says)
        need(done.returncode == 3 and says in done.stderr.decode(), f"an unknown name is no suspension: {done.stderr}")

    # Ratified, it is the policy's: it no longer ends by itself, and no officer's number counts.
    settle(realm, "ratify")
    realm.until(WITHIN_S, "the policy stops sato", lambda: any("the policy stops person sato" in it for it in realm.ask("osaka", "status")["notices"]))
    need(is_refused(realm, "osaka", "stopped this person's work"), "sato may still not")
    need(not any("an officer" in it for it in realm.ask("osaka", "status")["notices"]), "the officer's is over")
    source = realm.path / "authority/policy.toml"
    text = source.read_text(encoding="utf-8")
    need(text.count("[[stop]]") == 1 and text.count("[[lift]]") == 2, "the source says it")
    source.write_text(text.replace('people = ["sato"]\n', 'nodes = ["naha"]\n'), encoding="utf-8")
    realm.publish()
    realm.until(WITHIN_S, "sato works again", lambda: not is_refused(realm, "osaka"))


if __name__ == "__main__":
    main(test)
