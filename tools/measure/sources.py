"""What goes in: files and folders, on the disk and in the page cache before anybody is measured."""
import os
import random
import shutil
import subprocess
from pathlib import Path

MIB, GIB = 1 << 20, 1 << 30
TOOLS = Path(__file__).resolve().parent.parent


def need_room(folder, bytes_needed):
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise SystemExit(f"tools/bench: {folder} has {free / GIB:.0f} GiB free, {bytes_needed / GIB:.0f} are needed")


def random_file(path, size):
    """Incompressible."""
    with open(path, "wb") as out:
        for _ in range(size // MIB):
            out.write(os.urandom(MIB))
        out.flush()
        os.fsync(out.fileno())


def real_documents(folder, count=20_000, megabytes=134):
    """Texts and programs of this machine, of which most are small; where it has too few, the rest is made."""
    subprocess.run([TOOLS / "sample-documents", folder, str(count), str(megabytes)], check=True)


def small_documents(folder, count, size, below=100):
    """`count` files of `size` random bytes, `below` in each folder. Says where each is."""
    paths = []
    for i in range(count):
        place = folder / f"{i // below // 100:04}" / f"{i // below:06}"
        if i % below == 0:
            place.mkdir(parents=True)
        paths.append(place / f"{i:07}.bin")
        paths[-1].write_bytes(random.randbytes(size))
    return paths


def read_through(path):
    """So that whoever is measured reads from a warm cache."""
    for one in [path] if path.is_file() else [it for it in path.rglob("*") if it.is_file()]:
        with open(one, "rb") as source:
            while source.read(MIB):
                pass


def insert_byte(path, offset):
    """One byte more at that place, as an editor writes it: a new file under the old name."""
    edited = path.with_suffix(".edited")
    with open(path, "rb") as source, open(edited, "wb") as out:
        left = offset
        while left:
            left -= out.write(source.read(min(left, MIB)))
        out.write(os.urandom(1))
        shutil.copyfileobj(source, out, MIB)
    edited.replace(path)


def occupied_bytes(folder):
    """On the disk: sparse files count by what they occupy."""
    return sum(it.stat().st_blocks * 512 for it in folder.rglob("*") if it.is_file() and not it.is_symlink())
