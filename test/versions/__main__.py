# SPDX-License-Identifier: Apache-2.0
"""python -m versions: builds the C module for several versions of httpd, and runs the core of the tests with each.

An httpd is a suite of Debian (bookworm, or bookworm-security with its updates), which is unpacked into a directory, or
the path of an apxs."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from versions.debian import Debian, Suite
from versions.prefix import make_usable

# The oldest available version first.
SUITES = ["bullseye", "bookworm", "sid", "trixie-security"]
# The tests that are run with each version of httpd.
CORE = [*(f"test_{number:02}_*.py" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 21))]
HERE = Path(__file__).resolve().parent
TESTS, SOURCE = HERE.parent, HERE.parent.parent


def arguments():
    parser = argparse.ArgumentParser(prog="versions", description=__doc__)
    parser.add_argument("httpds", nargs="*", help=f"default: {' '.join(SUITES)}")
    parser.add_argument("--directory", type=Path, required=True, help="the directory for all files")
    parser.add_argument("--make", action="append", default=[], help="a make variable of the existing build")
    parser.add_argument("--pytest", default="-q", help="arguments for pytest")
    options = parser.parse_args()
    options.httpds = options.httpds or SUITES
    return options


class Version:
    """One httpd, and the module that was built for it."""

    def __init__(self, name, directory, debian):
        self._directory, self._debian = directory / name.strip("/").replace("/", "-"), debian
        self._directory.mkdir(parents=True, exist_ok=True)
        self.name = name

    def obtain(self):
        """Finds the httpd and its apxs."""
        if "/" in self.name:
            self.apxs = Path(self.name).resolve()
            return
        suite = Suite(self.name, self._directory, self._debian())
        suite.obtain()
        self.apxs = make_usable(suite.root, self._directory / "bin")

    def version(self):
        directory, program = (self._query(name) for name in ("SBINDIR", "PROGNAME"))
        says = subprocess.run([f"{directory}/{program}", "-v"], check=True, capture_output=True, text=True).stdout
        return re.search(r"Apache/(\S+)", says).group(1)

    def _query(self, name):
        return subprocess.run([self.apxs, "-q", name], check=True, capture_output=True, text=True).stdout.strip()

    def build(self, variables):
        """Builds the C module. The Rust library does not depend on httpd: the existing one is linked."""
        build = self._directory / "build"
        build.mkdir(exist_ok=True)
        configure = [SOURCE / "configure", "--quiet", f"--with-apxs={self.apxs}", f"PYTHON={sys.executable}"]
        subprocess.run(configure, check=True, cwd=build)
        subprocess.run(["make", "-C", build, "V=0", *variables, "module/mod_tls.so"], check=True)
        return build / "module/mod_tls.so"

    def test(self, module, arguments):
        """Runs the tests. Returns the last line of pytest, and whether all tests passed."""
        environment = {**os.environ, "TLS_APXS": str(self.apxs), "TLS_MODULE": str(module)}
        files = [str(file) for pattern in CORE for file in sorted(TESTS.glob(pattern))]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *files]
        log = self._directory / "pytest.log"
        with open(log, "w") as out:
            run = subprocess.run(command, env=environment, cwd=TESTS, stdout=out, stderr=subprocess.STDOUT)
        return log.read_text().strip().splitlines()[-1], run.returncode == 0, log


def check(name, options, debian):
    """Builds and tests with one httpd. Returns whether that succeeded."""
    try:
        version = Version(name, options.directory, debian)
        version.obtain()
        number = version.version()
        module = version.build(options.make)
    except (subprocess.CalledProcessError, RuntimeError) as e:
        print(f"{name}: could not be built: {e}", flush=True)
        return False
    summary, good, log = version.test(module, options.pytest.split())
    print(f"{name}: httpd {number}: {summary}{'' if good else f', see {log}'}", flush=True)
    return good


def main():
    options = arguments()
    results = [check(name, options, Debian) for name in options.httpds]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
