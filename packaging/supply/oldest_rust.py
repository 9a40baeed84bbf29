# SPDX-License-Identifier: Apache-2.0
"""Compares the oldest version of Rust that each crate names with that of the project. Clippy (incompatible_msrv) looks
at what the code of the project uses."""

import sys

from crates import Crates


def number(version):
    return [int(part) for part in version.split(".")[:2]]


def main():
    crates = Crates()
    oldest = crates.products[0]["rust_version"]
    others = [package for package in crates.all() if package["source"]]
    newer = [
        f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
        for package in others
        if package["rust_version"] and number(package["rust_version"]) > number(oldest)
    ]
    silent = [package["name"] for package in others if not package["rust_version"]]
    print(f"{len(others) - len(silent)} crates work with Rust {oldest}; these do not say: {', '.join(silent)}")
    if newer:
        sys.exit("\n".join(newer))


if __name__ == "__main__":
    main()
