"""The Debian package in a folder of its own: installed, upgraded, removed, purged, with homes, a key and running nodes there. Homes, keys and the user stay
as they are; all else goes; nodes that run go on with the new version, and nothing is started.

    tests/package_test.py [DEB]     without one: that which DOZO_PACKAGE names, or nothing is tested

Needs root: dpkg runs the package's scripts in the folder as their root. What they call lies there, a copy of this machine's, but for systemctl and its like,
which write down how they were called.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
RECORDER = '#!/bin/sh\necho "${0##*/} $*" >>/calls\n'
FILES = {
    "usr/bin/dozo", "usr/bin/dozod", "usr/lib/systemd/system/dozod@.service", "usr/lib/sysusers.d/dozo.conf", "usr/share/bash-completion/completions/dozo",
    "usr/share/zsh/vendor-completions/_dozo", "usr/share/fish/vendor_completions.d/dozo.fish", "usr/share/man/man1/dozo.1.gz",
    "usr/share/man/man5/node.toml.5.gz", "usr/share/man/man8/dozod.8.gz", "usr/share/doc/dozo/copyright", "usr/share/doc/dozo/changelog.gz",
    "usr/share/doc/dozo/changelog.Debian.gz", "usr/share/doc/dozo/cli.md", "usr/share/doc/dozo/operations.md", "usr/share/doc/dozo/policy.md",
    "usr/share/doc/dozo/examples/node.example.toml", "usr/share/doc/dozo/examples/policy.example.toml"}


class Failed(Exception):
    """A check did not hold."""


def need(condition, text):
    if not condition:
        raise Failed(text)


def run(*command):
    done = subprocess.run([str(it) for it in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    need(done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


class Machine:
    """A folder with just enough in it for the scripts of the package."""

    def __init__(self, path, with_sysusers, with_systemd):
        self.path = path
        for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share", "etc", "tmp", "run", "dev", "var/lib/dpkg/info", "var/lib/dpkg/updates"):
            (path / folder).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (path / name).symlink_to(f"usr/{name}")
        (path / "dev/null").touch()
        (path / "var/lib/dpkg/status").touch()
        (path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (path / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
        (path / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\ngshadow: files\n")
        for program in ["sh", "rm", "getent", *(["systemd-sysusers"] if with_sysusers else [])]:
            self.copy(shutil.which(program))
        for program in ("systemctl", "deb-systemd-invoke", "adduser"):
            (path / "usr/bin" / program).write_text(RECORDER + ('echo "dozo:x:900:900::/srv/dozo:/usr/sbin/nologin" >>/etc/passwd\n' if program == "adduser" else ""))
            (path / "usr/bin" / program).chmod(0o755)
        if with_systemd:
            (path / "run/systemd/system").mkdir(parents=True)
        self.before = self.everything()

    def copy(self, program):
        """With the libraries that it needs."""
        linked = run("ldd", program)
        for it in [program, *re.findall(r"(?:=> )?(/\S+) \(0x", linked)]:
            to = self.path / it.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(it, to)

    def dpkg(self, *arguments):
        """What the scripts called meanwhile."""
        (self.path / "calls").unlink(missing_ok=True)
        run("dpkg", f"--root={self.path}", "--force-depends", *arguments)
        calls = self.path / "calls"
        out = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return out

    def everything(self):
        """Paths, but for dpkg's own and what making a user leaves."""
        own = re.compile(r"var/lib/dpkg/|var/log|etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock$|calls$")
        return {it for it in (str(path.relative_to(self.path)) for path in self.path.rglob("*")) if not own.match(it)}

    def user(self):
        return [it for it in (self.path / "etc/passwd").read_text().splitlines() if it.startswith("dozo:")]


def make_treasures(machine):
    """What nobody may touch: homes, one of them where others like to have them, and a key."""
    for home in ("srv/dozo/sapporo", "var/lib/dozo/osaka"):
        folder = machine.path / home
        (folder / "truth").mkdir(parents=True)
        (folder / "truth/data.mdb").write_bytes(os.urandom(10_000))
        (folder / "node.toml").write_text('name = "x"\n')
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)
            os.chown(path, 900, 900)
    key = machine.path / "etc/dozo/sapporo.key"
    key.parent.mkdir(0o700)
    key.write_bytes(os.urandom(32))
    wanted = machine.path / "etc/systemd/system/multi-user.target.wants/dozod@sapporo.service"
    wanted.parent.mkdir(parents=True)
    wanted.symlink_to("/usr/lib/systemd/system/dozod@.service")


def treasures(machine):
    out = {}
    for top in ("srv/dozo", "var/lib/dozo", "etc/dozo"):
        for path in filter(pathlib.Path.exists, [machine.path / top, *(machine.path / top).rglob("*")]):
            it = path.lstat()
            out[path] = (it.st_mode, it.st_uid, it.st_gid, it.st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
    return out


def next_version(deb, folder):
    """The same package of a higher version, without one of its files."""
    run("dpkg-deb", "-R", deb, folder / "next")
    control = folder / "next/DEBIAN/control"
    version = re.search(r"^Version: (.*)$", control.read_text(), re.M).group(1)
    control.write_text(control.read_text().replace(f"Version: {version}\n", f"Version: {version}+next\n"))
    (folder / "next/usr/share/doc/dozo/policy.md").unlink()
    run("dpkg-deb", "--root-owner-group", "-b", folder / "next", folder / "next.deb")
    return folder / "next.deb"


def check_installed(machine, files):
    there = machine.everything()
    need(files <= there, f"not installed: {sorted(files - there)}")
    for name in ("dozo", "dozod"):
        need(run(machine.path / "usr/bin" / name, "--version").startswith(f"{name} "), f"{name} does not say its version")
    dozo = machine.path / "usr/bin/dozo"
    need((machine.path / "usr/share/bash-completion/completions/dozo").read_text() == run(dozo, "completion", "bash"), "the completion is another dozo's")
    unit = (machine.path / "usr/lib/systemd/system/dozod@.service").read_text()
    need("ExecStart=/usr/bin/dozod " in unit, "the unit starts another dozod")
    for path in files:
        it = (machine.path / path).lstat()
        need((it.st_uid, it.st_gid) == (0, 0) and it.st_mode & 0o022 == 0, f"{path} is not root's alone")


def whole_life(deb, later, folder):
    machine = Machine(folder / "machine", with_sysusers=True, with_systemd=True)
    calls = machine.dpkg("-i", deb)
    need(calls == ["systemctl daemon-reload"], f"installing calls {calls}")
    check_installed(machine, FILES)
    extra = machine.everything() - machine.before - FILES
    need(all((machine.path / it).is_dir() for it in extra), f"installed beside what is known: {sorted(it for it in extra if not (machine.path / it).is_dir())}")
    user = machine.user()
    need(len(user) == 1 and ":/srv/dozo:" in user[0] and user[0].endswith("nologin"), f"the user is {user}")
    make_treasures(machine)
    untouched = treasures(machine)

    calls = machine.dpkg("-i", later)
    need(calls == ["systemctl daemon-reload", "deb-systemd-invoke try-restart dozod@*.service"], f"upgrading calls {calls}")
    check_installed(machine, FILES - {"usr/share/doc/dozo/policy.md"})
    need(not (machine.path / "usr/share/doc/dozo/policy.md").exists(), "what the new version does not have is still there")
    need(treasures(machine) == untouched and machine.user() == user, "upgrading touches a home, a key or the user")

    calls = machine.dpkg("-r", "dozo")
    need(calls == ["deb-systemd-invoke stop dozod@*.service", "systemctl daemon-reload"], f"removing calls {calls}")
    need(not FILES & machine.everything(), f"still there when removed: {sorted(FILES & machine.everything())}")
    need(treasures(machine) == untouched and machine.user() == user, "removing touches a home, a key or the user")

    machine.dpkg("-i", deb)
    need(treasures(machine) == untouched and machine.user() == user, "installing again touches a home, a key or the user")
    machine.dpkg("-P", "dozo")
    need(treasures(machine) == untouched and machine.user() == user, "purging touches a home, a key or the user")
    mine = {str(it.relative_to(machine.path)) for it in untouched}
    left = {it for it in machine.everything() - machine.before - mine if not (machine.path / it).is_dir()}
    need(not left, f"left behind: {sorted(left)}")
    folders = {it for it in machine.everything() - machine.before - mine if "dozo" in it}
    need(not folders, f"left behind: {sorted(folders)}")


def without_systemd(deb, folder):
    machine = Machine(folder / "without", with_sysusers=False, with_systemd=False)
    calls = machine.dpkg("-i", deb)
    need(len(calls) == 1 and calls[0].startswith("adduser --system"), f"installing without systemd calls {calls}")
    need(machine.dpkg("-i", deb) == [], "a user who is there is made again")
    need(machine.dpkg("-r", "dozo") == [] and machine.dpkg("-P", "dozo") == [], "without systemd it is called all the same")
    need(len(machine.user()) == 1, "the user is gone")


def main():
    deb = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DOZO_PACKAGE", "")
    why_not = "no package is named (tools/test --full makes one)" if not deb else "dpkg runs its scripts for root alone" if os.geteuid() != 0 else ""
    if why_not:
        print(f"skipped: the Debian package: {why_not}")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="dozo-package-") as name:
        folder = pathlib.Path(name)
        try:
            whole_life(deb, next_version(deb, folder), folder)
            without_systemd(deb, folder)
        except Failed as failed:
            print(f"FAILED: {failed}")
            return 1
    print("installed, upgraded, removed and purged: homes, keys and the user are untouched")
    return 0


if __name__ == "__main__":
    sys.exit(main())
