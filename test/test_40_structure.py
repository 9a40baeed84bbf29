# SPDX-License-Identifier: Apache-2.0
"""Dependencies and sizes. Rooms of the Rust library and files of the C module depend on each other in one direction.
The mod.rs of each room lists the rooms that it uses, and docs/architecture.md has the whole graph."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CRATES = ROOT / "rust-backend"
CORE = CRATES / "core/src"
# The table of directives: the lowest room, in a crate of its own.
DIRECTIVES = CRATES / "directives/src"
MODULE = ROOT / "module"


def circle(graph):
    """A list of names that each depend on the next one, the last one on the first. None if there is no circle."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        path.append(name)
        for used in sorted(graph.get(name, ())):
            if found := visit(used):
                return found
        path.pop()
        done.add(name)
        return None

    for name in sorted(graph):
        if found := visit(name):
            return found
    return None


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def without_tests(text):
    return re.split(r"#\[cfg\(test\)\]\s*mod tests", text)[0]


def rooms():
    """For each room: the rooms that its files use."""
    found = {"directives": set()}
    for directory in sorted(path for path in CORE.iterdir() if path.is_dir()):
        texts = [without_tests(file.read_text()) for file in directory.rglob("*.rs")]
        used = {name for text in texts for name in re.findall(r"\bcrate::([a-z_0-9]+)", text)}
        if any("mod_tls_directives::" in text for text in texts):
            used.add("directives")
        found[directory.name] = used - {directory.name}
    return found


def declared():
    """The declaration of each room: `May use: a, b.` at the end of the comment in its mod.rs."""
    found = {}
    for room in rooms():
        door = DIRECTIVES / "lib.rs" if room == "directives" else CORE / room / "mod.rs"
        text = re.sub(r"\n//! ?", " ", door.read_text())
        said = re.search(r"May use: ([a-z_0-9, ]*|nothing)\.", text)
        assert said, f"{room}/mod.rs does not say what it may use"
        found[room] = set() if said[1] == "nothing" else set(said[1].split(", "))
    return found


def dependencies(crate):
    """The names in each list of dependencies that a crate has."""
    parts = re.split(r"^\[([a-z-]+)\]$", (CRATES / crate / "Cargo.toml").read_text(), flags=re.MULTILINE)
    lists = {name: text for name, text in zip(parts[1::2], parts[2::2]) if name.endswith("dependencies")}
    return {kind: set(re.findall(r"^([a-z0-9-]+) =", text, re.MULTILINE)) for kind, text in lists.items()}


class TestRust:
    def test_01_all_code_is_in_rooms(self):
        assert [file.name for file in CORE.glob("*.rs")] == ["lib.rs"]

    def test_02_rooms_use_what_they_say(self):
        assert rooms() == declared()

    def test_03_no_circles(self):
        assert circle(rooms()) is None

    def test_04_the_picture_is_right(self):
        """The picture is a list of lines such as `keys -> crypto, trust`."""
        text = (ROOT / "docs/architecture.md").read_text()
        lines = re.findall(r"^    ([a-z_0-9]+) +-> (.*)$", text, re.MULTILINE)
        drawn = {room: set() if used == "nothing" else set(used.split(", ")) for room, used in lines}
        assert drawn == rooms()

    def test_05_crates(self):
        """The dependencies between the crates and their build scripts. The table of directives has none."""
        assert dependencies("directives") == {}
        ours = {
            crate: {kind: {name for name in names if name.startswith("mod-tls-")} for kind, names in used.items()}
            for crate, used in ((crate, dependencies(crate)) for crate in ("core", "ffi"))
        }
        core = {"dependencies": {"mod-tls-directives"}, "dev-dependencies": set()}
        ffi = {"dependencies": {"mod-tls-core"}, "build-dependencies": {"mod-tls-directives"}}
        assert ours == {"core": core, "ffi": ffi}


def includes():
    """For each C file with its header: the module's own files that it includes."""
    found = {}
    for file in MODULE.glob("*.[ch]"):
        used = re.findall(r'^#include "((?:tls|mod)_[a-z_]+)\.h"', file.read_text(), re.MULTILINE)
        own = {name for name in used if (MODULE / f"{name}.h").exists() and name != file.stem}
        found.setdefault(file.stem, set()).update(own)
    return found


class TestC:
    def test_01_no_circles(self):
        assert circle(includes()) is None

    def test_02_mod_tls_is_on_top(self):
        users = {name for name, used in includes().items() if "mod_tls" in used}
        assert users <= {"mod_ssl"}

    def test_03_the_bottom_uses_nothing(self):
        assert includes()["tls_base"] == set()


def test_the_index_of_tests_is_complete():
    text = (ROOT / "test/README.md").read_text()
    missing = [file.name for file in (ROOT / "test").glob("test_*.py") if f"`{file.name}`" not in text]
    assert not missing


SOURCES = ["rust-backend/**/src/**/*.rs", "module/*.[ch]", "test/**/*.py", "bench/**/*.py"]


@pytest.mark.parametrize("pattern,limit", [(pattern, 500) for pattern in SOURCES])
def test_sizes(pattern, limit):
    """A file has one concern. Tables may be longer."""
    tables = {CORE / "crypto/ciphers/table.rs", DIRECTIVES / "own.rs", DIRECTIVES / "mod_ssl.rs"}
    long = {
        str(file.relative_to(ROOT)): count
        for file in ROOT.glob(pattern)
        if file not in tables and (count := len(file.read_text().splitlines())) > limit
    }
    assert not long
