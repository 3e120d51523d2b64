"""What is measured. Each scenario is a function of the options that gives the fields of its JSON object; docs/performance.md says what seconds means in each."""
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from measure import sources
from measure.peers import REPOSITORIES, Rsync, Syncthing
from measure.processes import Sampler, wait_until
from measure.realm import Realm, find_program
from measure.sources import GIB, MIB

PAIR = {"head": "hq", "bureau": "bureau"}
SETTLED_SECONDS = 3  # receipts go at most a second after
REST_SECONDS = 12  # what is derived is compacted when nothing was written for a few seconds


def median(values):
    return round(statistics.median(values), 4)


def in_pairs(options, ours, peers=None):
    """Runs Dozo and the peer one after the other, and the other way round in turns. Both give the measures of a round by name; the median of each counts."""
    rounds = {"": []}
    turns = [("", ours)]
    if options.peer:
        rounds["peer_"] = []
        turns.append(("peer_", peers[options.peer]))
    for number in range(options.rounds):
        for whose, measure in turns if number % 2 == 0 else reversed(turns):
            os.sync()  # what others have left to write is nobody's cost
            rounds[whose].append(measure())
    result = {}
    for whose, measured in rounds.items():
        if whose:
            result["peer"] = options.peer
        result |= {whose + key: median(it[key] for it in measured) for key in measured[0]}
        result[whose + "all_seconds"] = [round(it["seconds"], 3) for it in measured]
    if options.peer:
        result["ratio"] = median(their["seconds"] / our["seconds"] for our, their in zip(rounds[""], rounds["peer_"]))
    return result


def realm_of(options, kinds):
    return Realm(options.work / "realm", options.binaries, kinds)


# ---- one node ----------------------------------------------------------------------------------------------------------
def put(realm, source, target):
    sources.read_through(source)
    stored, truth, cpu_before = realm.stored_bytes("head"), realm.truth_bytes("head"), realm.cpu_seconds()
    with Sampler(realm.pids()) as sampler:
        seconds, cpu = realm.put("head", source, target)
        cpu += realm.cpu_seconds() - cpu_before
        at_once, rest_cpu = realm.stored_bytes("head") - stored, realm.cpu_seconds()
        time.sleep(REST_SECONDS)
        rest_cpu = realm.cpu_seconds() - rest_cpu
    return {"seconds": seconds, "cpu_seconds": cpu, "anon_mib": max(sampler.mib().values()), "sent_bytes": 0,
            "stored_bytes": realm.stored_bytes("head") - stored, "stored_at_once_bytes": at_once, "rest_cpu_seconds": rest_cpu, "truth_bytes": realm.truth_bytes("head") - truth}


def saved(options, source, times):
    """The measures of the last of so many saves of one source into an empty store."""
    def ours():
        with realm_of(options, {"head": "hq"}) as realm:
            for _ in range(times):
                result = put(realm, source, "docs")
        return result

    def theirs(kind):
        peer = kind(options.work / "peer")
        try:
            for _ in range(times):
                sources.read_through(source)
                stored, truth = peer.stored_bytes(), peer.truth_bytes()
                seconds, cpu = peer.put(source)
            return {"seconds": seconds, "cpu_seconds": cpu, "stored_bytes": peer.stored_bytes() - stored, "truth_bytes": peer.truth_bytes() - truth}
        finally:
            peer.close()

    return in_pairs(options, ours, {name: lambda kind=kind: theirs(kind) for name, kind in REPOSITORIES.items()})


def ingest_large(options):
    """A file of 1 GiB of random bytes, saved at one node until it is durable there."""
    size = options.mib * MIB or GIB
    sources.need_room(options.work, 5 * size)
    sources.random_file(options.work / "source", size)
    return saved(options, options.work / "source", 1)


def ingest_small(options):
    """A folder of 20,000 real documents, 128 MiB, saved at one node until it is durable there."""
    sources.need_room(options.work, 2 * GIB)
    sources.real_documents(options.work / "source")
    return saved(options, options.work / "source", 1)


def reingest(options):
    """The folder of ingest-small saved once more, with nothing changed."""
    sources.need_room(options.work, 2 * GIB)
    sources.real_documents(options.work / "source")
    return saved(options, options.work / "source", 2)


# ---- two nodes ---------------------------------------------------------------------------------------------------------
def synced(options, source):
    """From the start of a second node until it holds what the first has."""
    files = [source] if source.is_file() else [it for it in source.rglob("*") if it.is_file() and not it.is_symlink()]
    size = sum(it.stat().st_size for it in files)

    def ours():
        with realm_of(options, PAIR) as realm:
            stored = realm.stored_bytes("bureau")
            realm.stop("bureau")
            realm.put("head", source, "docs")
            sent, cpu = realm.sent_bytes(), realm.cpu_seconds()
            os.sync()
            began = time.monotonic()
            realm.start("bureau")
            with Sampler(realm.pids()) as sampler:
                realm.wait_until_synced()
            seconds = time.monotonic() - began
            return {"seconds": seconds, "cpu_seconds": realm.cpu_seconds() - cpu, "anon_mib": max(sampler.mib().values()),
                    "sent_bytes": realm.sent_bytes() - sent, "stored_bytes": realm.stored_bytes("bureau") - stored}

    def syncthing():
        peer = Syncthing(options.work / "peer")
        try:
            shutil.copytree(source, peer.root("a"), symlinks=True, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, peer.root("a"))
            peer.start("a")
            wait_until(lambda: peer.holds("a", len(files), size), "that syncthing has read its folder")
            os.sync()
            cpu = peer.cpu_seconds()
            began = time.monotonic()
            peer.start("b")
            wait_until(lambda: peer.holds("b", len(files), size), "that the second syncthing holds all")
            return {"seconds": time.monotonic() - began, "cpu_seconds": peer.cpu_seconds() - cpu, "sent_bytes": peer.sent_bytes(), "stored_bytes": peer.stored_bytes("b")}
        finally:
            peer.close()

    return in_pairs(options, ours, {"syncthing": syncthing})


def sync_small(options):
    """20,000 real documents, 128 MiB, that one node holds: from the start of a second one until that holds them durably."""
    sources.need_room(options.work, 2 * GIB)
    sources.real_documents(options.work / "source")
    return synced(options, options.work / "source")


def sync_large(options):
    """A file of 1 GiB of random bytes that one node holds: from the start of a second one until that holds it durably."""
    size = options.mib * MIB or GIB
    sources.need_room(options.work, 6 * size)
    sources.random_file(options.work / "source", size)
    return synced(options, options.work / "source")


def edit_large(options):
    """One byte inserted into a file of 1 GiB at 20 random places, one after the other, each saved and synced. sent_bytes: the most that any of them sent."""
    size = options.mib * MIB or GIB
    times = 20
    sources.need_room(options.work, 8 * size)
    source = options.work / "source"

    def measure(edit_and_sync, sent_bytes):
        seconds, sent = [], []
        for _ in range(times):
            sources.insert_byte(source, random.randrange(size))
            sources.read_through(source)
            before = sent_bytes()
            began = time.monotonic()
            edit_and_sync()
            seconds.append(time.monotonic() - began)
            time.sleep(SETTLED_SECONDS)
            sent.append(sent_bytes() - before)
        return {"seconds": statistics.median(seconds), "sent_bytes": max(sent), "sent_bytes_median": statistics.median(sent)}

    def ours():
        sources.random_file(source, size)
        with realm_of(options, PAIR) as realm:
            def save():
                realm.put("head", source, "plan.bin")
                realm.wait_until_synced()

            save()
            time.sleep(SETTLED_SECONDS)
            stored, cpu = realm.stored_bytes("head"), realm.cpu_seconds()
            with Sampler(realm.pids()) as sampler:
                result = measure(save, realm.sent_bytes)
            return {**result, "cpu_seconds": (realm.cpu_seconds() - cpu) / times, "anon_mib": max(sampler.mib().values()),
                    "stored_bytes": (realm.stored_bytes("head") - stored) // times}

    def syncthing():
        sources.random_file(source, size)
        peer = Syncthing(options.work / "peer")
        try:
            def save():
                shutil.copy(source, peer.folder / "edited")
                os.replace(peer.folder / "edited", peer.root("a") / "plan.bin")
                now = source.stat().st_size
                wait_until(lambda: peer.holds("b", 1, now), "that the second syncthing holds the edit")

            peer.start("a")
            peer.start("b")
            save()
            return measure(save, peer.sent_bytes)
        finally:
            peer.close()

    def rsync():
        folder = options.work / "folder"
        folder.mkdir()
        sources.random_file(source, size)
        peer = Rsync(options.work / "peer")
        total = 0
        try:
            def save():
                nonlocal total
                os.replace(shutil.copy(source, folder / "edited"), folder / "plan.bin")
                total += peer.put(folder)[2]

            save()
            return measure(save, lambda: total)
        finally:
            peer.close()
            shutil.rmtree(folder)

    return in_pairs(options, ours, {"syncthing": syncthing, "rsync": rsync})


def latency(options):
    """A new document of 20 KB saved at one node until another gives it out, 200 times; seconds: the median; seconds_99: the 99th of 100."""
    times = 200
    source = options.work / "source"

    def measure(save_and_read):
        seconds = []
        for number in range(times):
            content = random.randbytes(20_000)
            source.write_bytes(content)
            began = time.monotonic()
            save_and_read(f"{number:04}.bin", content)
            seconds.append(time.monotonic() - began)
        return {"seconds": statistics.median(seconds), "seconds_99": sorted(seconds)[math.ceil(0.99 * times) - 1]}

    def ours():
        with realm_of(options, PAIR) as realm:
            got = options.work / "got"

            def save_and_read(name, content):
                realm.put("head", source, f"docs/{name}")
                wait_until(lambda: realm.gives("bureau", f"docs/{name}", got), "that the other node gives it out", 60, 0)
                assert got.read_bytes() == content

            sent, cpu = realm.sent_bytes(), realm.cpu_seconds()
            with Sampler(realm.pids()) as sampler:
                result = measure(save_and_read)
            return {**result, "cpu_seconds": (realm.cpu_seconds() - cpu) / times, "anon_mib": max(sampler.mib().values()),
                    "sent_bytes": (realm.sent_bytes() - sent) // times, "stored_bytes": realm.stored_bytes("bureau")}

    def syncthing():
        peer = Syncthing(options.work / "peer")
        try:
            def save_and_read(name, content):
                shutil.copy(source, peer.root("a") / name)
                there = peer.root("b") / name
                wait_until(lambda: there.is_file() and there.read_bytes() == content, "that the other side has it", 60, 0.001)

            peer.start("a")
            peer.start("b")
            source.write_bytes(b"first")
            save_and_read("first", b"first")
            return measure(save_and_read)
        finally:
            peer.close()

    return in_pairs(options, ours, {"syncthing": syncthing})


def reconnect(options):
    """A node comes back and nothing has changed, in a library of one feed and in one of 300: seconds until it has a link, bytes of both sides for that."""
    def came_back(realm):
        time.sleep(SETTLED_SECONDS)
        realm.stop("bureau")
        before = realm.status("head")["sent_bytes"]
        began = time.monotonic()
        realm.start("bureau")
        wait_until(lambda: realm.status("bureau")["peers_up"] == 1, "the link", 60, 0)
        seconds = time.monotonic() - began
        time.sleep(SETTLED_SECONDS)
        return {"seconds": seconds, "sent_bytes": realm.sent_bytes() - before}

    source = options.work / "source"
    with realm_of(options, PAIR) as realm:
        source.write_bytes(random.randbytes(20_000))
        realm.put("head", source, "first.bin")
        realm.wait_until_synced()
        one = [came_back(realm) for _ in range(options.rounds)]
        for number in range(299):  # each run of a daemon that writes begins a feed
            realm.stop("bureau")
            realm.start("bureau")
            source.write_bytes(random.randbytes(20_000))
            realm.put("bureau", source, f"{number}.bin")
        realm.wait_until_synced()
        with Sampler(realm.pids()) as sampler:
            cpu = realm.cpu_seconds()
            many = [came_back(realm) for _ in range(options.rounds)]
        result = {key: median(it[key] for it in many) for key in many[0]}
        return {**result, "cpu_seconds": (realm.cpu_seconds() - cpu) / options.rounds, "anon_mib": max(sampler.mib().values()),
                "stored_bytes": realm.stored_bytes("bureau"), "with_one_feed": {key: median(it[key] for it in one) for key in one[0]}}


def recover(options):
    """A node lost its disk: 20,000 real documents and a file of 512 MiB come back from another, from the start of the admitted replacement on."""
    size = options.mib * MIB or GIB // 2
    sources.need_room(options.work, 6 * (size + 128 * MIB))
    source = options.work / "source"
    sources.real_documents(source)
    sources.random_file(source / "large.bin", size)

    def ours():
        with realm_of(options, PAIR) as realm:
            realm.put("head", source, "docs")
            realm.wait_until_synced()
            realm.stop("bureau")
            realm.replace("bureau")
            sent, cpu = realm.sent_bytes(), realm.cpu_seconds()
            os.sync()
            began = time.monotonic()
            realm.start("bureau")
            with Sampler(realm.pids()) as sampler:
                realm.dozo("node", "join", "--timeout", "60", "--home", "bureau")
                realm.wait_until_synced()
            return {"seconds": time.monotonic() - began, "cpu_seconds": realm.cpu_seconds() - cpu, "anon_mib": max(sampler.mib().values()),
                    "sent_bytes": realm.sent_bytes() - sent, "stored_bytes": realm.stored_bytes("bureau")}

    def rsync():
        peer = Rsync(options.work / "peer")
        try:
            sources.read_through(source)
            seconds, cpu, sent = peer.put(source)
            return {"seconds": seconds, "cpu_seconds": cpu, "sent_bytes": sent, "stored_bytes": peer.stored_bytes()}
        finally:
            peer.close()

    return in_pairs(options, ours, {"rsync": rsync})


# ---- size --------------------------------------------------------------------------------------------------------------
def memory(options):
    """A file of 8 GiB saved at a bureau and synced to headquarters' node and a vault; the most anonymous memory that each of the three daemons had."""
    size = options.mib * MIB or 8 * GIB
    sources.need_room(options.work, int(4.3 * size))
    source = options.work / "source"
    sources.random_file(source, size)
    with realm_of(options, {"head": "hq", "bureau": "bureau", "vault": "vault"}) as realm:
        cpu_before = realm.cpu_seconds()
        began = time.monotonic()
        with Sampler(realm.pids()) as sampler:
            put_seconds, cpu = realm.put("bureau", source, "plan")
            source.unlink()
            realm.wait_until_synced()
            seconds = time.monotonic() - began
            time.sleep(SETTLED_SECONDS)
        by_node = sampler.mib()
        return {"seconds": round(seconds, 1), "put_seconds": round(put_seconds, 1), "cpu_seconds": round(cpu + realm.cpu_seconds() - cpu_before, 1),
                "anon_mib": max(by_node.values()), "anon_mib_by_node": by_node, "sent_bytes": realm.sent_bytes(), "stored_bytes": realm.stored_bytes("bureau"),
                "bytes": size}


def edit_small(options):
    """One document of 20 KB of which the middle changes, saved and synced in a library of 1,000 and in one of 10,000; ratio: the second by the first."""
    sources.need_room(options.work, 3 * GIB)
    sizes = {"small": 1000, "large": 10000}
    realms, figures, paths = {}, {name: [] for name in sizes}, {}
    try:
        for name, documents in sizes.items():
            source = options.work / f"documents-{name}"
            paths[name] = sources.small_documents(source, documents, 20_000)
            realms[name] = Realm(options.work / f"realm-{name}", options.binaries, PAIR)
            realms[name].put("head", f"{source}/.", "")
            realms[name].wait_until_synced()
        time.sleep(5)  # receipts
        for _ in range(options.rounds):
            for name, realm in realms.items():
                edited = random.choice(paths[name])
                content = bytearray(edited.read_bytes())
                content[10_000:10_100] = random.randbytes(100)
                edited.write_bytes(content)
                before = (realm.cpu_seconds(), realm.sent_bytes(), realm.library("head")["pack_bytes"])
                idle_sent = realm.sent_bytes() - before[1]
                with Sampler(realm.pids()) as sampler:
                    began = time.monotonic()
                    seconds, _ = realm.put("head", edited, edited.relative_to(options.work / f"documents-{name}"))
                    realm.wait_until_synced()
                    synced_seconds = time.monotonic() - began
                    time.sleep(SETTLED_SECONDS)
                figures[name].append({"seconds": seconds, "synced_seconds": synced_seconds, "cpu_seconds": realm.cpu_seconds() - before[0],
                                      "anon_mib": max(sampler.mib().values()), "sent_bytes": realm.sent_bytes() - before[1] - idle_sent,
                                      "stored_bytes": realm.library("head")["pack_bytes"] - before[2]})
    finally:
        for realm in realms.values():
            realm.__exit__()
    small, large = ({key: median(it[key] for it in figures[name]) for key in figures[name][0]} for name in sizes)
    return {**large, "in_1000": small, "ratio": {key: round(large[key] / small[key], 2) for key in ("seconds", "sent_bytes", "stored_bytes") if small[key]}}


def scale(options):
    """Libraries of 10,000, 100,000 and 1,000,000 documents of 1 KB: put one, list one folder of 100, status, restart, memory. --most: the largest."""
    by_count = {}
    times = max(options.rounds, 9)
    for count in [it for it in (10_000, 100_000, 1_000_000) if it <= options.most]:
        sources.need_room(options.work, count * 12_000 + GIB)
        source = options.work / "source"
        paths = sources.small_documents(source, count, 1000)
        with realm_of(options, {"head": "hq"}) as realm:
            with Sampler(realm.pids()) as sampler:
                put_all, cpu = realm.put("head", f"{source}/.", "")
                cpu += realm.cpu_seconds()
                measured = {"put_one": [], "list": [], "status": []}
                for _ in range(times):
                    one = random.choice(paths)
                    one.write_bytes(random.randbytes(1000))
                    place = one.relative_to(source)
                    measured["put_one"].append(realm.put("head", one, place)[0])
                    measured["list"].append(realm.dozo("ls", f"works:{place.parent}", "--home", "head")[0])
                    measured["status"].append(realm.dozo("status", "--home", "head")[0])
            most = max(sampler.mib().values())
            realm.stop("head")
            began = time.monotonic()
            realm.start("head")
            restart = time.monotonic() - began
            by_count[count] = {**{f"{key}_seconds": median(it) for key, it in measured.items()}, "restart_seconds": round(restart, 2),
                               "put_all_seconds": round(put_all, 1), "cpu_seconds": round(cpu, 1), "anon_mib": most, "stored_bytes": realm.stored_bytes("head")}
        shutil.rmtree(source)
    least, most = by_count[min(by_count)], by_count[max(by_count)]
    return {"seconds": most["put_one_seconds"], "cpu_seconds": most["cpu_seconds"], "anon_mib": most["anon_mib"], "sent_bytes": 0,
            "stored_bytes": most["stored_bytes"], "by_count": by_count,
            "growth": {key: round(most[key] / least[key], 2) for key in ("put_one_seconds", "list_seconds", "status_seconds", "restart_seconds")}}


def policy(options):
    """decisions a second over the example policy; a node takes in a policy of 13 nodes, 2,000 people, 5,000 libraries: seconds"""
    program = find_program(options.binaries, "policy_speed")
    run = lambda *arguments: json.loads(subprocess.run([program, *map(str, arguments)], check=True, capture_output=True).stdout)  # noqa: E731
    example = Path(__file__).resolve().parents[2] / "configs/policy.example.toml"
    decided = [run("decide", example)["decisions_per_second"] for _ in range(options.rounds)]
    made = run("publish", options.work)
    applied = [run("apply", options.work) for _ in range(options.rounds)]
    if not all(it["holds"] for it in applied):
        raise RuntimeError("the policy's tests do not hold")
    return {"decisions_per_second": median(decided), **made, **{key: median(it[key] for it in applied) for key in ("seconds", "trusted_seconds", "anon_mib", "resident_mib_most")}}


SCENARIOS = {"ingest-small": ingest_small, "ingest-large": ingest_large, "reingest": reingest, "sync-small": sync_small, "sync-large": sync_large,
             "edit-small": edit_small, "edit-large": edit_large, "latency": latency, "reconnect": reconnect, "recover": recover, "memory": memory, "scale": scale, "policy": policy}
PEERS = {"ingest-small": {"restic", "borg"}, "ingest-large": {"restic", "borg"}, "reingest": {"restic", "borg"}, "sync-small": {"syncthing"},
         "sync-large": {"syncthing"}, "edit-large": {"syncthing", "rsync"}, "latency": {"syncthing"}, "recover": {"rsync"}}
