"""Completion in bash, zsh and fish: each shell runs on a terminal, keys are typed, and what it then hands to `dozo` is compared.

A name may hold anything: whatever the shell inserts must reach `dozo` as that name, and nothing may be executed on the way. Without a daemon, or
with one that does not answer, nothing is offered, nothing is said, and nobody waits.
"""

import concurrent.futures
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

from realm import Realm, main, need

# Each begins in its own way, so that three characters name it. What runs leaves a file PWNED.
NAMES = ["aa1 $(touch PWNED)", "ab1 `touch PWNED`", "ac1;touch PWNED;", "ad1'x", 'ae1"x', "af1!!", "ag1&touch PWNED&", "ah1\\x", "ai1*?[x]", "aj1~{a,b}",
         "ak1 図面 平面.pdf", "al1>PWNED", "am1|touch PWNED", "an1#x", "ao1:x=y@z", "ap1$HOME", "aq1'$(touch PWNED)'", 'ar1"$(touch PWNED)"', "as1\\`x\\`",
         "at1(x)", "au1^x^y", "av1%x,y+z", "aw1  two"]
SHELLS = {
    "bash": (["bash", "--noprofile", "--norc", "-i"], "source <(dozo completion bash); PS1='# '"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source <(dozo completion zsh); PS1='# '"),
    "fish": (["fish", "--no-config", "-i"], "dozo completion fish | source"),
}


class Terminal:
    """A shell on a terminal of its own. In front of the real dozo stands a script that writes down how it was called."""

    def __init__(self, realm, shell):
        self.folder = realm.path / f"at {shell}"
        self.folder.mkdir()
        (self.folder / "source file.txt").touch()
        (self.folder / "source folder").mkdir()
        program = self.folder / "bin" / "dozo"
        program.parent.mkdir()
        program.write_text(f"""#!/bin/sh
case $1 in
  completion) exec {realm.programs[0]} "$@" ;;
  complete) {realm.programs[0]} "$@"; echo x >>"{self.folder}/completed" ;;
  *) printf '%s\\0' "$@" >"{self.folder}/called.new"; mv "{self.folder}/called.new" "{self.folder}/called" ;;
esac
""")
        program.chmod(0o755)
        command, self.setup = SHELLS[shell]
        environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(self.folder), "TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
                       "DOZO_HOME": str(realm.path / "osaka")}
        process, self.terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execvpe(command[0], command, environment)
        self.process = process
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.seen = b""

    def __enter__(self):
        self.quiet(1.0)
        self.type(self.setup + "\r")
        self.quiet(1.0)
        return self

    def __exit__(self, *_):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def quiet(self, seconds, most=20):
        """Reads until nothing has come for so long."""
        end = time.monotonic() + most
        while time.monotonic() < end and select.select([self.terminal], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.terminal, 65536)
            except OSError:
                return

    def completed(self):
        path = self.folder / "completed"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def called_with(self, keys):
        """What dozo is called with after these keys, with a TAB where they say so, and Enter."""
        (self.folder / "called").unlink(missing_ok=True)
        self.seen = b""
        for i, part in enumerate(keys.split("\t")):
            if i > 0:
                before = self.completed()
                self.type("\t")
                end = time.monotonic() + 20
                while self.completed() == before and time.monotonic() < end:
                    self.quiet(0.05)
                need(self.completed() > before, f"TAB after {keys!r} asks nothing: {self.seen[-300:]}")
                self.quiet(0.2)
            self.type(part)
        self.type("\r")
        end = time.monotonic() + 10
        while not (self.folder / "called").exists() and time.monotonic() < end:
            self.quiet(0.05)
        if (self.folder / "called").exists():
            return (self.folder / "called").read_bytes().decode().split("\0")[:-1]
        self.type("\x03")
        self.quiet(0.2)
        return f"nothing: {self.seen[-400:]}"


def check_shell(realm, shell):
    if not shutil.which(shell):
        print(f"skipped: completion in {shell}: it is not installed", flush=True)
        return
    expected = {
        "dozo stat\t": ["status"],
        "dozo node in\t": ["node", "init"],
        "dozo put --rer\tx": ["put", "--reread", "x"],
        "dozo node init --kind bu\t": ["node", "init", "--kind", "bureau"],
        "dozo ls wo\tdr\t": ["ls", "works:drawings/"],
        "dozo ls works:drawings/pl\t": ["ls", "works:drawings/plan 1.pdf"],
        "dozo ls /nothing \t": ["ls", "/nothing"],
        "dozo replicas wo\t": ["replicas", "works"],
        "dozo mv works:drawings/pl\tdr\t": ["mv", "works:drawings/plan 1.pdf", "drawings/"],
        "dozo put source\\ fi\two\t": ["put", "source file.txt", "works:"],
        "dozo node init source\\ fo\tx": ["node", "init", "source folder/x"],
        "dozo --home ../sapporo ls wo\tdr\t": ["--home", "../sapporo", "ls", "works:drawings/"],
        "dozo --home=../sapporo ls wo\tdr\t": ["--home=../sapporo", "ls", "works:drawings/"],
        'dozo ls "works:drawings/pl\t': ["ls", "works:drawings/plan 1.pdf"],
        'dozo ls "works:dra\tpl\t': ["ls", "works:drawings/plan 1.pdf"],
        "dozo ls works:ao1\t": ["ls", "works:ao1:x=y@z"],
        "dozo ls works:ao1:x=\t": ["ls", "works:ao1:x=y@z"],
    }
    for name in NAMES:
        for quote in ("", "'", '"'):
            expected[f"dozo show {quote}works:{name[:3]}\t"] = ["show", f"works:{name}"]
    with Terminal(realm, shell) as terminal:
        wrong = []
        for keys, words in expected.items():
            called = terminal.called_with(keys)
            if called != words:
                wrong.append(f"{keys!r}: {called} instead of {words}")
        need(not wrong, f"{shell}: " + "\n  ".join(wrong))
        for place in (terminal.folder, realm.path):
            need(not (place / "PWNED").exists(), f"{shell}: a name was executed")
    print(f"{shell}: {len(expected)} lines completed, nothing executed", flush=True)


def reply(realm, words, text=None):
    """What the function that bash calls answers: words, the last of which is being typed."""
    script = 'source <("$1" completion bash); PATH=$2:$PATH; shift 2; text=$1; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; ' \
             'COMP_POINT=${#COMP_LINE}; _dozo dozo "$text" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", realm.programs[0], os.path.dirname(realm.programs[0]), words[-1] if text is None else text, *words],
                          cwd=realm.path, env={**os.environ, "DOZO_HOME": "osaka"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True)
    return [it for it in done.stdout.decode().splitlines() if it]


def check_answers(realm):
    def answer(*words, home="osaka"):
        return subprocess.run([realm.programs[0], "complete", "words", *words], cwd=realm.path, env={**os.environ, "DOZO_HOME": home},
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)

    def lines(*words, home="osaka"):
        return answer(*words, home=home).stdout.decode().splitlines()

    need({it.split("\t")[0] for it in lines("")} > {"put", "get", "node", "completion"}, "the verbs are not offered")
    need(not {it.split("\t")[0] for it in lines("")} & {"man", "complete"}, "hidden verbs are offered")
    need([it.split("\t")[0] for it in lines("put", "--he")] == ["--help", "--held"], "the options of a verb are not offered")
    need(lines("put", "") == [":files"] and lines("put", "a", "") == ["works:", ":files"], "put is not offered files, then places too")
    need(lines("put", "-m", "") == [] and lines("put", "-m", "x", "") == [":files"], "an option's text is taken for a source")
    need(lines("get", "--", "wo") == ["works:"] and lines("get", "works:x", "") == [":files"], "get is not offered a place, then a file")
    need(lines("node", "init", "") == [":folders"], "node init is not offered a folder")
    need(lines("ls", "wo", home="naha") == [], "a vault offers a library that it cannot read")
    shown = lines("ls", "works:")
    need(shown == sorted(shown) and "works:drawings/" in shown and len(shown) == len(NAMES) + 2, f"not the folder is offered: {shown}")
    need(not any("newline" in it for it in shown), "a name with a newline is offered")
    need(lines("ls", "works:/dra") == ["works:/drawings/"], "a leading slash is not kept")
    need(lines("ls", "works:many/n1") == [f"works:many/n1{i:03}" for i in range(500)], "of a large folder not what begins so is offered")

    need(reply(realm, ["dozo", "node", "in"]) == ["init"], "bash is not offered a verb's verb")
    need(reply(realm, ["dozo", "ls", "works:dra"], "dra") == ["drawings/"], "bash is not offered the end of a word after a colon")
    need(reply(realm, ["dozo", "ls", "works:aa1"], "aa1") == ["aa1\\ \\$\\(touch\\ PWNED\\)"], "bash is offered what it would execute")
    need(reply(realm, ["dozo", "ls", '"works:aa1'], "works:aa1") == ["works:aa1 \\$(touch PWNED)"], "bash is offered what it would execute between quotes")

    silent = answer("ls", "works:", home="nowhere")
    need(silent.stdout + silent.stderr == b"", f"without a daemon something is said: {silent}")
    realm.running["osaka"].send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        silent = answer("ls", "works:")
        need(silent.stdout + silent.stderr == b"", f"of a daemon that does not answer something is said: {silent}")
        need(time.monotonic() - began < 5, "a daemon that does not answer is waited for")
    finally:
        realm.running["osaka"].send_signal(signal.SIGCONT)
    print("the answers hold", flush=True)


def test(dozo, dozod, _dice):
    with Realm(dozo, dozod) as realm:
        source = realm.path / "source"
        (source / "drawings").mkdir(parents=True)
        (source / "drawings" / "plan 1.pdf").write_text("x")
        (source / "many").mkdir()
        for i in range(2000):
            (source / "many" / f"n{i:04}").touch()
        for name in [*NAMES, "ay1\nnewline", "az1\x1b[2J newline"]:
            (source / name).write_text(name)
        realm.dozo("--home", "osaka", "put", f"{source}/", "works:")
        realm.until(60, "sapporo has all", lambda: realm.caught_up("sapporo", "osaka"))
        check_answers(realm)
        with concurrent.futures.ThreadPoolExecutor() as threads:
            for checked in [threads.submit(check_shell, realm, shell) for shell in SHELLS]:
                checked.result()


if __name__ == "__main__":
    main(test)
