"""The files a check looks at, and C++ text with comments and literals blanked out so that positions stay true."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

CPP_SUFFIXES = (".h", ".cc", ".cpp")
SOURCE_SUFFIXES = (".h", ".cc", ".cpp", ".inc", ".py", ".sh", ".bash", ".cmake", ".ts", ".tsx", ".js", ".css")

# Files whose bytes are data: inputs of parsers, recordings, expected output.
DATA = re.compile(r"^(fuzz/corpus/|data/|tests/(golden|cassettes)/|bench/[^/]+/baselines/|LICENSE$|.*/NOTICE$)"
                  r"|\.(jsonl?|csv|tsv|lock|patch|svg|txt\.expected)$|(^|/)package-lock\.json$")


@dataclass(frozen=True)
class Problem:
    path: str
    line: int  # 0: the file as a whole
    rule: str
    message: str  # what is wrong, then what to do instead

    def __str__(self):
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: [{self.rule}] {self.message}"


@dataclass
class File:
    path: str  # relative to the root, with forward slashes
    raw: bytes = field(repr=False)

    @cached_property
    def is_text(self):
        if b"\0" in self.raw:
            return False
        try:
            self.raw.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    @cached_property
    def text(self):
        return self.raw.decode("utf-8") if self.is_text else ""

    @property
    def lines(self):
        return self.text.splitlines()

    @cached_property
    def code(self):
        """C++ text of the same length and lines, comments and the insides of literals replaced by spaces."""
        return mask(self.text)

    @property
    def is_data(self):
        return bool(DATA.search(self.path))

    @property
    def is_cpp(self):
        return self.path.endswith(CPP_SUFFIXES) and not self.is_data

    @property
    def is_source(self):
        return (self.path.endswith(SOURCE_SUFFIXES) or self.text.startswith("#!")) and not self.is_data

    @property
    def module(self):
        """The module of a file below src/, else None."""
        parts = self.path.split("/")
        return parts[1] if len(parts) > 2 and parts[0] == "src" else None

    @property
    def is_test(self):
        return self.path.endswith(("_test.cc", "_bench.cc", "_fuzz.cc")) or not self.path.startswith("src/")

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1

    def allows(self, rule, line):
        """True where the line, or the one above it, holds `tidy: allow(RULE) because ...`."""
        lines = self.lines
        here = lines[max(line - 2, 0):line]
        return any(re.search(rf"tidy: allow\({re.escape(rule)}\) because \S+", text) for text in here)


LITERAL = re.compile(r"""
    (?P<line_comment>//(?:\\\n|[^\n])*)
  | (?P<block_comment>/\*.*?\*/)
  | (?P<raw>\bu?8?[LU]?R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)")
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<digits>\b[0-9][0-9a-zA-Z_.']*)        # so that the quote in 1'000 opens nothing
  | (?P<char>'(?:\\.|[^'\\\n])+')
""", re.VERBOSE | re.DOTALL)


def mask(text):
    def blank(match):
        whole = match.group()
        if match.lastgroup == "digits" or match.group("digits"):
            return whole
        spaces = re.sub(r"[^\n]", " ", whole)
        if match.group("line_comment") or match.group("block_comment"):
            return spaces
        return '"' + spaces[1:-1] + '"' if len(whole) > 1 else spaces

    return LITERAL.sub(blank, text)


def closing(code, position):
    """Position of the bracket that closes the one at `position` in masked code, or the end."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    stack = []
    for i in range(position, len(code)):
        c = code[i]
        if c in pairs:
            stack.append(pairs[c])
        elif stack and c == stack[-1]:
            stack.pop()
            if not stack:
                return i
        elif c in ")]}":
            return i  # unbalanced, as between the branches of an #if
    return len(code)


def git_files(root, *options):
    run = subprocess.run(["git", "-C", str(root), "ls-files", "-z", *options], capture_output=True, check=True)
    return [path for path in run.stdout.decode().split("\0") if path]


def repository_files(root):
    """Tracked files, and new ones in folders of ours that git does not ignore; without git (an archive) every file."""
    root = Path(root)
    try:
        listed = git_files(root, "--cached")
        tops = {path.split("/")[0] for path in listed}
        listed += [path for path in git_files(root, "--others", "--exclude-standard") if path.split("/")[0] in tops]
    except (OSError, subprocess.CalledProcessError):
        listed = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in (".git", ".deps", ".cache", "build", "node_modules", ".venv", "__pycache__")]
            listed += [str(Path(folder, name).relative_to(root)) for name in names]
    files = []
    for path in sorted(set(listed)):
        full = root / path
        if path and full.is_file() and not full.is_symlink():
            files.append(File(path, full.read_bytes()))
    return files


def links_outside(root):
    """A tracked link with an absolute target, or one that leaves the repository, holds a path of one machine, and a checkout elsewhere
    puts it in the place of whatever lies there."""
    root = Path(root)
    try:
        tracked = git_files(root, "--cached")
    except (OSError, subprocess.CalledProcessError):
        return
    for path in tracked:
        full = root / path
        if full.is_symlink():
            target = os.readlink(full)
            if os.path.isabs(target) or os.path.normpath(os.path.join(os.path.dirname(path), target)).startswith(".."):
                yield Problem(path, 0, "link", "is a link out of the repository: git rm --cached it, and name it in .gitignore")
