# SPDX-License-Identifier: Apache-2.0
"""The crates that a build uses, as cargo sees them."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What is installed: the module, tls-keyd and tls-certs.
PRODUCTS = ("mod-tls-ffi", "mod-tls-keyd", "mod-tls-certs")


def metadata(*arguments, manifest=ROOT / "Cargo.toml"):
    """The output of `cargo metadata`. It does not change Cargo.lock."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "metadata", "--format-version=1", "--locked", f"--manifest-path={manifest}", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)


def host():
    """The platform that cargo builds for."""
    text = subprocess.run([os.environ.get("CARGO", "cargo"), "-vV"], check=True, capture_output=True, text=True).stdout
    return next(line.partition(": ")[2] for line in text.splitlines() if line.startswith("host: "))


class Crates:
    """The crates of the products on one platform with one kind of cryptography, without those that only tests use."""

    def __init__(self, crypto="aws-lc", target=None):
        options = ["--no-default-features", "--features", ",".join(f"{name}/{crypto}" for name in PRODUCTS)]
        data = metadata(*options, f"--filter-platform={target or host()}")
        self._packages = {package["id"]: package for package in data["packages"]}
        nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
        self.products = [package for package in data["packages"] if package["name"] in PRODUCTS]
        # From a package to the packages that it uses.
        self.uses = {}
        self._linked = set()
        self._follow(nodes, [package["id"] for package in self.products], is_linked=True)

    def _follow(self, nodes, start, is_linked):
        """Adds what the packages of `start` use. What only build scripts and macros use is not linked."""
        pending = [(name, is_linked) for name in start]
        while pending:
            name, linked = pending.pop()
            linked = linked and not self._is_macro(name)
            if name in self.uses and (name in self._linked or not linked):
                continue
            if linked:
                self._linked.add(name)
            used = self.uses.setdefault(name, set())
            for dependency in nodes[name]["deps"]:
                kinds = {kind["kind"] for kind in dependency["dep_kinds"]} - {"dev"}
                if kinds:
                    used.add(dependency["pkg"])
                    pending.append((dependency["pkg"], linked and None in kinds))

    def _is_macro(self, name):
        return any("proc-macro" in target["kind"] for target in self._packages[name]["targets"])

    def is_linked(self, package):
        """Whether the crate is in the binaries, and is not only used to build them."""
        return package["id"] in self._linked

    def all(self):
        """The crates, by name and version."""
        packages = (self._packages[name] for name in self.uses)
        return sorted(packages, key=lambda package: (package["name"], package["version"]))

    def package(self, name):
        return self._packages[name]


def directory(package):
    """Where the crate's source is."""
    return Path(package["manifest_path"]).parent
