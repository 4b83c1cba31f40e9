"""Each rule of tidy.py on a bad example, which it must report, and on good ones, which it must not. Run: tidy.py --self-test"""

import tempfile
from pathlib import Path

import tidy

CMAKE = """
gantry_layer(base LINK gantry_dependencies)
gantry_layer(wire PRECOMPILED plain LINK gantry_base)
gantry_layer(core LINK gantry_wire)
gantry_layer(net  LINK gantry_wire)
gantry_layer(agent LINK gantry_net)
gantry_layer(server LINK gantry_core gantry_net gantry_agent)
gantry_program(gantry SOURCES src/cli LINK gantry_server gantry_agent)
"""
HEADER = "// What it is.\n#pragma once\n"

# (rule, path, content, is it an offence). Words that the rules forbid everywhere are put together from pieces.
EXAMPLES = [
    ("layers", "src/core/a.cc", '#include "net/http.h"\n', True),
    ("layers", "src/base/a.cc", '#include "wire/x.h"\n', True),
    ("layers", "src/agent/a.cc", '#include "core/x.h"\n', True),
    ("layers", "src/agent/a.cc", '#include "wire/x.h"\n#include "agent/x.h"\n', False),
    ("layers", "src/server/a.cc", '#include "agent/x.h"\n', True),  # CMake allows it here, the design never does
    ("layers", "src/server/a.cc", '#include "core/x.h"\n#include "base/x.h"\n#include <vector>\n', False),
    ("layers", "src/cli/a.cc", '#include "server/x.h"\n#include "agent/x.h"\n', False),
    ("layers", "src/server/a.cc", '#include "x.h"\n', True),
    ("layers", "src/core/a.cc", "#include <core/x.h>\n", True),
    ("layers", "src/novel/a.cc", "int x;\n", True),
    ("size", "src/core/a.cc", "int x;\n" * 601, True),
    ("size", "src/core/a.cc", "int x;\n" * 600, False),
    ("size", "scripts/a", "#!/bin/sh\n" + "true\n" * 600, True),
    ("size", "tests/data/a.cc", "int x;\n" * 601, False),
    ("env", "src/core/a.cc", "auto t = Clock::now();\n", True),
    ("env", "src/core/a.cc", "asio::steady_timer t(io);\n", True),
    ("env", "src/core/a_test.cc", "std::random_device d;\n", True),
    ("env", "src/sim/a.cc", "std::chrono::system_clock x;\n", True),
    ("env", "src/core/a.cc", "std::this_thread::sleep_for(x);\n", True),
    ("env", "src/core/a.cc", "auto t = time(nullptr);\n", True),
    ("env", "src/base/env.cc", "auto t = std::chrono::system_clock::now();\n", False),
    ("env", "src/sim/a.cc", "Time SimEnv::now() { return now_; }\nauto t = env.now();\n", False),
    ("env", "src/core/a.cc", '// never system_clock\nauto s = "steady_timer";\n', False),
    ("await-in-catch", "src/core/a.cc", "try { f(); } catch (const E& e) { if (x) { co_await g(); } }\n", True),
    ("await-in-catch", "src/core/a.cc", "try { f(); } catch (...) { failed = true; }\nco_await g();\n", False),
    ("lambda-coroutine", "src/core/a.cc", "auto f = [this](int x) -> Async<int> { co_return x; };\n", True),
    ("lambda-coroutine", "src/core/a.cc", "auto f = [&] -> gantry::Async<> { co_return; };\n", True),
    ("lambda-coroutine", "src/core/a.cc", "auto f = [a, b](std::function<void()> x) mutable -> Async<> {};\n", True),
    ("lambda-coroutine", "src/core/a.cc", "auto f = [](int x) -> Async<int> { co_return x; };\n", False),
    ("lambda-coroutine", "src/core/a.cc", "auto f = [this](int x) -> int { return x; };\n", False),
    ("beast", "src/server/a.cc", "#include <boost/beast/http.hpp>\n", True),
    ("beast", "src/server/a.cc", "beast::error_code e;\n", True),
    ("beast", "src/net/a.cc", "#include <boost/beast/http.hpp>\nbeast::error_code e;\n", False),
    ("detached", "src/net/a.cc", "co_spawn(io, f(), asio::detached);\n", True),
    ("detached", "src/net/a.cc", "thread.detach();\n", True),
    ("detached", "src/net/a.cc", "// nothing detached\nint x;\n", False),
    ("unfinished", "src/net/a.cc", "// TO" "DO: more\n", True),
    ("unfinished", "docs/a.md", "FIX" "ME\n", True),
    ("unfinished", "scripts/a.sh", "mktemp /tmp/aXXXXXX\n", False),
    ("workplace", "docs/a.md", "see `/ro" "ot/notes`\n", True),
    ("workplace", "scripts/a.sh", "cd /wo" "rk/main\n", True),
    ("workplace", "scripts/a.sh", "curl http://deb." "debian.org/x\n", True),
    ("workplace", "scripts/a.sh", "cd /home/me/wo" "rk/main; ls $HOME/root/x\n", False),
    ("header", "src/net/a.h", "#pragma once\nint x;\n", True),
    ("header", "src/net/a.h", "// What it is.\nint x;\n", True),
    ("header", "src/net/a.h", HEADER, False),
    ("links", "docs/a.md", "[x](missing.md)\n", True),
    ("links", "docs/a.md", "[x](b.md#no-such-heading)\n", True),
    ("links", "docs/a.md", "# One\n[x](#two)\n", True),
    ("links", "docs/a.md", "[x](/docs/b.md)\n", True),
    ("links", "docs/a.md", "# A `b`, c\n[x](b.md) [y](b.md#its-heading) [z](#a-b-c) [w](https://example.com/x)\n", False),
    ("links", "docs/a.md", "```\n[x](missing.md)\n```\n`[x](missing.md)`\n", False),
    ("detached", "src/net/a.cc", "// tidy: allow(detached) because the test is about it\nthread.detach();\n", False),
    ("detached", "src/net/a.cc", "// tidy: allow(detached)\nthread.detach();\n", True),
]


def offences_of(path, content):
    with tempfile.TemporaryDirectory(prefix="gantry-tidy-") as folder:
        root = Path(folder)
        files = {"CMakeLists.txt": CMAKE, "docs/b.md": "## Its heading\n"}
        for layer in ("base", "wire", "core", "net", "agent", "server"):
            files[f"src/{layer}/x.h"] = HEADER
        files["src/net/http.h"] = HEADER
        files[path] = content
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return tidy.check(root)[0]


def run():
    wrong = 0
    for rule, path, content, bad in EXAMPLES:
        found = offences_of(path, content)
        reported = any(offence.rule == rule and offence.path == path for offence in found)
        if reported != bad:
            wrong += 1
            print(f"self-test: {rule} should {'' if bad else 'not '}object to {path}: {content[:100]!r}")
            for offence in found:
                print(f"    it said: {offence}")
    for rule in tidy.RULES:
        if {bad for name, _, _, bad in EXAMPLES if name == rule} != {True, False}:
            wrong += 1
            print(f"self-test: {rule} needs a bad and a good example")
    print(f"tidy self-test: {len(EXAMPLES)} examples, {wrong} wrong")
    return 1 if wrong else 0
