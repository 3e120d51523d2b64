"""docs/operations.md, line by line: its commands are taken from the page, in its order, and run by people at different machines, each a folder of its own.

    tests/operations_test.py DOZO DOZOD

An indented command of the page that the story does not come to, or comes to in another order, is a failure. Changed on the way: /srv, /etc and /media lie in the
machine's folder, addresses are of the loopback, secrets come from a file and not from the terminal, years are this one's, who owns a folder is left out,
and where zstd is missing cat does its part.
What needs systemd, apt or a machine's root is not run, and said to be.
"""

import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from realm import Failed, free_ports  # noqa: E402

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/operations.md"
YEAR = datetime.date.today().year
NOT_RUN = {"tools/package": "builds the package", "apt install": "needs root", "systemctl": "needs systemd", "journalctl": "needs systemd",
           "chown": "needs the user of the package"}


def need(condition, text):
    if not condition:
        raise Failed(text)


def blocks(text):
    """Commands, and parts of the policy's source, that stand indented in the page."""
    commands, sources = [], []
    for block in re.findall(r"(?:^(?: {4}| {6}).*\n|^\n(?= {4}| {6}))+", text, re.M):
        lines = [re.sub(r" {2,}#.*", "", line.strip()) for line in block.splitlines() if line.strip()]
        if lines and lines[0].startswith("[["):
            sources.append("\n".join(line.strip() for line in block.splitlines()) + "\n")
        else:
            commands += lines
    return commands, sources


class Machine:
    """Where somebody works: a folder that is its root and where commands are given."""

    def __init__(self, story, name):
        self.story, self.root = story, story.path / name
        for folder in ("srv", "etc", "media/disk", "var/tmp"):
            (self.root / folder).mkdir(parents=True)
        self.port = free_ports(3)

    def __truediv__(self, name):
        return self.root / name

    def run(self, command, needs_secret=False, environment=None):
        command = re.sub(r"(?<![\w.])/(srv|etc|media)\b", lambda it: f"{self.root}/{it[1]}", command)
        command = command.replace(" -o dozo -g dozo", "").replace("10.1.0.5:7700", f"127.0.0.1:{self.port}").replace("10.1.0.9:7700", f"127.0.0.1:{self.port}")
        if needs_secret and "--key-file" not in command:
            command += f" --key-file {self.story.secret}"
        done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
                              env={**os.environ, "PATH": f"{self.story.path}/bin:{os.environ['PATH']}", "TMPDIR": f"{self.root}/var/tmp", **(environment or {})})
        need(done.returncode == 0, f"{command}\nstatus {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def start(self, home="srv/dozo"):
        log = open(self.root / f"{pathlib.Path(home).name}.log", "ab")
        key = (home, self.root)
        self.story.running[key] = subprocess.Popen([self.story.path / "bin/dozod", self.root / home], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait(lambda: subprocess.run([self.story.path / "bin/dozo", "status", "--home", self.root / home], capture_output=True, check=False).returncode == 0)

    def stop(self, home="srv/dozo"):
        process = self.story.running.pop((home, self.root))
        process.terminate()
        need(process.wait(60) == 0, f"dozod ended with {process.returncode}")

    def wait(self, holds, seconds=60):
        until = time.monotonic() + seconds
        while not holds():
            need(time.monotonic() < until, "it did not come about in time")
            time.sleep(0.1)

    def asked(self, command, home="srv/dozo"):
        return json.loads(self.run(f"dozo {command} --json --home {self.root / home}"))


class Story:
    def __init__(self, dozo, dozod):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="dozo-test-"))
        self.running, self.done = {}, []
        (self.path / "bin").mkdir()
        for name, program in (("dozo", dozo), ("dozod", dozod)):
            (self.path / "bin" / name).symlink_to(os.path.abspath(program))
        self.secret = self.path / "secret"
        self.secret.touch(0o600)
        self.secret.write_bytes(os.urandom(32))
        self.commands, self.sources = blocks(PAGE.read_text(encoding="utf-8"))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in self.running.values():
            process.kill()
            process.wait()
        if kind is None:
            shutil.rmtree(self.path)
        else:
            print(f"-- left for looking at: {self.path}", file=sys.stderr)

    def next(self, beginning):
        """The page's next command; it must begin so."""
        while self.commands and any(self.commands[0].startswith(it) for it in NOT_RUN):
            it = self.commands.pop(0)
            print(f"not run: {it}: {next(why for what, why in NOT_RUN.items() if it.startswith(what))}")
        need(self.commands, f"the page ends before: {beginning}")
        command = self.commands.pop(0)
        need(command.startswith(beginning), f"the page has next: {command}\nnot: {beginning}")
        self.done.append(command)
        return command

    def end(self):
        left = [it for it in self.commands if not any(it.startswith(what) for what in NOT_RUN)]
        need(not left, f"the page says more than was tried: {left}")


def copy(source, target):
    pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def enrol(story, office, machine, home, name, kind, zone):
    """As the page says of every node: a home there, the request carried to headquarters, admitted."""
    copy(office / "authority/realm.json", machine / "realm.json")
    machine.run(f"dozo node init /{home} --realm realm.json --name {name} --kind {kind} --zone {zone} --listen 10.1.0.5:7700", True)
    copy(machine / f"{home}/request.json", office / "request.json")


def tell(story):
    office, head, sapporo, naha, service = (Machine(story, name) for name in ("office", "head", "sapporo", "naha", "service"))
    home = "srv/dozo"

    # ---- Going back to an older version
    back = story.next("dozo node migrate")  # tried once there is a store

    # ---- Making the realm
    out = office.run(story.next("dozo authority init"), True)
    realm_id = re.search(r"[0-9a-f]{64}", out)
    need(realm_id, f"the realm's id is to be written down: {out}")
    need(len(list((office / "authority/shares").iterdir())) == 5, "five shares")
    shutil.copytree(office / "authority/shares", story.path / "safe")
    shutil.rmtree(office / "authority/shares")  # carried away

    (office / "own").write_text("a passphrase of one's own\n", encoding="utf-8")
    (office / "own").chmod(0o600)
    rekey = story.next("dozo authority rekey")
    copy(office / "authority/keys/policy-1.key", office / "policy-1.key")
    office.run(rekey, True)
    (office / "policy-1.key").unlink()  # another one than the story goes on with

    # ---- Nodes
    copy(office / "authority/realm.json", sapporo / "realm.json")
    out = sapporo.run(story.next("dozo node init /srv/dozo"), True)
    need(realm_id[0] in out, "the realm's id to be compared")
    admit = story.next("dozo authority admit")
    enrol(story, office, head, home, "head", "hq", "tokyo")
    office.run(admit, True)
    copy(sapporo / f"{home}/request.json", office / "request.json")
    office.run(admit, True)
    enrol(story, office, naha, home, "naha", "vault", "okinawa")
    office.run(admit, True)
    # The key of freshness goes to HQ's own node, where that stands beside the authority; else the folder is carried there.
    shutil.copytree(office / "authority", head / "authority")
    head.run(story.next("dozo authority install"), True)
    shutil.rmtree(head / "authority")

    # ---- Libraries, posts and permits
    need(len(story.sources) == 2, "two parts of a policy's source")
    sources = [it.replace("2027", str(YEAR + 1)).replace("2026", str(YEAR - 1)).replace("2029", str(YEAR + 3)) for it in story.sources]
    policy = office / "authority/policy.toml"
    policy.write_text(policy.read_text(encoding="utf-8") + sources[0], encoding="utf-8")
    need('name = "sato"' in sources[1], "the person's table")
    check, explain, who_can = story.next("dozo policy check"), story.next("dozo policy explain"), story.next("dozo policy who-can").replace("2028", str(YEAR + 1))
    # Sato is a person before his post can be written down.
    sapporo.run("dozo person new sato --realm realm.json", True)
    copy(sapporo / "sato.request.json", office / "sato.request.json")
    office.run("dozo authority admit authority sato.request.json", True)
    text = policy.read_text(encoding="utf-8")
    table = re.search(r'\[\[person\]\]\nname = "sato"\n', text)
    need(table, "admit adds the person's table")
    posts = re.search(r"^posts = .*\n", sources[1], re.M)  # the rest of that table is there
    policy.write_text(text[:table.end()] + posts[0] + text[table.end():], encoding="utf-8")
    office.run(check)
    out = office.run(explain)
    need("allow" in out, f"Sato may write: {out}")
    out = office.run(who_can)
    need(out.startswith("sato ("), f"Sato can write then: {out}")

    # ---- A node as a service, at one more machine: what root does there
    copy(office / "authority/realm.json", service / "realm.json")
    for beginning in ("install -d", "install -d", "(umask", "dozo node init"):
        service.run(story.next(beginning).replace("--name sapporo", "--name otaru"))
    service.run("dozod /srv/dozo/sapporo --check")

    # ---- Coming from a folder, leaving for one; which needs the publication that the page has next
    moving = [story.next(it) for it in ("dozo import", "dozo du", "dozo export", "dozo export", "dozo export", "dozo tag", "dozo export")]
    check, publish = story.next("dozo policy check"), story.next("dozo authority publish")
    head.start()
    office.run(check)
    publish_at = lambda command: office.run(command.replace("/srv/dozo", str(head / home)) + " --yes", True)  # noqa: E731  HQ's node and the authority's folder: one office
    publish_at(publish)
    for machine in (sapporo, naha):
        machine.start()
        machine.run("dozo node join --timeout 60 --home /srv/dozo")
    sapporo.run("dozo person login sato.key --role editor --home /srv/dozo", True)
    (sapporo / "srv/share/works").mkdir(parents=True)
    (sapporo / "srv/share/works/plan 図面.txt").write_text("a plan\n", encoding="utf-8")
    environment = {"DOZO_HOME": str(sapporo / home)}
    for command in moving:
        command = re.sub(r"--at \d{4}-\S+", f"--at {datetime.date.today()}", command)  # nothing was there yet
        if "zstd" in command and not shutil.which("zstd"):
            command = command.replace("zstd", "cat")
        sapporo.run(command, environment=environment)
    need("a plan" in (sapporo / "media/disk/works/plan 図面.txt").read_text(encoding="utf-8"), "the export has it")
    for archive in ("works-2026.tar", "handed-over.tar"):
        need("plan 図面.txt" in sapporo.run(f"tar -tf {archive} --quoting-style=literal"), f"{archive} has it")
    saves = sapporo.asked("log works:")
    need(all(it["author"] == "Sato, harbours north" or it["author"] == "sato" for it in saves), f"saved as Sato: {saves}")
    head.wait(lambda: [it["statement"] != "none" and it["entries_behind"] == 0 for it in head.asked("replicas works")["replicas"]] == [True] * 3)

    # ---- Signing on other machines: three custodians' keys are elsewhere
    at_head = lambda command: command.replace("/srv/dozo", str(head / home))  # noqa: E731
    custodian = Machine(story, "custodian")

    def signed(command, keys):
        """Signatures of these key files, made one by one at a machine that has nothing else; the command with which they are brought back."""
        files = []
        for number, key in enumerate(keys, 1):
            copy(office / "draft", custodian / "draft")
            if not (custodian / key).exists():
                copy(office / f"authority/keys/{key}", custodian / key)
            custodian.run(command.replace("policy-1.key", key).replace("signed-1", f"signed-{number}") + f" --yes --realm {realm_id[0]}", True)
            copy(custodian / f"signed-{number}", office / f"signed-{number}")
            files.append(f"signed-{number}")
            (custodian / f"signed-{number}").unlink()
        (office / "draft").unlink()
        return files

    with open(policy, "a", encoding="utf-8") as source:
        source.write('\n[[org]]\nid = "harbours-south"\ntitle = "Harbours, south"\n')
    office.run(at_head(story.next("dozo authority draft")), True)
    sign, bring_back = story.next("dozo authority sign"), story.next("dozo authority import")
    signed(sign, ["policy-1.key", "policy-3.key", "policy-1.key", "policy-3.key"])
    need("all have signed" in office.run(bring_back), "nothing is missing")
    publish_at("dozo authority publish authority --home /srv/dozo")

    # ---- A new root
    new = custodian.run(story.next("dozo authority key"), True).strip()
    roles = json.loads(office.run(story.next("dozo authority show") + " --json"))["roles"]
    old = next(key["key"] for role in roles if role["role"] == "policy" for key in role["keys"] if key["file"] == "keys/policy-1.key")
    office.run(story.next("dozo authority root").replace("policy:NEW", new).replace("OLD", old))
    office.run(f"dozo authority import authority {' '.join(signed(sign, ['root-1.key', 'root-2.key', 'root-4.key']))}")
    publish_at("dozo authority publish authority --home /srv/dozo")
    copy(custodian / "policy-4.key", office / "authority/keys/policy-4.key")
    publish_at("dozo authority publish authority --home /srv/dozo")
    head.wait(lambda: naha.asked("status")["policy"] == head.asked("status")["policy"] == 3)

    # ---- Stopping somebody at once, and that it lasts until it is taken out of the policy
    suspend, ratify = story.next("dozo authority suspend"), story.next("dozo authority ratify")
    copy(office / "authority/keys/emergency-1.key", head / "emergency-1.key")
    (head / "emergency-1.key").chmod(0o600)
    head.run(suspend + " --yes", True)
    stopped = lambda who: any(f"{who} person sato" in it for it in sapporo.asked("status")["notices"])  # noqa: E731
    sapporo.wait(lambda: stopped("an officer has suspended"), 10)
    office.run(at_head(ratify))
    publish_at("dozo authority publish authority --home /srv/dozo")
    sapporo.wait(lambda: stopped("the policy stops"), 10)
    text = policy.read_text(encoding="utf-8")
    policy.write_text(re.sub(r"\[\[stop\]\](?:.*\n)+?(?=\n|\Z)", "", text), encoding="utf-8")
    publish_at("dozo authority publish authority --home /srv/dozo")
    sapporo.wait(lambda: not stopped("the policy stops"), 10)

    # ---- Replacing a node: Sapporo's machine burnt
    sapporo.stop()
    shutil.rmtree(sapporo / home)
    enrol(story, office, sapporo, home, "sapporo", "bureau", "hokkaido")
    office.run(story.next("dozo authority admit authority request.json --replace"), True)
    publish_at(story.next("dozo authority publish"))
    sapporo.start()
    sapporo.run("dozo node join --timeout 60 --home /srv/dozo")
    sapporo.wait(lambda: sapporo.asked("ls works:") != [])
    # And then it is stolen. Its libraries get another home first, as the page says of taking a node out.
    sapporo.stop()
    text = policy.read_text(encoding="utf-8")
    policy.write_text(text.replace('home = "sapporo"', 'home = "head"').replace('members.head = { holding = "full" }', 'members.head = { holding = "full", write = true }')
                      .replace('node = "sapporo"\naction', 'node = "head"\naction'), encoding="utf-8")
    revoke = story.next("dozo authority revoke authority sapporo")
    office.run(revoke.replace("/srv/dozo", str(head / home)))
    publish_at(story.next("dozo authority publish"))
    shutil.rmtree(sapporo / home)
    enrol(story, office, sapporo, home, "sapporo", "bureau", "hokkaido")
    office.run(story.next("dozo authority admit authority request.json"), True)
    publish_at(story.next("dozo authority publish"))
    sapporo.start()
    sapporo.run("dozo node join --timeout 60 --home /srv/dozo")
    sapporo.wait(lambda: sapporo.asked("ls works:") != [])
    need("a plan\n" == sapporo.run("dozo get 'Works on the north coast:plan 図面.txt' - --home /srv/dozo"), "what the one before wrote stays")

    # ---- Checking a home; and, from the beginning of the page, going back to an older version, and forth again
    sapporo.stop()
    need("is of format 1 now" in sapporo.run(back), "it goes back")
    sapporo.start()
    need("was of format 1" in (sapporo / "dozo.log").read_text(encoding="utf-8"), "the log says that it was migrated")
    sapporo.stop()
    sapporo.run(story.next("dozo fsck /srv/dozo"))
    sapporo.run(story.next("dozo fsck /srv/dozo --rebuild"))

    # ---- The worst day: only the vault at Naha, shares, and some keys are left
    head.stop()
    shutil.rmtree(head / home)
    shutil.rmtree(sapporo / home)
    for path in [*(office / "authority/keys").glob("key-authority-*.key"), office / "authority/keys/admission.key"]:
        path.unlink()
    shutil.rmtree(head.root / "authority", ignore_errors=True)
    shutil.copytree(office / "authority", head / "authority")  # this office is the new site now
    policy = head / "authority/policy.toml"
    old = re.search(r"127\.0\.0\.1:\d+", re.search(r'\[\[node\]\]\nname = "head"(?:\n(?!\[).*)*', policy.read_text(encoding="utf-8"))[0])
    need(old and old[0].endswith(str(head.port)), "it listens where the old one did")
    head.run(story.next("dozo node init /srv/dozo --realm authority/realm.json"), True)
    head.run(story.next("dozo authority admit authority /srv/dozo/request.json --replace --without-key-authority"), True)
    head.run(story.next("dozo authority publish authority --without-key-authority") + " --yes", True)
    shutil.copytree(head / "authority", naha / "authority", ignore=shutil.ignore_patterns("keys", "shares"))
    naha.run(story.next("dozo authority offer authority --home /srv/dozo/naha").replace("/srv/dozo/naha", "/srv/dozo"))
    head.run("dozo authority install authority --home /srv/dozo", True)
    need(story.next("dozod /srv/dozo") == "dozod /srv/dozo", "then start the new node")
    head.start()
    head.run("dozo node join --realm authority/realm.json --timeout 60 --home /srv/dozo")
    head.wait(lambda: head.asked("status")["libraries"][0]["packs_missing"] == 0 and head.asked("status")["libraries"][0]["packs"] > 0)
    recover = story.next("dozo node recover")
    for share in re.findall(r"share-\d", recover):
        copy(story.path / "safe" / share, head / share)
    head.run(recover, True)
    head.stop()
    head.start()
    need("a plan\n" == head.run("dozo get 'Works on the north coast:plan 図面.txt' - --home /srv/dozo"), "it reads everything")
    story.end()


def main():
    with Story(*sys.argv[1:3]) as story:
        tell(story)
        print(f"operations: {len(story.done)} commands of the page run, {len(story.running)} nodes left running")


if __name__ == "__main__":
    main()
