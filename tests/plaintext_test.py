"""No plaintext: after a full run nothing of what was saved can be found in the homes and logs of naha, which holds ciphertext, and of the
stopped osaka, which has keys.

Random markers stand in contents, names of documents and folders, the library's title, a person's name and the texts of saves. They are searched for
as UTF-8, UTF-16, CP932, hexadecimal and base64, and inside whatever zlib, zstd or base64 can unpack from any place of any file; digests of contents
too. The same search over a folder that has each of them in each of these forms finds all; and over the homes of the same run with sealing switched
off (unsealed.cpp, loaded before every process) as well.
"""

import base64
import ctypes
import hashlib
import os
import pathlib
import re
import zlib

from realm import Realm, main, need

zstd = ctypes.CDLL("libzstd.so.1")
for name in ("ZSTD_compress", "ZSTD_compressBound", "ZSTD_createDStream", "ZSTD_decompressStream", "ZSTD_freeDStream"):
    getattr(zstd, name).restype = ctypes.c_void_p if name == "ZSTD_createDStream" else ctypes.c_size_t
UNPACKED_MOST = 1 << 20


class Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer."""

    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t)]


def zstd_pack(content):
    room = ctypes.create_string_buffer(zstd.ZSTD_compressBound(ctypes.c_size_t(len(content))))
    size = zstd.ZSTD_compress(room, ctypes.c_size_t(len(room)), content, ctypes.c_size_t(len(content)), ctypes.c_int(3))
    return room.raw[:size]


def zstd_unpack(content):
    """As much as can be unpacked from the beginning of `content`, which may be no zstd at all."""
    source = ctypes.create_string_buffer(content, len(content))
    room = ctypes.create_string_buffer(UNPACKED_MOST)
    stream = ctypes.c_void_p(zstd.ZSTD_createDStream())
    into, out_of = Buffer(ctypes.addressof(room), UNPACKED_MOST, 0), Buffer(ctypes.addressof(source), len(content), 0)
    while out_of.position < out_of.size and into.position < into.size:
        before = out_of.position, into.position
        left = zstd.ZSTD_decompressStream(stream, ctypes.byref(into), ctypes.byref(out_of))
        if left == 0 or left > 1 << 62 or before == (out_of.position, into.position):
            break
    zstd.ZSTD_freeDStream(stream)
    return room.raw[: into.position]


def zlib_unpack(content):
    unpacker = zlib.decompressobj()
    out = b""
    try:
        for at in range(0, len(content), 64):  # in small steps, so that what comes before damage is seen
            out += unpacker.decompress(content[at : at + 64], UNPACKED_MOST)
            if unpacker.eof or len(out) >= UNPACKED_MOST:
                break
    except zlib.error:
        pass
    return out


def places(content, beginning):
    at = content.find(beginning)
    while at >= 0:
        yield at
        at = content.find(beginning, at + 1)


def unpacked(content):
    """Everything that zlib or zstd can make of `content`, from wherever a stream may begin."""
    for beginning in (b"\x78" + bytes([second]) for second in range(256) if (0x7800 + second) % 31 == 0):
        for at in places(content, beginning):
            yield zlib_unpack(content[at : at + (1 << 18)])
    for at in places(content, b"\x28\xb5\x2f\xfd"):
        yield zstd_unpack(content[at : at + (1 << 18)])


def decoded(content):
    """Every long run of base64, decoded: documents of the authority hold what is sealed so, once or twice over."""
    for run in re.findall(rb"[A-Za-z0-9+/]{32,}", content):
        for begin in range(4):  # what stands before it may look like a part of it
            part = run[begin:]
            yield base64.b64decode(part[: len(part) // 4 * 4])


def layers(content):
    once = list(decoded(content))
    twice = [it for each in once for it in decoded(each)]
    return [*unpacked(content), *once, *twice, *(it for each in (*once, *twice) for it in unpacked(each))]


def plain_forms(marker):
    """Byte runs of which one is there when `marker` is, uncompressed, by the form's name."""
    text = marker.decode()
    forms = {"utf-8": [marker], "utf-16": [text.encode("utf-16-le"), text.encode("utf-16-be")], "cp932": [text.encode("cp932")]}
    forms["hexadecimal"] = [marker.hex().encode(), marker.hex().upper().encode()]
    # Base64 of text that has the marker at any of three places; what depends on its neighbours is left off.
    forms["base64"] = [base64.b64encode(b"\0" * lead + marker)[4 if lead else 0 :][: len(marker) // 3 * 4 - 4] for lead in range(3)]
    return forms


def find_in(content, markers):
    """(marker, form) of all that is found in these bytes."""
    found = set()
    streams = layers(content)
    for marker in markers:
        for form, runs in plain_forms(marker).items():
            if any(run in content for run in runs):
                found.add((marker, form))
            if any(run in stream for run in runs for stream in streams):
                found.add((marker, "packed"))
    return found


def search(paths, markers, digests):
    """What is found in these files and everything below these folders, names included: (file, what, form)."""
    found = set()
    for top in paths:
        for path in [top, *top.rglob("*")]:
            content = os.fsencode(str(path.relative_to(top.parent))) + b"\n" + (path.read_bytes() if path.is_file() else b"")
            found.update((path, marker, form) for marker, form in find_in(content, markers))
            for digest in digests:
                if digest in content or digest.hex().encode() in content:
                    found.add((path, digest, "digest"))
    return found


def check_search(folder, markers):
    """The positive control: each marker in each form, and a digest, each in a file of its own between noise, is found there and only there."""
    folder.mkdir()
    noise = os.urandom(5000)
    for number, marker in enumerate(markers):
        text = marker.decode()
        sentence = f"工事 {text} の図面".encode() * 3
        for form, content in {
            "utf-8": marker,
            "utf-16": text.encode("utf-16-le"),
            "cp932": f"工事 {text} の図面".encode("cp932"),
            "hexadecimal": marker.hex().encode(),
            "base64": base64.b64encode(b"x" * number + sentence),
            "packed": zlib.compress(sentence, 6),
        }.items():
            path = folder / f"{number} {form}"
            path.write_bytes(noise + content + noise)
            need(form in {it for _, it in find_in(path.read_bytes(), [marker])}, f"the search does not find a marker as {form}")
        for what, packed in {"zlib of utf-16": zlib.compress(text.encode("utf-16-be") * 3, 1), "zstd": zstd_pack(sentence), "zstd of cp932": zstd_pack(text.encode("cp932") * 9),
                             "zlib in base64 in base64": base64.b64encode(b"<" + base64.b64encode(zlib.compress(sentence)) + b">")}.items():
            path = folder / f"{number} {what}"
            path.write_bytes(noise + packed + noise)
            need((marker, "packed") in find_in(path.read_bytes(), [marker]), f"the search does not find a marker in {what}")
            path.write_bytes(noise + packed[: len(packed) // 2] + noise)
        path = folder / text
        path.touch()
        need(any(it[0] == path for it in search([folder], [marker], [])), "the search does not find a marker in a file's name")
    digest = hashlib.sha256(noise).digest()
    (folder / "digest").write_bytes(b"x" + digest)
    need(any(it[2] == "digest" for it in search([folder], [], [digest])), "the search does not find a digest")
    need(not find_in(noise, markers), "the search finds what is not there")


# Kanji that CP932 has, so that each form differs; 12 of them say more than 100 bits.
SIGNS = [chr(code) for code in range(0x4E00, 0x9000) if len(chr(code).encode("cp932", "ignore")) == 2]


class Run:
    """A full run of a realm in which markers are planted: random text, and random bytes."""

    def __init__(self, realm, text, dice):
        self.realm, self.text = realm, text
        self.sentence = f"橋 {text['content']} の検査"
        self.bytes = dice.randbytes(24)
        self.contents = {
            "utf-8.txt": self.sentence.encode(),
            "utf-16.txt": self.sentence.encode("utf-16"),
            "cp932.txt": self.sentence.encode("cp932"),
            "base64.txt": base64.b64encode(self.sentence.encode()),
            "zlib.bin": zlib.compress(self.sentence.encode() * 5),
            "zstd.bin": zstd_pack(self.sentence.encode() * 5),
            "long.txt": f"{self.sentence}\n".encode() * 40_000,
            "binary.bin": dice.randbytes(300_000) + self.bytes + self.sentence.encode() + dice.randbytes(300_000),
        }
        self.source = realm.path / "source"
        (self.source / f"箱 {text['folder']}").mkdir(parents=True)
        for name, content in self.contents.items():
            (self.source / f"箱 {text['folder']}" / f"{text['name']} {name}").write_bytes(content)

    def work(self):
        """Saved, changed, renamed, in conflict, resolved, removed, replicated, by a person; refused and wrong requests too."""
        realm, text = self.realm, self.text
        realm.dozo("--home", "osaka", "person", "login", "sato.key", "--role", "clerk", "--key-file", "secret")
        realm.dozo("--home", "osaka", "put", f"{self.source}/", "works:", "-m", f"登録 {text['text']}")
        top = f"works:箱 {text['folder']}/{text['name']}"
        realm.until(30, "sapporo has all", lambda: realm.caught_up("sapporo", "osaka"))
        realm.stop("sapporo", "naha")
        one = self.source / f"箱 {text['folder']}" / f"{text['name']} utf-8.txt"
        one.write_bytes(self.sentence.encode() + b"1")
        realm.dozo("--home", "osaka", "put", one, f"{top} utf-8.txt", "-m", text["text"])
        realm.dozo("--home", "osaka", "mv", f"{top} cp932.txt", f"新 {text['name']}", "-m", text["text"])
        realm.dozo("--home", "osaka", "rm", f"{top} zlib.bin", "-m", text["text"])
        realm.stop("osaka")
        realm.start("sapporo")
        one.write_bytes(self.sentence.encode() + b"2")
        realm.dozo("--home", "sapporo", "put", one, f"{top} utf-8.txt", "-m", text["text"])
        realm.start("osaka", "naha")
        realm.until(30, "they meet", lambda: realm.caught_up("osaka", "sapporo") and realm.caught_up("naha", "sapporo"))
        need(realm.ask("osaka", "conflicts", "works"), "the run made no conflict")
        realm.dozo("--home", "osaka", "person", "login", "sato.key", "--role", "clerk", "--key-file", "secret")  # the other ended with the daemon
        realm.dozo("--home", "osaka", "resolve", f"{top} utf-8.txt", "-m", text["text"])
        for name in ("osaka", "naha"):
            for wrong in (["ls", f"{top} x/{text['name']}"], ["get", f"{top} none", "-"], ["put", f"/{text['name']}", "works:"], ["rm", f"{top} none"],
                          ["ls", f"{text['title']}:"], ["mv", f"{top} none", text["name"]]):
                need(realm.command("--home", name, *wrong).returncode != 0 or wrong[0] == "ls", f"{wrong[0]} of what is not there works")
        need(realm.written_out("osaka"), "osaka gives out nothing")
        realm.until(30, "they agree", lambda: realm.caught_up("osaka", "sapporo") and realm.caught_up("naha", "sapporo"))
        realm.kill("osaka")  # what a crash leaves lying counts too
        realm.start("osaka")
        need(realm.shown("osaka") == realm.shown("sapporo"), "osaka and sapporo show different things")
        realm.stop("osaka", "naha", "sapporo", "hq")

    def where(self):
        realm = self.realm
        out = [realm.path / name for name in NODES] + [realm.log(name) for name in NODES]
        need(all(it.exists() for it in out), "a home or a log is not there")
        return out


NODES = ("naha", "osaka", "sapporo", "hq")


def sealing_off(dozo, dozod, dice, text, markers):
    """The control of the whole: the same run with sealing switched off in every process. The same search finds each kind of marker, also in the home of naha."""
    os.environ["LD_PRELOAD"] = os.environ["DOZO_UNSEALED"]
    try:
        with Realm(dozo, dozod, title=f"工事 {text['title']}", shown=f"佐藤 {text['person']}") as realm:
            run = Run(realm, text, dice)
            run.work()
            for home, kinds in (("naha", ("content", "name", "folder", "text")), ("osaka", tuple(markers))):
                found = {marker for _, marker, _ in search([realm.path / home], [*markers.values()], [run.bytes])}
                lacking = [kind for kind in kinds if markers[kind] not in found]
                need(not lacking, f"with sealing off the search does not find the marker of {', '.join(lacking)} in the home of {home}")
                need(run.bytes in found, f"with sealing off the search does not find the random bytes in the home of {home}")
    finally:
        del os.environ["LD_PRELOAD"]


def test(dozo, dozod, dice):
    kinds = ("content", "name", "folder", "title", "person", "text")
    markers = {kind: "".join(dice.choices(SIGNS, k=12)).encode() for kind in kinds}
    text = {kind: marker.decode() for kind, marker in markers.items()}
    with Realm(dozo, dozod, title=f"工事 {text['title']}", shown=f"佐藤 {text['person']}") as realm:
        check_search(realm.path / "control", list(markers.values()))
        run = Run(realm, text, dice)
        found = {marker for _, marker, _ in search([run.source], list(markers.values()), [])}
        need(found == {markers["content"], markers["name"], markers["folder"]}, "the source has not what it should")
        run.work()
        digests = [hashlib.sha256(content).digest() for content in run.contents.values()]
        searched = run.where()
        size = sum(path.stat().st_size for top_path in searched for path in [top_path, *pathlib.Path(top_path).rglob("*")] if path.is_file())
        names = {marker: kind for kind, marker in markers.items()}
        hits = sorted(f"{path}: {names.get(what, 'digest or random bytes')} as {form}"
                      for path, what, form in search(searched, list(markers.values()), [*digests, run.bytes]))
        need(not hits, "plaintext: " + "; ".join(hits[:8]))
        # What opens the homes: nowhere but in its own file.
        secret = realm.secret.read_bytes()
        for path in [it for top_path in searched for it in [top_path, *pathlib.Path(top_path).rglob("*")] if it.is_file()]:
            content = path.read_bytes()
            need(not any(it in content for it in (secret, secret.hex().encode(), base64.b64encode(secret)[:40])), f"{path} has the key file's bytes")
        print(f"searched {size} bytes of four homes and their logs for {len(markers)} markers, random bytes and {len(digests)} digests: nothing", flush=True)
    if "DOZO_UNSEALED" in os.environ:
        sealing_off(dozo, dozod, dice, text, markers)
        print("with sealing switched off the same search finds every marker", flush=True)
    else:
        print("skipped: the same search with sealing switched off, which needs DOZO_UNSEALED", flush=True)


if __name__ == "__main__":
    main(test)
