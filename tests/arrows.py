#!/usr/bin/env python3
"""The arrows between rooms (docs/architecture.md): fails when a source includes, or a target links, what it may not.

    tests/arrows.py [DIRECTORY]     judges a tree; without one, the tree that this script lies in

Three questions. Of every `#include`: is that room, or that library, one that this room may use, also through other headers? Of every
`target_link_libraries`: the same of targets. Of the rooms without a clock, thread or file: do they stay so? Tests may use everything.
tests/arrows_test.py breaks each rule once, and sees that this fails.
"""
import os
import re
import sys

ROOMS = {  # room: what it may include besides itself
    "base": [],
    "crypto": ["base"],
    "policy": ["crypto", "base"],
    "store": ["crypto", "base"],
    "sync": ["crypto", "base"],
    "node": ["store", "sync", "policy", "crypto", "base"],
    "tools": ["node", "store", "sync", "policy", "crypto", "base"],
}
TESTS = "tests"
# Headers of libraries, by how they begin, and where each may be used: in a room, or in files of it.
LIBRARIES = [
    ("cereal/", ["base/"]),
    ("fmt/", [room + "/" for room in ROOMS]),
    ("sodium", ["crypto/"]),
    ("openssl/", ["crypto/"]),
    ("libgfshare.h", ["crypto/"]),
    ("nlohmann/", ["policy/", "tools/"]),
    ("toml++/", ["policy/", "node/home"]),
    ("lmdb.h", ["store/"]),
    ("git2", ["store/"]),
    ("zstd", ["store/"]),
    ("zmq", ["node/"]),
    ("spdlog/", ["node/"]),
    ("CLI/", ["tools/"]),
    ("archive", ["tools/tar.cpp"]),
]
TARGETS = {  # CMake target: where it may be linked
    "dozo_strict": None,
    "Threads::Threads": ["store/", "node/", "tools/"],
    "fmt::fmt": [room + "/" for room in ROOMS],
    "PkgConfig::SODIUM": ["crypto/"],
    "PkgConfig::CRYPTO": ["crypto/"],
    "PkgConfig::GFSHARE": ["crypto/"],
    "nlohmann_json::nlohmann_json": ["policy/", "tools/"],
    "tomlplusplus::tomlplusplus": ["policy/", "node/"],
    "PkgConfig::LMDB": ["store/"],
    "PkgConfig::GIT2": ["store/"],
    "PkgConfig::ZSTD": ["store/"],
    "PkgConfig::ZMQ": ["node/"],
    "spdlog::spdlog": ["node/", "tools/"],
    "CLI11::CLI11": ["tools/"],
    "PkgConfig::ARCHIVE": ["tools/"],
}
# Made for test programs alone: its randomness repeats.
TESTS_ALONE = {"crypto/seeded_random.h", "dozo_crypto_seeded"}
# Rooms that are given time, randomness and bytes, and take none themselves.
PURE = ["base", "policy", "sync"]
IMPURE = {"chrono", "ctime", "thread", "mutex", "condition_variable", "future", "atomic", "fstream", "filesystem", "iostream", "random", "csignal"}
PURE_EXCEPT = {("policy/signing.cpp", "chrono"), ("policy/source.cpp", "chrono")}  # for the calendar, not the clock
# Headers of the system that have a dot or a slash. What is in no list at all is a library that nobody decided on.
SYSTEM = re.compile(r"(sys|linux|netinet|arpa|net)/[a-z_0-9]+\.h|(unistd|fcntl|dirent|fnmatch|glob|poll|pwd|grp|sched|signal|spawn|stdlib|stdint|stddef|stdio|string"
                    r"|errno|limits|syslog|termios|time|utime|dlfcn|netdb|getopt|pthread|link|execinfo|malloc)\.h")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>|(\S[^\n]*))', re.M)
COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")', re.S)
LINK = re.compile(r"target_link_libraries\s*\(([^)]*)\)")
MADE = re.compile(r"add_(?:library|executable)\s*\(\s*(\S+?)(\s+ALIAS\s+\S+)?[\s)]")
SOURCE = (".h", ".hpp", ".cpp", ".cc", ".c", ".ipp")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files_of(tree, wanted):
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(it for it in folders if not it.startswith(".") and (folder != tree or not it.startswith("build")))
        for name in sorted(files):
            if wanted(name):
                yield os.path.relpath(os.path.join(folder, name), tree)


def includes_of(text):
    """(own, library, line) for each include; comments do not count."""
    bare = COMMENT.sub(lambda it: it.group(1) or "\n" * it.group(0).count("\n"), text)
    for it in INCLUDE.finditer(bare):
        yield it.group(1), it.group(2), it.group(3), bare.count("\n", 0, it.start()) + 1


def room_of(path):
    return path.split("/")[0] if "/" in path else ""


def may(path, places):
    return places is None or any(path.startswith(it) for it in places)


def library_of(header):
    for start, places in LIBRARIES:
        if header.startswith(start):
            return places
    return None


def check_includes(tree):
    wrong, own, direct = [], {}, {}
    for path in files_of(tree, lambda name: name.endswith(SOURCE)):
        room = room_of(path)
        if room != TESTS and room not in ROOMS:
            wrong.append(f"{path}: lies in no room")
            continue
        own[path], direct[path] = [], []
        for mine, library, other, line in includes_of(read(os.path.join(tree, path))):
            where = f"{path}:{line}"
            if other:
                wrong.append(f"{where}: an include that is no plain name: {other}")
            elif mine:
                own[path].append(mine)
                target = room_of(mine)
                if os.path.normpath(mine) != mine or not os.path.isfile(os.path.join(tree, mine)):
                    wrong.append(f'{where}: "{mine}" is not there; name it from the top, and libraries in <>')
                elif room != TESTS and target != room and target not in ROOMS[room]:
                    wrong.append(f'{where}: {room} must not include {target} ("{mine}")')
                elif room not in (TESTS, "crypto") and mine in TESTS_ALONE:
                    wrong.append(f'{where}: "{mine}" is for test programs alone')
            else:
                direct[path].append(library)
                plain = "." not in library and "/" not in library
                places = library_of(library)
                if not plain and places is None and not SYSTEM.fullmatch(library) and not (room == TESTS and library.startswith(("doctest/", "benchmark/"))):
                    wrong.append(f"{where}: <{library}> belongs to no library that was decided on")
                if room in PURE and (SYSTEM.fullmatch(library) or library in IMPURE) and (path, library) not in PURE_EXCEPT:
                    wrong.append(f"{where}: {room} is given time, threads and files by others, and includes <{library}>")

    # A library is used outside its room also where a header of that room brings it along.
    for path in own:
        if room_of(path) == TESTS:
            continue
        seen, todo = {path: [path]}, [path]
        while todo:
            at = todo.pop()
            for library in direct.get(at, []):
                places = library_of(library)
                if places is None or may(path, places) or library.startswith("cereal/") and at != path:
                    continue  # everybody encodes through base/archive.h
                through = "" if at == path else ", through " + " -> ".join(seen[at][1:])
                wrong.append(f"{path}: <{library}> is not for this place{through}")
            for mine in own.get(at, []):
                if mine not in seen:
                    seen[mine] = seen[at] + [mine]
                    todo.append(mine)
    return wrong


def check_links(tree):
    wrong, room_of_target, links = [], {}, []
    for path in files_of(tree, lambda name: name == "CMakeLists.txt"):
        room = room_of(path)
        if room not in ROOMS:
            continue
        text = re.sub(r"#[^\n]*", "", read(os.path.join(tree, path)))
        for it in MADE.finditer(text):
            room_of_target[it.group(1)] = room
        for it in LINK.finditer(text):
            target, *items = it.group(1).split()
            links.append((path, text.count("\n", 0, it.start()) + 1, room, target, [item for item in items if item not in ("PUBLIC", "PRIVATE", "INTERFACE")]))
    for path, line, room, target, items in links:
        where = f"{path}:{line}: {target}"
        if room_of_target.get(target) != room:
            wrong.append(f"{where} is no target of {room}")
        for item in items:
            if item in room_of_target:
                other = room_of_target[item]
                if other != room and other not in ROOMS[room]:
                    wrong.append(f"{where}: {room} must not link {other} ({item})")
                elif item in TESTS_ALONE:
                    wrong.append(f"{where}: {item} is for test programs alone")
            elif item not in TARGETS:
                wrong.append(f"{where}: {item} is no library that was decided on")
            elif not may(path, TARGETS[item]):
                wrong.append(f"{where}: {item} is not for {room}")
    return wrong


def main():
    tree = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    missing = [room for room in ROOMS if not os.path.isdir(os.path.join(tree, room))]
    if missing:
        print(f"{tree}: no tree of ours: {', '.join(missing)} missing", file=sys.stderr)
        return 2
    wrong = check_includes(tree) + check_links(tree)
    for it in wrong:
        print(it)
    if not wrong:
        print("every include and link follows the arrows")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
