"""What people see who type at a terminal: how far a long save is, on a line that is gone afterwards and not there when nobody looks; a passphrase that
is asked for and not shown; a question before much is removed; ^C that ends a save and leaves nothing half done.
"""

import contextlib
import os
import pty
import select
import signal
import time

from realm import Realm, main, need


class AtTerminal:
    """A dozo on a terminal of its own, with standard output there too."""

    def __init__(self, realm, *arguments):
        self.seen = b""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(realm.path)
            os.execv(realm.programs[0], [realm.programs[0], *map(str, arguments)])

    def read(self, seconds):
        """Whether more came; not so when the other end is closed."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            more = os.read(self.terminal, 65536)
            self.seen += more
            return bool(more)
        return False

    def wait_for(self, text, seconds=30):
        end = time.monotonic() + seconds
        while text not in self.seen:
            need(time.monotonic() < end, f"{text} is not shown, but {self.seen[-300:]}")
            self.read(0.1)

    def type(self, text):
        os.write(self.terminal, text)

    def end(self):
        """The exit status, when all is read."""
        while self.read(60):
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        os.close(self.terminal)
        return status


def progress(realm):
    folder = realm.path / "much"
    folder.mkdir()
    for i in range(40):
        (folder / f"写真 {i}").write_bytes(os.urandom(8_000_000))
    began = time.monotonic()
    save = AtTerminal(realm, "--home", "osaka", "put", "much", "works:")
    status = save.end()
    seconds = time.monotonic() - began
    shown = save.seen.decode()
    need(status == 0, f"put ends with {status}: {shown[-300:]}")
    lines = [it for it in shown.split("\r\x1b[K") if " files, " in it]
    need(len(lines) >= 3, f"hardly anything is shown of how far it is: {shown[:300]!r}")
    need(len(set(lines)) >= 3, f"what is shown does not go forward: {lines[:5]}")
    need(len(lines) <= 10 * seconds + 5, f"it is shown {len(lines)} times in {seconds:.1f} s")
    last = shown.rsplit("\r\x1b[K", 1)[1]
    need(" files, " not in last and "saved" in last, f"the line is not gone when the result comes: {last!r}")
    for i in range(10):
        (folder / f"写真 {i}").write_bytes(os.urandom(8_000_000))
    piped = realm.command("--home", "osaka", "put", "much", "works:")
    need(piped.returncode == 0 and piped.stderr == b"" and b"\r" not in piped.stdout, f"without a terminal something is shown: {piped.stderr[:200]}")
    print(f"how far it is was shown {len(lines)} times, and not without a terminal", flush=True)


def passphrase(realm):
    made = AtTerminal(realm, "person", "new", "mori", "--realm", "authority/realm.json", "--shown", "Mori")
    for prompt in (b"new passphrase for", b"again"):
        made.wait_for(prompt)
        already = len(made.seen)
        made.type("正しい馬 battery\n".encode())
        end = time.monotonic() + 30
        while b"\n" not in made.seen[already:]:
            need(time.monotonic() < end, f"nothing comes after a passphrase: {made.seen}")
            made.read(0.1)
    need(made.end() == 0, f"person new at a terminal: {made.seen.decode()}")
    need("battery".encode() not in made.seen, "a passphrase is shown while it is typed")
    need((realm.path / "mori.key").exists(), "no key was made")
    realm.dozo("authority", "admit", "authority", "mori.request.json", "--key-file", "secret")
    with open(realm.path / "authority/policy.toml", "a", encoding="utf-8") as source:
        source.write('[[person.posts]]\npost = "chief"\n')
    realm.publish()
    for typed, status in (("falsch", 4), ("正しい馬 battery", 0)):
        login = AtTerminal(realm, "--home", "osaka", "person", "login", "mori.key", "--role", "clerk")
        login.wait_for(b"passphrase")
        login.type(typed.encode() + b"\n")
        ended = login.end()
        need(ended == status, f"the passphrase {typed} ends with {ended}: {login.seen.decode()}")
        need(typed.encode() not in login.seen, "a passphrase is shown while it is typed")
    realm.dozo("--home", "osaka", "person", "logout")
    print("passphrases are asked for and not shown; a wrong one is refused", flush=True)


def question(realm):
    for typed, gone in ((b"n\n", False), (b"\n", False), (b"y\n", True)):
        removal = AtTerminal(realm, "--home", "osaka", "rm", "-r", "works:")
        removal.wait_for(b"[y/N]")
        removal.type(typed)
        removal.end()
        need((realm.shown("osaka") == {}) == gone, f"{typed} removes all, or nothing")
    print("nothing much is removed before somebody says yes", flush=True)


def interrupted(realm):
    before = realm.shown("osaka")
    save = AtTerminal(realm, "--home", "osaka", "put", "much", "works:again", "--reread")
    save.wait_for(b" files, ")
    save.type(b"\x03")
    status = save.end()
    need(status in (-signal.SIGINT, 128 + signal.SIGINT, 7), f"a save that is broken off ends with {status}: {save.seen[-300:]}")
    realm.until(30, "the node answers again", lambda: realm.command("--home", "osaka", "status").returncode == 0)
    shown = realm.shown("osaka")
    need(all(shown.get(path) == digest for path, digest in before.items()), "what was there before is not there after a save that was broken off")
    realm.dozo("--home", "osaka", "put", "much", "works:again")
    need(len([it for it in realm.shown("osaka") if it.startswith("again/")]) == 40, "the same save does not work afterwards")
    print("^C ends a save, and the next one works", flush=True)


def test(dozo, dozod, _):
    os.environ["TERM"] = "xterm"
    with Realm(dozo, dozod) as realm:
        progress(realm)
        passphrase(realm)
        question(realm)
        interrupted(realm)


if __name__ == "__main__":
    main(test)
