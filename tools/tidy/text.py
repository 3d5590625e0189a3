"""Checks on the text of files: leftovers, layout, names that do not belong here."""

import re

from source import Problem

MAX_LINES = 600
MAX_BYTES = 5 * 1024 * 1024

# Written with a character class so that this file does not hold the words it looks for.
MARKERS = re.compile(r"\b(?:[T]ODO|[F]IXME|[X]XX|[H]ACK)\b")
MERGE = re.compile(r"^(?:<{7} |={7}$|>{7} |\|{7} )", re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:[w]ork|[r]oot|[h]ome)/(?=[\w.-])")
REGISTRY = re.compile(r"\b(?:deb[.]debian[.]org|(?:security|snapshot|archive)[.](?:debian|ubuntu)[.](?:org|com)|pypi[.](?:org|python[.]org)"
                      r"|files[.]pythonhosted[.]org|registry[.](?:npmjs[.]org|yarnpkg[.]com)|(?:static[.]|index[.])?crates[.]io"
                      r"|proxy[.]golang[.]org|repo1?[.]maven[.](?:apache[.]org|org)|deb[.]nodesource[.]com)\b")

COMMENT = re.compile(r"^\s*//(?![/!])\s?(.*)$")
CODE_IN_COMMENT = re.compile(r"""^(?:
    \#\s*(?:include|define|ifdef|ifndef|endif)\b.*
  | (?:if|for|while|switch)\s\(.*\)\s*\{?
  | \}\s*(?:else.*\{)?;?
  | (?:return|co_return|throw|delete)\b[^.]*;
  | (?:const\s|static\s|auto\s|constexpr\s)+.*[;{]
  | [\w:<>*&,\s]+[\s*&]\w+\s=\s.*;
  | \w[\w:.\[\]]*(?:->[\w.]+)*\s?(?:=|\+=|-=)\s.*;
  | [A-Za-z_][\w:.]*(?:->[\w.]+)*(?:<[^>]*>)?\(.*\);
)$""", re.VERBOSE)
IF_ZERO = re.compile(r"^[ \t]*#[ \t]*if[ \t]+0\b", re.MULTILINE)

# A print to a stream that was passed in is a function's job; one to a stream that it takes for itself is a leftover.
PRINT = re.compile(r"\bstd::(?:cout|cerr|clog)\b|\b(?:fmt|std)::print(?:ln)?\s*\(\s*(?:stderr|stdout|[\"{])"
                   r"|\b(?:std::)?(?:printf|puts|putchar)\s*\(|\b(?:std::)?(?:fprintf|fputs)\s*\([^;]*\b(?:stderr|stdout)\b")


def check_layout(files):
    for file in files:
        if len(file.raw) > MAX_BYTES:
            yield Problem(file.path, 0, "size", f"{len(file.raw) / 2**20:.1f} MiB is over {MAX_BYTES // 2**20}: trim it, or let a script "
                          "under tools/ make it when it is needed")
        if not file.is_text or file.is_data:
            continue
        for number, line in enumerate(file.lines, 1):
            if "\t" in line and not file.path.endswith(("Makefile", ".mk")):
                yield Problem(file.path, number, "tab", "a tab: indent with spaces; write \\t where the character is meant")
            if line != line.rstrip():
                yield Problem(file.path, number, "space", "white space at the end of the line: remove it")
        if file.raw and not file.raw.endswith(b"\n"):
            yield Problem(file.path, 0, "newline", "no newline at the end of the file: add it")
        if file.is_source and len(file.lines) > MAX_LINES:
            yield Problem(file.path, 0, "length", f"{len(file.lines)} lines is over {MAX_LINES}: split it by what its parts are about")
        if file.path.endswith(".h") and first_code_line(file) != "#pragma once":
            yield Problem(file.path, 0, "pragma-once", "the first line that is no comment must be `#pragma once`")


def first_code_line(file):
    return next((line.strip() for line in file.code.splitlines() if line.strip()), "")


def check_leftovers(files):
    for file in files:
        if not file.is_text or file.is_data:
            continue
        for pattern, rule, message in (
                (MARKERS, "marker", "a to-do marker: do it now, or say in the module's README under limits what is not done"),
                (MERGE, "merge", "a merge conflict marker: resolve the conflict"),
                (MACHINE_PATH, "machine-path", "a path of one machine: use a path relative to the repository, or a parameter"),
                (REGISTRY, "registry-host", "the host of a package registry: name the package and its version only; "
                 "the package manager's own settings know the host")):
            for match in pattern.finditer(file.text):
                line = file.line_of(match.start())
                if not file.allows(rule, line):
                    yield Problem(file.path, line, rule, message)
        if file.is_cpp:
            yield from cpp_leftovers(file)


def cpp_leftovers(file):
    for match in IF_ZERO.finditer(file.code):
        yield Problem(file.path, file.line_of(match.start()), "dead-code", "code switched off: delete it, git keeps it")
    # Masked code has blank lines where comments are: a line that is a comment as a whole is blank there.
    for number, (line, code) in enumerate(zip(file.lines, file.code.splitlines()), 1):
        comment = COMMENT.match(line)
        if comment and not code.strip() and CODE_IN_COMMENT.match(comment.group(1).strip()) and not file.allows("dead-code", number):
            yield Problem(file.path, number, "dead-code", "looks like commented-out code: delete it, git keeps it; "
                          "an example in a header's comment starts with ///")
    # Commands print for people; tests, benchmarks and tools print as they like.
    if file.module and file.module != "app" and not file.is_test and not file.path.endswith("command.cc"):
        for match in PRINT.finditer(file.code):
            line = file.line_of(match.start())
            if not file.allows("print", line):
                yield Problem(file.path, line, "print", "prints: use base/log.h, or return the text to a command, which prints; where a print "
                              "is meant, say so: // tidy: allow(print) because ...")


DECISION = re.compile(r"^docs/decisions/(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md$")


def check_decisions(files):
    numbers = {}
    for file in files:
        if not file.path.startswith("docs/decisions/") or file.path == "docs/decisions/README.md":
            continue
        match = DECISION.match(file.path)
        if not match:
            yield Problem(file.path, 0, "decision", "a decision's file is named NNNN-words-in-lower-case.md, with the next free number")
            continue
        number = match.group(1)
        if number in numbers:
            yield Problem(file.path, 0, "decision", f"{number} is taken by {numbers[number]}: use the next free number")
        numbers[number] = file.path
        if not file.text.startswith(f"# {number}"):
            yield Problem(file.path, 1, "decision", f'must begin with the title "# {number} ..."')


def check_fuzz(files):
    """Each fuzz target has seeds, and no corpus is left of a target that is gone."""
    targets = {f.path.rsplit("/", 1)[-1].removesuffix(".cc") for f in files if f.path.endswith("_fuzz.cc")}
    corpora = {f.path.split("/")[2] for f in files if f.path.startswith("fuzz/corpus/") and f.path.count("/") >= 3}
    for target in sorted(targets - corpora):
        yield Problem(f"fuzz/corpus/{target}", 0, "fuzz", f"{target}.cc has no seeds: add a few small inputs, valid and broken")
    for corpus in sorted(corpora - targets):
        yield Problem(f"fuzz/corpus/{corpus}", 0, "fuzz", f"there is no {corpus}.cc: remove the corpus or rename it with its target")


CHECKS = [check_layout, check_leftovers, check_decisions, check_fuzz]
