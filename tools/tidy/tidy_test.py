#!/usr/bin/env python3
"""Bad samples that each check must catch, and good ones that it must leave alone."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import coroutines
import headers
import layers
import source
import text
import tidy

MARKER = "TO" + "DO"
HOME = "/" + "home/me/x"


def found(check, samples):
    """{(rule, path, line)} that `check` finds in {path: text or bytes}."""
    files = [source.File(path, s if isinstance(s, bytes) else s.encode()) for path, s in samples.items()]
    return {(p.rule, p.path, p.line) for p in check(files)}


def rules(check, sample, path="src/net/x.cc"):
    return {rule for rule, _, _ in found(check, {path: sample})}


class Masking(unittest.TestCase):
    def test_blanks_comments_and_literals_and_keeps_positions(self):
        sample = 'int a = 1\'000; // {"\nconst char* s = "// {\\"}"; char c = \'{\'; /* {\n */ auto r = R"x(")" {)x"; int b{};\n'
        masked = source.mask(sample)
        self.assertEqual(len(masked), len(sample))
        self.assertEqual(masked.count("\n"), sample.count("\n"))
        self.assertEqual(masked.count("{"), 1)
        self.assertIn("int b{};", masked)
        self.assertIn("1'000", masked)


class Links(unittest.TestCase):
    def test_may_not_leave_the_repository(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            subprocess.run(["git", "init", "-q", folder], check=True)
            (root / "sub").mkdir()
            (root / "file").write_text("x")
            for name, target in (("absolute", "/somewhere/else"), ("sub/above", "../../x"), ("sub/inside", "../file"), ("untracked", "/x")):
                (root / name).symlink_to(target)
            subprocess.run(["git", "-C", folder, "add", "file", "absolute", "sub"], check=True)
            self.assertEqual({(p.rule, p.path) for p in source.links_outside(root)}, {("link", "absolute"), ("link", "sub/above")})


class Layers(unittest.TestCase):
    tree = {f"src/{m}/{m}.h": "#pragma once\n" for m in ("base", "chat", "net", "store", "gateway", "providers")}

    def include(self, path, target):
        return found(layers.check_includes, {**self.tree, path: f'#include "{target}"\n'})

    def test_down_and_own_module_are_fine(self):
        self.assertEqual(self.include("src/net/x.cc", "chat/chat.h"), set())
        self.assertEqual(self.include("src/net/x.cc", "net/net.h"), set())

    def test_up_and_sideways_are_not(self):
        self.assertEqual(self.include("src/net/x.cc", "gateway/gateway.h"), {("layer", "src/net/x.cc", 1)})
        self.assertEqual(self.include("src/net/x.h", "store/store.h"), {("layer", "src/net/x.h", 1)})
        self.assertEqual(self.include("src/net/x_test.cc", "store/store.h"), {("layer", "src/net/x_test.cc", 1)})

    def test_internal_headers_stay_inside(self):
        tree = {"src/net/internal/a.h": "#pragma once\n", "src/net/b.cc": '#include "net/internal/a.h"\n',
                "src/gateway/c.cc": '\n#include "net/internal/a.h"\n', "bench/d.cc": '#include "net/internal/a.h"\n'}
        self.assertEqual(found(layers.check_includes, tree), {("internal", "src/gateway/c.cc", 2), ("internal", "bench/d.cc", 1)})

    def test_includes_start_at_src(self):
        self.assertEqual(self.include("src/net/x.cc", "net.h"), {("include", "src/net/x.cc", 1)})
        self.assertEqual(self.include("src/net/x.cc", "boost/asio.hpp"), {("include", "src/net/x.cc", 1)})
        optional = '#if __has_include("base/later.h")\n#include "base/later.h"\n#endif\n'
        self.assertEqual(found(layers.check_includes, {"src/net/x.cc": optional}), set())

    def test_an_include_in_a_comment_or_string_counts_not(self):
        sample = '// #include "gateway/gateway.h"\n/*\n#include "gateway/gateway.h"\n*/\n'
        self.assertEqual(found(layers.check_includes, {**self.tree, "src/net/x.cc": sample}), set())

    def test_modules_need_a_place_in_the_table_and_their_two_files(self):
        complete = {"src/net/CMakeLists.txt": "", "src/net/README.md": "", "src/net/x.h": ""}
        self.assertEqual(found(layers.check_modules, complete), set())
        self.assertEqual(found(layers.check_modules, {"src/misc/x.h": ""}),
                         {("layer", "src/misc", 0), ("module", "src/misc", 0)})

    def test_the_table_is_the_one_of_src(self):
        listed = (headers.ROOT / "src/CMakeLists.txt").read_text()
        for layer, modules in enumerate(layers.LAYERS):
            self.assertRegex(listed, rf"\b{' '.join(modules)}\)? +# {layer}\b")


class CMake(unittest.TestCase):
    def problems(self, cmake, **files):
        samples = {"src/net/CMakeLists.txt": cmake}
        samples.update({f"src/net/{name}.cc": "".join(f'#include "{t}"\n' for t in targets) for name, targets in files.items()})
        return [p.message for p in layers.check_cmake([source.File(k, v.encode()) for k, v in samples.items()])]

    def test_agreement_is_fine(self):
        self.assertEqual(self.problems("understudy_module(net DEPS understudy_base understudy_chat fmt::fmt)",
                                       x=["base/a.h", "chat/b.h"]), [])
        self.assertEqual(self.problems("understudy_module(net DEPS understudy_base TEST_DEPS understudy_chat)",
                                       x=["base/a.h"], x_test=["chat/b.h"]), [])
        self.assertEqual(self.problems("understudy_module(net)\ntarget_link_libraries(understudy_net PUBLIC understudy_base)",
                                       x=["base/a.h"]), [])

    def test_missing_spare_and_test_only(self):
        self.assertIn("add understudy_chat to DEPS", self.problems("understudy_module(net DEPS)", x=["chat/b.h"])[0])
        self.assertIn("remove understudy_chat", self.problems("understudy_module(net DEPS understudy_chat)", x=[])[0])
        self.assertIn("add understudy_chat to TEST_DEPS", self.problems("understudy_module(net)", x_test=["chat/b.h"])[0])
        self.assertIn("TEST_DEPS", self.problems("understudy_module(net DEPS understudy_chat)", x_test=["chat/b.h"])[0])


class OwnHeader(unittest.TestCase):
    def test_own_header_comes_first(self):
        tree = {"src/net/x.h": "", "src/net/x.cc": '// why\n#include "net/x.h"\n#include <string>\n', "src/net/y.cc": "#include <string>\n"}
        self.assertEqual(found(layers.check_first_include, tree), set())
        for bad in ('#include <string>\n#include "net/x.h"\n', '#include "base/a.h"\n#include "net/x.h"\n', "int i;\n#include <x>\n"):
            self.assertEqual(found(layers.check_first_include, {**tree, "src/net/x.cc": bad}), {("own-header", "src/net/x.cc", 0)})

    def test_headers_first_in_a_compiled_file_are_proven(self):
        files = [source.File("src/net/x.cc", b'#include "net/x.h"\n#include "net/y.h"\n'),
                 source.File("src/net/z.cc", b'#include <a>\n#include "net/z.h"\n'), source.File("src/net/w.cc", b'#include "net/w.h"\n')]
        self.assertEqual(headers.proven_by_build(files, {"src/net/x.cc", "src/net/z.cc"}), {"src/net/x.h"})

    def test_optional_folders_that_are_not_built_are_left_out(self):
        files = [source.File(path, b"") for path in ("src/net/x.cc", "src/net/y.cc", "src/trainer/torch/z.cc", "src/trainer/torch/z.h", "src/net/only/h.h")]
        self.assertEqual(headers.not_built(files, {"src/net/x.cc"}), {"src/trainer/torch"})


class Coroutines(unittest.TestCase):
    bad = [
        "auto r = co_await f(Options{.a = 1});",
        "auto r = co_await f({1, 2});",
        "co_await f({});",
        "co_await exchange.respond(200, {1}, body);",
        "co_await exchange.respond(200, g({}), body);",
        "co_await f(std::optional(Options{1}));",
        "co_await f(std::array<int, 2>{1, 2});",
        "co_await f(a,\n         Options{\n  .b = g()});",
        "co_return co_await respond(Reply{200});",
        "if (auto r = co_await f(Options{.a = 1}); !r) { return; }",
        "co_await f([x] { return x; });",
        "co_await f([&](int i) { return i; });",
        "co_await f(a, [this, y = 2]() mutable -> int { return y; });",
        "co_await asio::co_spawn(ex, g(Options{.a = 1}), use_awaitable);",
        "co_await f([] { return 1; }, Options{2});",
        "while (co_await next({.n = 1})) { step(); }",
        "take(Options{.a = 1}, co_await g());",
        "co_return Reply{.a = co_await g()};",
        "Reply r{.a = co_await g()};",
        "if (x) { }\nReply r = {co_await g()};",
        "UNDERSTUDY_AWAIT(reply, f({1}));",
    ]
    good = [
        "const Options options{.a = 1};\nauto r = co_await f(options);",
        "auto r = co_await f(Options());",
        "co_await f(std::size_t{1} << 20, std::string{}, std::optional<int>{3});",
        "co_await f([] { return Options{1}; });",
        "co_await f([](int i) -> std::vector<int> { return {i}; });",
        "if (co_await f(x)) { g(Options{1}); }",
        "while (auto c = co_await next()) { use({c}); }",
        "for (auto& x : list) { co_await f(x[i], map[{}]()[1]); }".replace("map[{}]()[1]", "map[k]"),
        "const auto work = [x] { return x; };\nco_await f(work);",
        "co_await exchange.respond(status(), {}, body);",
        "// co_await f({});\nconst char* s = \"co_await f({})\";",
        "UNDERSTUDY_AWAIT(reply, f(x));\nconst Options o{1};",
        "const Options o{1};\nif (o.a) {\n  co_await f(o);\n} else {\n  co_await g(o);\n}",
        "do {\n  co_await f();\n} while (x[{1}]);".replace("x[{1}]", "x[1]"),
        "auto w = []() -> std::vector<Task<int>> { co_return co_await f(); };",
        "auto w = [&](int) mutable noexcept {\n  co_await f();\n};\nspawn(w);",
        "try {\n  co_await f();\n} catch (const E& e) {\n  g({1});\n}",
        "#define AWAIT(x, task) \\\n  auto x = co_await (task); \\\n  if (!x) co_return fail(x)\nint y{1};",
        "switch (co_await f()) { case A: { g({1}); } }",
        "// tidy: allow(co_await) because the type has constructors only\nco_await f({});",
    ]

    def test_catches(self):
        for sample in self.bad:
            with self.subTest(sample):
                self.assertEqual(rules(coroutines.check_coroutines, f"Task<int> t() {{\n{sample}\n}}\n"), {"co_await"})

    def test_leaves_alone(self):
        for sample in self.good:
            with self.subTest(sample):
                self.assertEqual(rules(coroutines.check_coroutines, f"Task<int> t() {{\n{sample}\n}}\n"), set())

    def test_a_lambda_inside_a_lambda_is_looked_into(self):
        sample = "spawn([](Peer p) -> Task<void> {\n  co_await p.send({1});\n});\n"
        self.assertEqual(found(coroutines.check_coroutines, {"src/net/x.cc": sample}), {("co_await", "src/net/x.cc", 2)})

    def test_statement_expressions_in_macros(self):
        self.assertEqual(rules(coroutines.check_coroutines, "#define TRY(e) \\\n  ({ e; })\n"), {"co_await"})
        self.assertEqual(rules(coroutines.check_coroutines, "#define LIST(e) f(e)\nint x = f({1});\n"), set())


class Text(unittest.TestCase):
    def test_layout(self):
        self.assertEqual(rules(text.check_layout, "int a;\t\n"), {"tab", "space"})
        self.assertEqual(rules(text.check_layout, "int a;"), {"newline"})
        self.assertEqual(rules(text.check_layout, "int a;\n" * 601), {"length"})
        self.assertEqual(rules(text.check_layout, "int a;\n" * 600), set())
        self.assertEqual(rules(text.check_layout, "a\tb \n", "fuzz/corpus/x_fuzz/seed"), set())
        self.assertEqual(rules(text.check_layout, b"\0" * (5 * 1024 * 1024 + 1), "data/model.bin"), {"size"})

    def test_pragma_once(self):
        self.assertEqual(rules(text.check_layout, "// why\n#pragma once\n", "src/net/x.h"), set())
        self.assertEqual(rules(text.check_layout, "#ifndef X\n#define X\n#endif\n", "src/net/x.h"), {"pragma-once"})

    def test_markers_merges_paths_hosts(self):
        self.assertEqual(rules(text.check_leftovers, f"// {MARKER}: later\n"), {"marker"})
        self.assertEqual(rules(text.check_leftovers, "<" * 7 + " HEAD\n", "README.md"), {"merge"})
        self.assertEqual(rules(text.check_leftovers, f'const char* p = "{HOME}";\n'), {"machine-path"})
        self.assertEqual(rules(text.check_leftovers, f"see {HOME}\n", "docs/x.md"), {"machine-path"})
        self.assertEqual(rules(text.check_leftovers, "from https://registry." + "npmjs.org/x\n", "web/.npmrc"), {"registry-host"})
        self.assertEqual(rules(text.check_leftovers, "~{0}x a{1}b $HOME{0}x mastodon GET /workers\n".format("/wor" "k/", "/ho" "me/"), "docs/x.md"), set())

    def test_commented_out_code(self):
        for sample in ("// int x = f(a, b);", "// return x + 1;", "// f(a, b);", "// if (x) {", "// #include <map>", "  // x->y = 3;",
                       "// }", "// auto p = make();"):
            with self.subTest(sample):
                self.assertEqual(rules(text.check_leftovers, sample + "\n"), {"dead-code"})
        self.assertEqual(rules(text.check_leftovers, "#if 0\nint x;\n#endif\n"), {"dead-code"})
        for sample in ("// The head is parsed in place (no copies);", "// returns early when closed; see above", "/// f(a, b);",
                       "// if the peer is gone, nothing is sent", "// for example {1, 2}", "// Bodies are streamed: f(x) reads, g(x) writes.",
                       "int x;  // f(a, b);"):
            with self.subTest(sample):
                self.assertEqual(rules(text.check_leftovers, sample + "\n"), set())

    def test_prints(self):
        for sample in ('std::cout << 1;', 'printf("x");', 'std::fprintf(stderr, "x");', 'fmt::print("x");', 'fmt::print(stderr, "x");', 'fputs(text, stdout);', 'std::puts("x");'):
            with self.subTest(sample):
                self.assertEqual(rules(text.check_leftovers, sample + "\n"), {"print"})
                self.assertEqual(rules(text.check_leftovers, sample + "\n", "src/app/main.cc"), set())
                self.assertEqual(rules(text.check_leftovers, sample + "\n", "src/net/x_test.cc"), set())
        self.assertEqual(rules(text.check_leftovers, "fmt::print(out, \"x\");\nstd::fputs(text, out);\nsnprintf(b, n, f);\nlog::info(\"printf(\");\nblueprint(x);\n"), set())
        self.assertEqual(rules(text.check_leftovers, "// tidy: allow(print) because the program ends here\nputs(s);\n"), set())
        self.assertEqual(rules(text.check_leftovers, "// tidy: allow(print)\nputs(s);\n"), {"print"}, "a reason is needed")

    def test_decisions(self):
        good = {"docs/decisions/0001-one-binary.md": "# 0001 One binary\n", "docs/decisions/README.md": ""}
        self.assertEqual(found(text.check_decisions, good), set())
        for path, body in (("0001-other.md", "# 0001 x\n"), ("0002-x.md", "# Two\n"), ("3-x.md", "# 3\n"), ("0004_X.md", "# 0004\n")):
            with self.subTest(path):
                bad = found(text.check_decisions, {**good, f"docs/decisions/{path}": body})
                self.assertEqual({rule for rule, _, _ in bad}, {"decision"})

    def test_fuzz_targets_have_seeds(self):
        self.assertEqual(found(text.check_fuzz, {"src/net/x_fuzz.cc": "", "fuzz/corpus/x_fuzz/a": ""}), set())
        self.assertEqual(found(text.check_fuzz, {"src/net/x_fuzz.cc": "", "fuzz/corpus/y_fuzz/a": ""}),
                         {("fuzz", "fuzz/corpus/x_fuzz", 0), ("fuzz", "fuzz/corpus/y_fuzz", 0)})


class Program(unittest.TestCase):
    def run_tidy(self, root):
        program = Path(tidy.__file__)
        return subprocess.run([sys.executable, str(program), "--root", str(root)], capture_output=True, text=True)

    def test_status_and_message(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            self.assertNotEqual(self.run_tidy(root).returncode, 0, "an empty folder must not pass")
            (root / "src/base").mkdir(parents=True)
            for name, body in (("x.cc", "int x;\n"), ("README.md", "base\n"), ("CMakeLists.txt", "understudy_module(base)\n")):
                (root / "src/base" / name).write_text(body)
            self.assertEqual(self.run_tidy(root).returncode, 0, self.run_tidy(root).stdout)
            (root / "src/base/x.cc").write_text("int x;\t\n")
            run = self.run_tidy(root)
            self.assertEqual(run.returncode, 1)
            self.assertIn("src/base/x.cc:1: [tab]", run.stdout)


if __name__ == "__main__":
    unittest.main()
