"""The disk of a node goes bad: bits flip and pages turn to zeros in either of its two stores, while it is stopped. Never are wrong bytes given out; what is
damaged is healed from the others or named; and whatever is in ruins is whole again after `dozo fsck --rebuild` and a start.

DOZO_DAMAGES: how many times.
"""

import os
import shutil
import signal
import time

from realm import Failed, Realm, main, need, sha256

DAMAGES = int(os.environ.get("DOZO_DAMAGES", "6"))
PAGE = 4096


def harm(path, dice):
    """What was done, for people."""
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        kind = dice.choice(["bits", "bits", "pages", "root"])
        places = []
        for _ in range(dice.randrange(1, 30) if kind == "bits" else dice.randrange(1, 5)):
            at = dice.randrange(size) if kind != "root" else dice.randrange(min(size, 24 * PAGE))
            if kind == "bits":
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << dice.randrange(8)]))
            else:
                at -= at % PAGE
                file.seek(at)
                file.write(bytes(PAGE))
            places.append(at)
        return f"{kind} of {path.parent.name} at {places[:6]}"


def starts(realm, name):
    """Whether it runs; None: it ended in the way in which it may."""
    try:
        realm.start(name)
        return True
    except Failed:
        if runs(realm, name):
            raise
        return ended_well(realm, name)


def ended_well(realm, name):
    process = realm.running[name]
    status = process.wait(30)
    del realm.running[name]
    # A page that leads LMDB astray may kill its reader; the next start looks before it opens.
    allowed = (0, 6, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)
    said = realm.log(name).read_text(errors="replace")[-500:]
    is_beginning = status == 4 and "damaged" in said and "(dozo fsck)" in said  # nobody can tell it from another node's, or another version's
    need(status in allowed or is_beginning, f"{name} ended with {status} on a damaged disk: {said}")
    return False


def halt(realm, name):
    if runs(realm, name):
        realm.running[name].terminate()
    ended_well(realm, name)


def gives_nothing_wrong(realm, name, expected):
    target = realm.path / "given"
    realm.command("--home", name, "get", "works:", target)  # may fail, and say so
    if not target.exists():
        return
    for it in target.rglob("*"):
        if it.is_file() and not it.name.startswith("."):
            path = str(it.relative_to(target))
            need(sha256(it.read_bytes()) == expected.get(path), f"{name} gave out something else as {path}")
    shutil.rmtree(target)


def is_whole(realm, name, expected):
    try:
        return realm.caught_up(name, "osaka") and realm.shown(name) == expected and realm.written_out(name) == expected
    except Failed:
        shutil.rmtree(realm.path / f"{name}.got", ignore_errors=True)
        return False


def runs(realm, name):
    return name in realm.running and realm.running[name].poll() is None


def test(dozo, dozod, dice):
    with Realm(dozo, dozod) as realm:
        for i in range(3):
            folder = realm.path / f"書類 {i}"
            folder.mkdir()
            for j in range(60):
                (folder / f"{j}.bin").write_bytes(dice.randbytes(dice.choice([20, 3000, 90_000, 400_000])))
            realm.dozo("--home", ("osaka", "sapporo")[i % 2], "put", folder, "works:", "--held", "2", "--timeout", "60")
        realm.dozo("--home", "sapporo", "log", "works:")
        expected = realm.shown("osaka")
        need(realm.shown("sapporo") == expected and len(expected) == 180, "the realm does not come to rest")
        realm.stop("sapporo")
        sound = realm.path / "sapporo.sound"
        shutil.copytree(realm.path / "sapporo", sound, symlinks=True)
        healed_at_once = rebuilt = refused = 0
        for number in range(DAMAGES):
            done = harm(realm.path / "sapporo" / dice.choice(["truth", "truth", "derived"]) / "data.mdb", dice)
            began_well = starts(realm, "sapporo")
            if began_well:
                gives_nothing_wrong(realm, "sapporo", expected)
            end = time.monotonic() + 8
            while runs(realm, "sapporo") and not is_whole(realm, "sapporo", expected) and time.monotonic() < end:
                time.sleep(0.2)
            if runs(realm, "sapporo") and is_whole(realm, "sapporo", expected):
                healed_at_once += 1
            else:
                refused += not began_well
                for attempt in range(3):
                    if "sapporo" in realm.running:
                        halt(realm, "sapporo")
                    found = realm.command("fsck", "sapporo", "--rebuild", "--key-file", "secret")
                    need(found.returncode in (0, 6), f"fsck --rebuild ends with {found.returncode} after {done}: {found.stderr.decode()[-300:]}")
                    need(starts(realm, "sapporo"), f"the daemon does not start after fsck --rebuild, after {done}: {found.stdout.decode()[-500:]}")
                    gives_nothing_wrong(realm, "sapporo", expected)
                    end = time.monotonic() + 30
                    while runs(realm, "sapporo") and not is_whole(realm, "sapporo", expected) and time.monotonic() < end:
                        time.sleep(0.2)
                    if runs(realm, "sapporo") and is_whole(realm, "sapporo", expected):
                        break
                else:
                    raise Failed(f"damage {number}, {done}: not whole after fsck --rebuild and a start")
                rebuilt += 1
            need(realm.shown("osaka") == expected, f"after {done} osaka shows something else")
            halt(realm, "sapporo")
            # The next on a sound disk: damage does not add up, and what nobody looked at does not stay.
            shutil.rmtree(realm.path / "sapporo")
            shutil.copytree(sound, realm.path / "sapporo", symlinks=True)
        print(f"{DAMAGES} damages: {healed_at_once} healed while it ran, or of no matter; {rebuilt} rebuilt by one command, {refused} of them after a refusal to start", flush=True)


if __name__ == "__main__":
    main(test)
