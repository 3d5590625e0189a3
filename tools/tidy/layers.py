"""The layer table of src/, and the checks that hold includes and CMake's DEPS to it."""

import re

from source import Problem

# An include goes only down: to a lower layer or to the own module, never sideways and never up.
LAYERS = [
    ["base"],
    ["chat", "calibration", "templates"],
    ["net", "store", "neural"],
    ["providers", "retrieval", "trainer"],
    ["labelling", "lessons", "specialists", "audit"],
    ["cascade", "evaluation", "monitors"],
    ["gateway"],
    ["app"],
]
LAYER_OF = {module: layer for layer, modules in enumerate(LAYERS) for module in modules}

# From the raw text, since masking blanks the file name; the masked line must still start with #include.
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def quoted_includes(file):
    for match in INCLUDE.finditer(file.text):
        if file.code[match.start():match.end()].lstrip().startswith("#"):
            yield file.line_of(match.start()), match.group(1)


def check_includes(files):
    known = {f.path for f in files}
    for file in files:
        if not (file.is_cpp or file.path.endswith(".inc")):
            continue
        here = file.path.rsplit("/", 1)[0] if "/" in file.path else ""
        for line, target in quoted_includes(file):
            module = target.split("/")[0]
            if f"src/{target}" not in known:
                if file.module is None and f"{here}/{target}" in known:
                    continue  # benchmarks and tests keep small programs of several files
                if f'__has_include("{target}")' in file.text:
                    continue
                if file.module is not None:
                    yield Problem(file.path, line, "include", f'"{target}" is no file below src/: write "module/file.h"; '
                                  "for a library's header use <...>")
                continue
            if "/internal/" in target and module != file.module:
                yield Problem(file.path, line, "internal", f'"{target}" is internal to {module}: use one of the headers in '
                              f"src/{module}/, or move what is needed there")
            if file.module is None or module == file.module:
                continue
            if module in LAYER_OF and file.module in LAYER_OF and LAYER_OF[module] >= LAYER_OF[file.module]:
                yield Problem(file.path, line, "layer", f'{file.module} (layer {LAYER_OF[file.module]}) may not include "{target}" '
                              f"(layer {LAYER_OF[module]}): pass what is needed in from above, through an interface "
                              f"declared in {file.module} or lower")


def check_modules(files):
    """Each folder of src/ is in the table, has a CMakeLists.txt and a README.md."""
    known = {f.path for f in files}
    for module in sorted({f.module for f in files if f.module}):
        if module not in LAYER_OF:
            yield Problem(f"src/{module}", 0, "layer", "no such module in the layer table: make an existing module deeper, or add "
                          "it to tools/tidy/layers.py and src/CMakeLists.txt")
        for name, purpose in (("CMakeLists.txt", f"understudy_module({module} DEPS ...)"),
                              ("README.md", "what it promises, its main types, its limits")):
            if f"src/{module}/{name}" not in known:
                yield Problem(f"src/{module}", 0, "module", f"has no {name}: add one ({purpose})")


WORDS = re.compile(r"[^\s()\"]+")


def cmake_dependencies(text, module):
    """(libraries of the module, libraries of its tests too) as src/MODULE/CMakeLists.txt names them, or None."""
    text = re.sub(r"#[^\n]*", "", text)
    call = re.search(rf"\bunderstudy_module\(\s*{module}\b([^)]*)\)", text)
    if not call:
        return None
    lists = {"": [], "DEPS": [], "TEST_DEPS": []}
    current = ""
    for word in WORDS.findall(call.group(1)):
        if word in lists:
            current = word
        else:
            lists[current].append(word)
    linked = re.findall(rf"\btarget_link_libraries\(\s*understudy_{module}\s+(?:PUBLIC|PRIVATE|INTERFACE)?([^)]*)\)", text)
    library = lists["DEPS"] + [word for words in linked for word in WORDS.findall(words)]
    return library, library + lists["TEST_DEPS"]


def ours(libraries):
    return {lib.removeprefix("understudy_") for lib in libraries if lib.removeprefix("understudy_") in LAYER_OF and
            lib.startswith("understudy_")}


def check_cmake(files):
    texts = {f.path: f.text for f in files}
    for module in sorted({f.module for f in files if f.module in LAYER_OF} - set(LAYERS[-1])):  # app links everybody
        path = f"src/{module}/CMakeLists.txt"
        found = cmake_dependencies(texts.get(path, ""), module)
        if found is None:
            continue  # no CMakeLists.txt: check_modules says so
        declared, declared_for_tests = ours(found[0]), ours(found[1])
        used, used_by_tests = set(), set()
        for file in files:
            if file.module == module and file.path.endswith((".h", ".cc", ".cpp", ".inc")):
                modules = {target.split("/")[0] for _, target in quoted_includes(file)} & LAYER_OF.keys() - {module}
                (used_by_tests if file.is_test else used).update(modules)
        for missing in sorted(used - declared):
            yield Problem(path, 0, "deps", f"{module} includes headers of {missing}: add understudy_{missing} to DEPS")
        for missing in sorted(used_by_tests - declared_for_tests - used):
            yield Problem(path, 0, "deps", f"tests of {module} include headers of {missing}: add understudy_{missing} to TEST_DEPS")
        for spare in sorted(declared - used):
            yield Problem(path, 0, "deps", f"{module} includes nothing of {spare}: remove understudy_{spare} from DEPS"
                          + (" (its tests do: TEST_DEPS)" if spare in used_by_tests else ""))


def check_first_include(files):
    """x.cc includes its own x.h first: so the ordinary build proves that x.h compiles alone, at no cost."""
    known = {f.path for f in files}
    for file in files:
        if not (file.module and file.path.endswith(".cc")):
            continue
        own = own_header(file.path, known)
        first = next((target for _, target in quoted_includes(file)), None)
        any_first = re.search(r'^[ \t]*#[ \t]*include[ \t]*([<"][^>"]+[>"])', file.text, re.MULTILINE)
        if own and (first != own or any_first.group(1) != f'"{own}"'):
            yield Problem(file.path, 0, "own-header", f'the first include must be "{own}": it proves that the header compiles alone')


def own_header(source_path, known):
    """"module/x.h" for src/module/x.cc where it exists (src/module/internal/x.h does not belong to src/module/x.cc)."""
    stem = re.sub(r"\.cc$", "", source_path)
    return f"{stem[len('src/'):]}.h" if f"{stem}.h" in known else None


CHECKS = [check_includes, check_modules, check_cmake, check_first_include]
