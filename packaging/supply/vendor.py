# SPDX-License-Identifier: Apache-2.0
"""Puts the sources of all crates into the directory of a release, so that it is built without a network.

Crates for other systems than Linux and the BSDs stay as names: cargo has to find what Cargo.lock lists, but builds
nothing of it. They would be more than half of the size, most of it compiled libraries for Windows.
"""

import argparse
import json
import os
import shutil
import subprocess
from pathlib import Path

from crates import ROOT, metadata

TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "i686-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "powerpc64le-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-unknown-freebsd",
)
# The workspace, and the client of the tests.
MANIFESTS = ("Cargo.toml", "test/clients/Cargo.toml")
# Compiled code for Windows, in crates that are used.
COMPILED = ("*.dll", "*.lib", "*.exe")
SOURCES = """
# The crates are in vendor/.
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"
"""


def needed():
    """Name and version of the crates that are used on one of the systems."""
    found = set()
    for manifest in MANIFESTS:
        for target in TARGETS:
            data = metadata("--all-features", f"--filter-platform={target}", manifest=ROOT / manifest)
            used = {node["id"] for node in data["resolve"]["nodes"]}
            found |= {(row["name"], row["version"]) for row in data["packages"] if row["id"] in used}
    return found


def copy(destination):
    """All crates of the lock files. Crates that are in both are there once."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "vendor", "--quiet", "--locked", "--versioned-dirs"]
    others = [option for manifest in MANIFESTS[1:] for option in ("--sync", manifest)]
    subprocess.run([*command, *others, destination], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def change_checksums(crate, is_kept):
    """cargo does not miss the files that its list of checksums lacks."""
    path = crate / ".cargo-checksum.json"
    checksums = json.loads(path.read_text())
    checksums["files"] = {name: value for name, value in checksums["files"].items() if is_kept(name)}
    path.write_text(json.dumps(checksums))


def empty(crate):
    """Leaves the manifest, and libraries and programs without a line where it names them."""
    for path in crate.iterdir():
        if path.name not in ("Cargo.toml", ".cargo-checksum.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (crate / "src").mkdir()
    (crate / "src/lib.rs").touch()
    change_checksums(crate, lambda name: name == "Cargo.toml")


def remove_compiled(crate):
    paths = {path for pattern in COMPILED for path in crate.rglob(pattern)}
    if paths:
        names = {str(path.relative_to(crate)) for path in paths}
        change_checksums(crate, lambda name: name not in names)
        for path in paths:
            path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="the directory of the release, which gets vendor/")
    directory = parser.parse_args().directory.resolve()
    vendor = directory / "vendor"
    if (ROOT / "vendor").exists():
        # These sources are a release: its crates are there, and its configuration of cargo says so.
        shutil.copytree(ROOT / "vendor", vendor, symlinks=True)
        return
    copy(vendor)
    used = {f"{name}-{version}" for name, version in needed()}
    for crate in vendor.iterdir():
        # A version may have a +suffix, which is a part of the directory's name.
        if crate.name in used:
            remove_compiled(crate)
        else:
            empty(crate)
    config = directory / ".cargo/config.toml"
    config.write_text(config.read_text() + SOURCES)


if __name__ == "__main__":
    main()
