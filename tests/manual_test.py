"""The manual pages against the programs: every verb and option that `--help` shows stands in dozo(1), and every option in dozod(8); every setting of the
example in node.toml(5). And what formats pages has nothing to say against them."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
VERB = re.compile(r"^  ([a-z]+) +\S", re.M)
OPTION = re.compile(r"^  ((?:-\w,)?--[a-z-]+|-\w)\b", re.M)


def output(*command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, text=True, encoding="utf-8", timeout=60, **more).stdout


def plain(page):
    """A page's text, without its fonts, in one line."""
    text = re.sub(r"\\f[BIR]", "", page)
    for sign, character in {"\\-": "-", "\\(aq": "'", "\\(dq": '"', "\\(ga": "`", "\\(ti": "~", "\\(ha": "^", "\\&": "", "\\e": "\\"}.items():
        text = text.replace(sign, character)
    return text


def section(page, name):
    """Of a verb: from its heading to the next."""
    found = re.search(rf'^\.SS "{re.escape(name)}\b.*?(?=^\.S[SH] |\Z)', page, re.M | re.S)
    return found.group(0) if found else ""


def check_verb(dozo, page, words, wrong):
    text = output(dozo, *words, "--help")
    options, _, verbs = text.partition("\nOptions:\n")[2].partition("\n\n")
    below = VERB.findall(verbs)
    place = page if not words else section(page, " ".join(["dozo", *words]))
    if words and not below and not place:
        wrong.append(f"{' '.join(words)} is not in dozo(1)")
    if not below or not words:
        for names in OPTION.findall(options):
            shown = names.replace(",", ", ")
            if names != "-h,--help" and not re.search(rf"^{re.escape(shown)}( |$)", place, re.M):
                wrong.append(f"{' '.join(words)}: {shown} is not in dozo(1)")
    return sum(check_verb(dozo, page, [*words, verb], wrong) for verb in below) if below else 1


def check_formats(pages, wrong):
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""}
    checks = {"groff": ["-man", "-ww", "-z", "-Kutf8", "-Tutf8"], "man": ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"], "mandoc": ["-T", "lint", "-W", "error"]}
    for program, arguments in checks.items():
        if not shutil.which(program):
            if program == "groff":
                wrong.append("groff is not installed")
            continue
        for page in pages:
            done = subprocess.run([program, *arguments, page], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, timeout=60, check=False)
            if done.returncode != 0 or done.stderr:
                wrong.append(f"{program} says of {os.path.basename(page)}: {done.stderr or done.stdout}")


def main():
    dozo, dozod = map(os.path.abspath, sys.argv[1:3])
    wrong = []
    made = output(dozo, "man")
    verbs = check_verb(dozo, plain(made), [], wrong)
    with open(f"{ROOT}/docs/man/dozod.8", encoding="utf-8") as file:
        page = plain(file.read())
    for option in OPTION.findall(output(dozod, "--help")):
        if option not in page:
            wrong.append(f"{option} is not in dozod(8)")
    with open(f"{ROOT}/docs/man/node.toml.5", encoding="utf-8") as file:
        page = plain(file.read())
    with open(f"{ROOT}/configs/node.example.toml", encoding="utf-8") as file:
        settings = re.findall(r"^(\w+) =", file.read(), re.M)
    for setting in settings:
        if not re.search(rf"^\.B {setting}$", page, re.M):
            wrong.append(f"{setting} is not in node.toml(5)")
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/dozo.1", "w", encoding="utf-8") as file:
            file.write(made)
        check_formats([f"{folder}/dozo.1", f"{ROOT}/docs/man/dozod.8", f"{ROOT}/docs/man/node.toml.5"], wrong)
    for it in wrong:
        print(it)
    if verbs < 20 or len(settings) < 5:
        sys.exit("too little was compared")
    print(f"{verbs} verbs, {len(settings)} settings, {len(wrong)} mistakes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
