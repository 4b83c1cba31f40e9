#!/usr/bin/env python3
"""The rules of this tree that no compiler checks: layers, forbidden calls, file sizes, links in the documentation.

Usage: tests/tidy/tidy.py [--self-test] [ROOT]

Prints one line for each offence, "path:line: rule: what is wrong; what to do", and exits with 1 if there is any.
--self-test runs every rule on a bad example, which it must report, and on a good one, which it must not.

A line may opt out of a rule, with its reason: `tidy: allow(rule) because ...`, in a comment on that line or on the one above.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FILE_LINES_MAX = 600
CODE = (".h", ".cc", ".py", ".ts", ".js", ".mjs", ".css", ".sh", ".cmake")
TEXT = CODE + (".md", ".txt", ".yml", ".yaml", ".json", ".html", "")
DATA_FOLDERS = ("data", "goldens", "testdata", "corpus", "fixtures", "node_modules", "build")

# What a layer may never see, whatever CMakeLists.txt comes to say (design 4).
NEVER = {
    "base": {"wire", "core", "store", "net", "engine", "object", "server", "agent", "cli", "sim"},
    "wire": {"core", "store", "net", "engine", "object", "server", "agent", "cli", "sim"},
    "core": {"store", "net", "engine", "object", "server", "agent", "cli", "sim"},
    "store": {"net", "engine", "object", "server", "agent", "cli", "sim"},
    "net": {"core", "store", "engine", "object", "server", "agent", "cli", "sim"},
    "engine": {"core", "store", "object", "server", "agent", "cli", "sim"},
    "object": {"core", "store", "engine", "server", "agent", "cli", "sim"},
    "server": {"agent", "engine", "cli", "sim"},
    "agent": {"core", "store", "server", "cli", "sim"},
    "cli": {"sim"},
    "sim": {"cli"},
}

# The world comes in through base/env only (design 3.16).
FORBIDDEN_CALLS = [
    (r"::\s*now\s*\(\s*\)(?!\s*(const|noexcept|override)*\s*\{)", "reads a clock"),
    (r"\b(steady_timer|system_timer|high_resolution_timer|deadline_timer)\b", "makes a timer"),
    (r"\b(system_clock|steady_clock|high_resolution_clock)\b", "names a clock"),
    (r"\brandom_device\b|\b(std::)?s?rand\s*\(\s*\)|\bsrand\s*\(", "draws randomness"),
    (r"\bsleep_(for|until)\b|\b(usleep|nanosleep)\s*\(", "blocks the thread"),
    (r"\b(clock_gettime|gettimeofday)\s*\(|\btime\s*\(\s*(nullptr|NULL|0)\s*\)", "reads a clock"),
]


@dataclass
class Offence:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class Source:
    """One file: its text, and for C++ the same text with comments and literals blanked out, lines kept."""

    def __init__(self, root, path):
        self.root = root
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.extension = os.path.splitext(self.name)[1]
        self.text = (root / path).read_text(encoding="utf-8", errors="replace")
        self.lines = self.text.split("\n")
        self.is_cpp = self.extension in (".h", ".cc")
        self.layer = path.split("/")[1] if path.startswith("src/") and path.count("/") >= 2 else None
        self._code = None

    @property
    def code(self):
        if self._code is None:
            self._code = blank(self.text)
        return self._code

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1

    def allowed(self, line, rule):
        near = self.lines[max(0, line - 2):line]
        return any(re.search(rf"tidy: allow\({re.escape(rule)}\) because \S", text) for text in near)


BLANKED = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^()\\ ]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z])\'(?:\\.|[^\'\\\n])+\'',
    re.S)


def blank(text):
    """Comments and literals become spaces; an #include keeps its quotes' content, since BLANKED would eat it: see INCLUDE."""
    return BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def matches(source, pattern, text=None):
    """(line, match) of each match in the code, comments and literals left out."""
    text = source.code if text is None else text
    for found in re.finditer(pattern, text):
        yield text.count("\n", 0, found.start()) + 1, found


# --- the rules: each yields (line, text) for one file --------------------------------------------------------------------

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def layers_of(root):
    """From CMakeLists.txt: layer -> every layer it may include, its own included."""
    direct = {}
    path = root / "CMakeLists.txt"
    text = path.read_text() if path.exists() else ""
    for name, links in re.findall(r"^gantry_layer\(\s*(\w+)\s+(?:PRECOMPILED\s+\w+\s+)?LINK\s+([^)]*)\)", text, re.M):
        direct[name] = set(re.findall(r"\bgantry_(\w+)", links)) - {"dependencies"}
    for sources, links in re.findall(r"^gantry_program\(\s*\S+\s+SOURCES\s+src/(\w+)\s+LINK\s+([^)]*)\)", text, re.M):
        direct[sources] = set(re.findall(r"\bgantry_(\w+)", links))

    def closure(name, seen):
        if name not in seen:
            seen.add(name)
            for below in direct.get(name, ()):
                closure(below, seen)
        return seen

    return {name: closure(name, set()) for name in direct}


def rule_layers(source, layers):
    if not (source.is_cpp and source.path.startswith("src/")):
        return
    if source.layer not in layers:
        yield 1, f"the folder src/{source.layer} is no layer of CMakeLists.txt"
        return
    for found in INCLUDE.finditer(source.text):
        line, quote, target = source.line_of(found.start()), found[1], found[2]
        other = target.split("/")[0]
        if quote == "<":
            if other in layers and (source.root / "src" / target).exists():
                yield line, f'<{target}> is ours: write "{target}"'
        elif not (source.root / "src" / target).exists():
            yield line, f'there is no src/{target}; includes start at src/: "{source.layer}/..."'
        elif other not in layers[source.layer]:
            yield line, f"{source.layer} may not include {other} (CMakeLists.txt says what it may)"
        elif other in NEVER.get(source.layer, ()):
            yield line, f"{source.layer} may never include {other} (design 4)"


def rule_size(source, _):
    script = source.extension == "" and source.text.startswith("#!")
    if (source.extension in CODE or script) and len(source.lines) - 1 > FILE_LINES_MAX:
        yield FILE_LINES_MAX + 1, f"{len(source.lines) - 1} lines, {FILE_LINES_MAX} at most: this is two files"


def rule_env(source, _):
    if not (source.is_cpp and source.path.startswith("src/")) or re.match(r"src/base/env(_\w+)?\.", source.path):
        return
    for pattern, what in FORBIDDEN_CALLS:
        for line, found in matches(source, pattern):
            yield line, f"'{found.group().strip()}' {what}; take it from Env (base/env.h)"


def block_end(code, start):
    """The position after the brace that closes the first one at or after `start`; -1 if there is none."""
    depth = 0
    for found in re.finditer(r"[{}]", code[start:]):
        depth += 1 if found.group() == "{" else -1
        if depth == 0:
            return start + found.end()
    return -1


def rule_await_in_catch(source, _):
    if not source.is_cpp:
        return
    for found in re.finditer(r"\bcatch\s*\([^)]*\)\s*\{", source.code):
        end = block_end(source.code, found.end() - 1)
        for inner in re.finditer(r"\bco_await\b", source.code[found.end():end]):
            yield source.line_of(found.end() + inner.start()), "co_await inside catch: keep the error, leave the handler first"


def rule_lambda_coroutine(source, _):
    if not source.is_cpp:
        return
    pattern = (r"\[\s*[^\]\s][^\]]*\]\s*(\((?:[^()]|\([^()]*\))*\))?\s*(mutable|noexcept|constexpr|\s)*"
               r"->\s*(\w+::)*(Async|awaitable|Task)\b")
    for line, _found in matches(source, pattern):
        yield line, "a lambda that is a coroutine captures nothing: its captures die before it; pass them as parameters"


def rule_beast(source, _):
    if source.is_cpp and not source.path.startswith("src/net/"):
        for found in INCLUDE.finditer(source.text):
            if found[2].startswith("boost/beast"):
                yield source.line_of(found.start()), "Beast stays behind net/ (it is slow to compile)"
        for line, _found in matches(source, r"\bbeast::"):
            yield line, "Beast stays behind net/ (it is slow to compile)"


def rule_detached(source, _):
    if source.is_cpp:
        for line, _found in matches(source, r"\bdetached\b|\.\s*detach\s*\(\s*\)"):
            yield line, "nothing runs detached: spawn it in a Scope, which waits for it (base/async.h)"


def rule_unfinished(source, _):
    words = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"])
    for line, found in matches(source, rf"\b({words})\b", source.text):
        yield line, f"'{found.group()}': finish it, or file an issue"


def rule_workplace(source, _):
    hosts = ["deb[.]" + "debian[.]org", "registry[.]" + "npmjs"]
    folders = [r"(?<![\w.}$/*-])/" + name + r"/" for name in ("work", "root")]
    for line, found in matches(source, "|".join(hosts + folders), source.text):
        yield line, f"'{found.group()}' belongs to one machine or network; leave it out"


def rule_header(source, _):
    if source.extension != ".h":
        return
    first = next((text for text in source.lines if text.strip()), "")
    if not first.startswith("//"):
        yield 1, "a header begins with a comment: what it is and its contract"
    if not re.search(r"^#pragma once$", source.text, re.M):
        yield 1, "no #pragma once"


def heading_anchors(text):
    """The anchors that a Markdown page's headings get."""
    anchors = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", without_code_blocks(text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = base = re.sub(r"[^\w\- ]", "", plain.replace("`", "").lower()).replace(" ", "-")
        count = 0
        while anchor in anchors:
            count += 1
            anchor = f"{base}-{count}"
        anchors.add(anchor)
    return anchors


def without_code_blocks(text):
    return re.sub(r"^(```|~~~).*?^\1[^\n]*$", lambda found: "\n" * found.group().count("\n"), text, flags=re.M | re.S)


def rule_links(source, _):
    if source.extension != ".md":
        return
    text = without_code_blocks(source.text)
    text = re.sub(r"`[^`\n]*`", lambda found: " " * len(found.group()), text)
    pattern = r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\s{0,3}\[[^\]]+\]:\s+(\S+)|(?:href|src)=\"([^\"]+)\""
    for line, found in matches(source, re.compile(pattern, re.M), text):
        target = found[1] or found[2] or found[3]
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//", target):
            continue
        path, _hash, anchor = target.partition("#")
        if path.startswith("/"):
            yield line, f"'{target}' is not relative: it works on no checkout"
            continue
        page = (source.root / source.path).parent / path if path else source.root / source.path
        if not page.exists():
            yield line, f"'{target}' leads nowhere"
        elif anchor and page.suffix == ".md" and anchor.lower() not in heading_anchors(page.read_text()):
            yield line, f"'{target}': {path or 'this page'} has no such heading"


RULES = {
    "layers": rule_layers,
    "size": rule_size,
    "env": rule_env,
    "await-in-catch": rule_await_in_catch,
    "lambda-coroutine": rule_lambda_coroutine,
    "beast": rule_beast,
    "detached": rule_detached,
    "unfinished": rule_unfinished,
    "workplace": rule_workplace,
    "header": rule_header,
    "links": rule_links,
}


# --- the run ---------------------------------------------------------------------------------------------------------------

def files_of(root):
    """What git knows or would add; without git, everything outside build folders."""
    git = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, check=False)
    if git.returncode == 0 and git.stdout:
        paths = git.stdout.decode().split("\0")
    else:
        paths = [str(path.relative_to(root)) for path in root.rglob("*")]
    for path in sorted(set(paths)):
        parts = path.split("/")
        if path and not any(part in DATA_FOLDERS or part == ".git" for part in parts[:-1]):
            if os.path.splitext(path)[1] in TEXT and (root / path).is_file() and not (root / path).is_symlink():
                yield path


def check(root):
    layers = layers_of(root)
    offences, count = [], 0
    for path in files_of(root):
        source = Source(root, path)
        count += 1
        if "\0" in source.text:
            continue
        for rule, function in RULES.items():
            for line, text in function(source, layers):
                if not source.allowed(line, rule):
                    offences.append(Offence(path, line, rule, text))
    return offences, count


def main():
    arguments = sys.argv[1:]
    if "--help" in arguments or "-h" in arguments:
        print(__doc__)
        return 0
    if "--self-test" in arguments:
        sys.dont_write_bytecode = True
        import self_test
        return self_test.run()
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    offences, count = check(root)
    for offence in offences:
        print(offence)
    print(f"tidy: {count} files, {len(RULES)} rules, {len(offences)} offences")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
