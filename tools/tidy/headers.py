#!/usr/bin/env python3
"""Every header of src/ compiles alone: python3 tools/tidy/headers.py BUILD_DIR.

A header that a .cc of the build includes first is proven by the build itself (tidy's rule `own-header` keeps x.h first in
x.cc), so only the others are compiled here, with g++ -fsyntax-only and the build's own flags. A pass leaves a stamp in
BUILD_DIR/header_check/ that holds the hashes of every file of ours that the header pulled in; nothing is compiled again
until one of them changes.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import layers
import source

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 300


DROPPED = re.compile(r"-(?:O|g\d?$|DUNDERSTUDY_SOURCE_DIR)")  # without effect on whether a header compiles


def flags_of(entries):
    """{module: (compiler, flags)}, the union over the module's sources; "" holds the union of all, for headers-only modules."""
    per_module = {}
    for entry in entries:
        words = shlex.split(entry["command"])
        if os.path.basename(words[0]) == "ccache":
            words = words[1:]
        flags, rest = [], iter(words[1:])
        for word in rest:
            if word in ("-o", "-MF", "-MT"):
                next(rest)
            elif word not in ("-c", entry["file"]) and not DROPPED.match(word):
                flags.append(word)
        module = source.File(os.path.relpath(entry["file"], ROOT), b"").module
        for key in {module, ""}:
            per_module[key] = (words[0], merged(per_module.get(key, ("", []))[1], flags))
    return per_module


def merged(old, new):
    """Union of two flag lists; -isystem and -I stay with their folder."""
    def grouped(flags):
        words = iter(flags)
        return [(word, next(words)) if word in ("-isystem", "-I", "-D") else (word,) for word in words]

    have = grouped(old)
    return [word for group in have + [g for g in grouped(new) if g not in have] for word in group]


def proven_by_build(files, compiled):
    """Headers that are the first include of a file that the build compiles."""
    proven = set()
    for file in files:
        if file.path in compiled:
            first = re.search(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<)', file.text, re.MULTILINE)
            if first and first.group(1):
                proven.add(f"src/{first.group(1)}")
    return proven


def not_built(files, compiled):
    """Folders with sources of which the build compiles none: optional parts whose libraries are not here."""
    sources = {}
    for file in files:
        if file.module and file.path.endswith(".cc"):
            sources.setdefault(os.path.dirname(file.path), []).append(file.path)
    return {folder for folder, paths in sources.items() if not compiled.intersection(paths)}


def digest(paths, flags):
    total = hashlib.sha256(" ".join(flags).encode())
    for path in paths:
        total.update(path.encode() + b"\0" + (ROOT / path).read_bytes())
    return total.hexdigest()


def compile_alone(header, compiler, flags, stamps):
    """The compiler's complaints, or None where the header stands alone."""
    stamp = stamps / (header.replace("/", "+") + ".json")
    try:
        old = json.loads(stamp.read_text())
        if old["digest"] == digest(old["files"], [compiler, *flags]):
            return None
    except (OSError, ValueError, KeyError):
        pass
    dependencies = stamps / (header.replace("/", "+") + ".d")
    command = [compiler, *flags, "-fsyntax-only", "-include", str(ROOT / header), "-MMD", "-MF", str(dependencies), "-x", "c++",
               os.devnull]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"took over {LIMIT_S} s"
    if run.returncode:
        return run.stderr.strip()
    names = dependencies.read_text().replace("\\\n", " ").split(":", 1)[1].split()
    files = sorted({os.path.relpath(os.path.join(os.getcwd(), name), ROOT) for name in names})
    stamp.write_text(json.dumps({"files": files, "digest": digest(files, [compiler, *flags])}))
    return None


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = Path(sys.argv[1])
    entries = json.loads((build / "compile_commands.json").read_text())
    stamps = build / "header_check"
    stamps.mkdir(exist_ok=True)
    files = source.repository_files(ROOT)
    headers = [f for f in files if f.module and f.path.endswith(".h")]
    if not headers:
        sys.exit("tidy_headers: no header found below src/: wrong folder?")
    compiled = {os.path.relpath(entry["file"], ROOT) for entry in entries}
    absent = not_built(files, compiled)
    left_out = [f.path for f in headers if os.path.dirname(f.path) in absent]
    for path in left_out:
        print(f"{path}: left out, this build compiles nothing of its folder")
    headers = [f for f in headers if f.path not in left_out]
    proven = proven_by_build(files, compiled)
    flags = flags_of(entries)

    started = time.monotonic()
    todo = [f for f in headers if f.path not in proven]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=int(os.environ.get("UNDERSTUDY_JOBS") or os.cpu_count() or 1)) as pool:
        jobs = {f.path: pool.submit(compile_alone, f.path, *flags.get(f.module, flags[""]), stamps) for f in todo}
        for path, job in jobs.items():
            complaint = job.result()
            if complaint:
                failed += 1
                print(f"{path}: does not compile alone: include or forward-declare what it uses\n{complaint}\n")
    print(f"tidy_headers: {len(headers)} headers, {len(headers) - len(todo)} proven by the build, {len(todo)} checked here in "
          f"{time.monotonic() - started:.0f} s, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
