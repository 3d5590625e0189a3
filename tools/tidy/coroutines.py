"""g++ 12 destroys some temporaries of a co_await expression twice (docs/decisions/0003). Found here by text:

  co_await f(Options{.a = 1})   co_await f({1, 2})      a braced temporary in the expression, also beside the co_await
  co_return Reply{.a = co_await f()}                    braces around a co_await
  co_await f([x] { ... })                               a capturing lambda in the expression
  #define TRY(e) ({ ... })                              a statement expression: co_await inside crashes the compiler

The remedy is one for all: give the temporary a name on a line of its own, and move it in. Type() in round brackets is safe
too. The text does not show whether a bare {} makes an aggregate, so it counts as one, except for the functions listed below;
std:: types with constructors do not count.
Braces and lambdas inside a nested lambda's body are that body's own business.
"""

import re

from source import Problem, closing

AWAIT = re.compile(r"\bco_await\b|\bUNDERSTUDY_AWAIT\w*(?=\()")
DIRECTIVE = re.compile(r"^[ \t]*#[ \t]*(?:define[ \t]+\w+(?:\([^)\n]*\))?|(?!define)[^\n]*)", re.MULTILINE)
STATEMENT_EXPRESSION = re.compile(r"^[ \t]*#[ \t]*define\b(?:\\\n|[^\n])*\(\{", re.MULTILINE)
# Functions whose parameters that are passed as {} are spans: nothing to destroy.
TAKES_EMPTY_SPANS = re.compile(r"\b(?:respond|respond_error)$")
BEFORE_LAMBDA = re.compile(r"(?:[(,=&|?:{<>+;]|\breturn|\bco_await)\s*$")
SAFE_BRACES = re.compile(r"\bstd::(?!array\b|vector\b|initializer_list\b|to_array\b)\w+(?:<[\w:\s,<>*&]*>)?\s*$")
AFTER_CAPTURES = re.compile(r"\s*(?:<[^<>{};]*>\s*)?(?:\(|\{|mutable\b|->)")


def expression_end(code, start):
    """Where the expression that begins at `start` ends: a `;`, or the bracket that closes what surrounds it."""
    depth = 0
    for i in range(start, len(code)):
        c = code[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
            if depth < 0:
                return i
        elif c == ";" and depth == 0:
            return i
        elif c == "{" and depth == 0:
            return i
    return len(code)


def is_initialiser(code, brace):
    """True where the `{` opens an initialiser's list; false where it opens a block, a function or a type."""
    before = code[:brace].rstrip()
    segment = re.split(r"[;{}]", before[-300:])[-1]
    if re.search(r"\b(?:else|do|try|const|noexcept|override|final|mutable)$|->\s*[\w:<>,\s*&]+$", before[-300:]):
        return False
    if re.search(r"\b(?:namespace|struct|class|enum|union)\b[^()=]*$", segment):
        return False
    return bool(before) and (before[-1] in "(,=>&?]" or before[-1].isalnum() or before[-1] == "_")


def expression_start(code, position):
    """(where the full expression around `position` begins, the braces of initialisers that enclose `position`)."""
    enclosing = []
    i = position - 1
    while i >= 0:
        c = code[i]
        if c == ";" or (c == "{" and not is_initialiser(code, i)):
            return i + 1, enclosing
        if c == "{":
            enclosing.append(i)
        elif c == "}":
            opening = matching_open(code, i)
            if not is_initialiser(code, opening):
                return i + 1, enclosing
            i = opening
        i -= 1
    return 0, enclosing


def matching_open(code, position):
    depth = 0
    for i in range(position, -1, -1):
        depth += (code[i] in ")]}") - (code[i] in "([{")
        if depth == 0:
            return i
    return 0


def is_empty_span(code, brace):
    """True for the {} of respond(200, {}, body)."""
    if not re.match(r"\{\s*\}", code[brace:]):
        return False
    depth = 0
    for i in range(brace - 1, -1, -1):
        if code[i] in ")]}":
            depth += 1
        elif code[i] in "([{;":
            depth -= 1
            if depth < 0:
                return code[i] == "(" and bool(TAKES_EMPTY_SPANS.search(code[max(0, i - 40):i]))
    return False


def lambda_body(code, bracket):
    """(opening, closing) brace of the lambda whose capture list opens at `bracket`, or None if that is no lambda."""
    if not BEFORE_LAMBDA.search(code[max(0, bracket - 40):bracket]):
        return None
    end = closing(code, bracket)
    if not AFTER_CAPTURES.match(code, end + 1):
        return None
    brace = end + 1
    while brace < len(code) and code[brace] != "{":
        if code[brace] == "(":
            brace = closing(code, brace)
        elif code[brace] in ";)":
            return None
        brace += 1
    return (brace, closing(code, brace)) if brace < len(code) else None


def traps_of(code, start, end):
    """Yields (position, what) for each trap in code[start:end]."""
    i = start
    while i < end:
        c = code[i]
        if c == "[":
            body = lambda_body(code, i)
            if body:
                if code[i + 1:closing(code, i)].strip():
                    yield i, "a capturing lambda inside a co_await expression:"
                i = body[1] + 1
                continue
        elif c == "{":
            if not SAFE_BRACES.search(code[max(0, i - 80):i]) and not is_empty_span(code, i):
                yield i, "braces inside a co_await expression:"
            i = closing(code, i) + 1
            continue
        i += 1


def check_coroutines(files):
    for file in files:
        if not file.is_cpp:
            continue
        # A directive ends the statement before it; a macro's body is looked at like any text.
        code = DIRECTIVE.sub(lambda m: ";" + re.sub(r"[^\n]", " ", m.group()[1:]), file.code)
        seen = set()
        for match in AWAIT.finditer(code):
            start, enclosing = expression_start(code, match.start())
            end = expression_end(code, match.end())
            if re.match(r"\s*(?:if|while|for|switch)\b", code[start:match.start()]):
                start = match.start()  # the condition only, not the statement's body
            traps = [(brace, "an initialiser's braces around co_await:") for brace in enclosing]
            for position, what in traps + [t for t in traps_of(code, start, end) if t[0] not in enclosing]:
                line = file.line_of(position)
                if position in seen or file.allows("co_await", line):
                    continue
                seen.add(position)
                yield Problem(file.path, line, "co_await", f"{what} a temporary of a co_await expression is destroyed twice by g++ 12: "
                              "name it on its own line first and std::move it in (an empty one: Type(), not {})")
        for match in STATEMENT_EXPRESSION.finditer(file.code):
            yield Problem(file.path, file.line_of(match.start()), "co_await", "a statement expression ({ ... }) in a macro: co_await "
                          "inside crashes g++ 12; write a macro that declares its variable as a statement")


CHECKS = [check_coroutines]
