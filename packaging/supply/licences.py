# SPDX-License-Identifier: Apache-2.0
"""Writes the licences of all crates in the binaries into one file. A text that several crates have is there once."""

import argparse
import re
import sys
from pathlib import Path

from crates import Crates, directory

# The files that have licences and notices. aws-lc, rustls and others have some in directories beneath.
PATTERN = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)
CODE = {".rs", ".c", ".h", ".go", ".py", ".sh", ".pl", ".toml"}
RULE = "=" * 100
HEAD = """The binaries of mod_tls contain the crates below, besides mod_tls itself (Apache License 2.0) and the standard
library of Rust (MIT or Apache License 2.0; https://github.com/rust-lang/rust). Where a crate may be used under one of
several licences, any of them may be chosen.

"""


def texts(package):
    """The licences and notices in the crate's source."""
    paths = sorted(path for path in directory(package).rglob("*") if PATTERN.search(path.name))
    for path in paths:
        if path.is_file() and path.suffix not in CODE:
            yield path.read_text(errors="replace").replace("\r\n", "\n").strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="the file that is written")
    parser.add_argument("--crypto", default="aws-lc", choices=["aws-lc", "ring", "fips"])
    parser.add_argument("--target", help="the platform, if it is not that of this machine")
    arguments = parser.parse_args()
    crates = Crates(arguments.crypto, arguments.target)
    users, without = {}, []
    rows = []
    for package in (package for package in crates.all() if package["source"] and crates.is_linked(package)):
        name = f"{package['name']} {package['version']}"
        rows.append(f"{name}: {package['license']}, {package['repository'] or 'no repository'}")
        found = list(texts(package))
        if not found:
            without.append(name)
        for text in found:
            users.setdefault(text, {})[name] = None
    parts = [HEAD + "\n".join(rows)]
    if without:
        parts.append(
            "These crates have no file with the text of their licence. It is one of those below, by the name above:\n\n"
            + "\n".join(without)
        )
    parts += [f"{', '.join(names)}:\n\n{text}" for text, names in users.items()]
    arguments.file.write_text(f"\n\n{RULE}\n\n".join(parts) + "\n")
    if not rows:
        sys.exit("cargo names no crates")


if __name__ == "__main__":
    main()
