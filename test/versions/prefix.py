# SPDX-License-Identifier: Apache-2.0
"""Makes an httpd in a directory usable in place: a program that runs it, and an apxs with its paths."""

import shlex
from pathlib import Path

LIBRARY_DIRS = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib", "lib"]
LOADERS = ["lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"]


def make_usable(root, bin_dir):
    """Writes httpd, apxs and the apr-config programs for the files in `root`. Returns the path of apxs."""
    bin_dir.mkdir(parents=True, exist_ok=True)
    _write(bin_dir / "httpd", f'exec {_loader(root)} {root}/usr/sbin/apache2 "$@"')
    for program in ["apr-1-config", "apu-1-config"]:
        # Debian's programs print paths as if they were installed.
        original = shlex.quote(str(root / "usr/bin" / program))
        _write(bin_dir / program, f'{original} "$@" | sed "s| -I/usr/| -I{root}/usr/|g; s|^-I/usr/|-I{root}/usr/|"')
    answers = {
        "INCLUDEDIR": root / "usr/include/apache2",
        "LIBEXECDIR": root / "usr/lib/apache2/modules",
        "SYSCONFDIR": root / "etc/apache2",
        "SBINDIR": bin_dir,
        "PROGNAME": "httpd",
        "APR_CONFIG": bin_dir / "apr-1-config",
        "APU_CONFIG": bin_dir / "apu-1-config",
    }
    cases = "".join(f"    {name}) echo {shlex.quote(str(answer))} ;;\n" for name, answer in answers.items())
    _write(
        bin_dir / "apxs",
        f'[ "$1" = -q ] || exit 2\ncase $2 in\n{cases}    *) echo "unknown: $2" >&2; exit 2 ;;\nesac',
    )
    return bin_dir / "apxs"


def _loader(root):
    """The dynamic linker for programs of `root`: its own if there is one, else the system's."""
    own = [root / name for name in LOADERS if (root / name).exists()]
    loader = own[0] if own else Path("/") / LOADERS[0]
    directories = ":".join(str(root / name) for name in LIBRARY_DIRS)
    return f"{loader} --library-path {directories}"


def _write(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
