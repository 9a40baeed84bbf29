# SPDX-License-Identifier: Apache-2.0
"""httpd of a Debian suite, unpacked into a directory. Nothing is installed."""

import re
import shutil
import subprocess
from pathlib import Path

# Packages that are unpacked with their dependencies, and packages that are unpacked alone (headers and configuration
# programs).
PROGRAMS = ["apache2-bin"]
HEADERS = ["apache2-dev", "libapr1-dev", "libaprutil1-dev"]
# The C library and packages that depend on its version.
C_LIBRARY = "libc6"


class Debian:
    """The mirrors of apt's configuration, and apt with a configuration of its own."""

    def __init__(self):
        release = Path("/etc/os-release").read_text()
        self.codename = re.search(r"^VERSION_CODENAME=(\S+)", release, re.MULTILINE).group(1)
        self._main = self._mirror(self.codename)
        self._security = self._mirror(f"{self.codename}-security")

    @staticmethod
    def _mirror(suite):
        command = ["apt-get", "indextargets", "Created-By: Packages", f"Release: {suite}", "--format", "$(REPO_URI)"]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        if not found:
            raise RuntimeError(f"apt is configured with no mirror for {suite}")
        return found[0]

    def sources(self, suite):
        """The lines of sources.list: for SUITE, or for SUITE and its updates with SUITE-security."""
        base = suite.removesuffix("-security")
        mirrors = [(self._main, base)] + ([(self._security, suite)] if base != suite else [])
        key = "/usr/share/keyrings/debian-archive-keyring.gpg"
        return "".join(f"deb [signed-by={key}] {mirror} {name} main\n" for mirror, name in mirrors)


class Suite:
    """One suite in its own directory: lists, packages, and the unpacked files (`root`)."""

    def __init__(self, name, directory, debian):
        self.name, self._directory = name, directory
        self._apt, self.root = directory / "apt", directory / "root"
        self._sources = debian.sources(name)

    def obtain(self):
        """Unpacks httpd, unless the same packages are unpacked already."""
        for path in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"]:
            self._apt.joinpath(path).mkdir(parents=True, exist_ok=True)
        self._apt.joinpath("var/lib/dpkg/status").touch()
        self._apt.joinpath("sources.list").write_text(self._sources)
        self._get("update")
        self._get("install", "--download-only", "--yes", "--no-install-recommends", *PROGRAMS)
        self._get("download", *HEADERS, cwd=self._archives)
        self._unpack()
        return self.version("apache2-bin")

    @property
    def _archives(self):
        return self._apt / "var/cache/apt/archives"

    def _get(self, *args, cwd=None):
        options = {
            "Dir": self._apt,
            "Dir::State::status": self._apt / "var/lib/dpkg/status",
            "Dir::Etc::sourcelist": self._apt / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::parts": "/etc/apt/apt.conf.d",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Sandbox::User": "root",
        }
        settings = [f"-o{name}={value}" for name, value in options.items()]
        subprocess.run(["apt-get", "-qq", *settings, *args], check=True, cwd=cwd, stdout=subprocess.DEVNULL)

    def _unpack(self):
        files = self._newest()
        names = "".join(f"{file.name}\n" for file in files)
        stamp = self._directory / "unpacked"
        if stamp.exists() and stamp.read_text() == names:
            return
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        for file in files:
            subprocess.run(["dpkg", "-x", file, self.root], check=True)
        stamp.write_text(names)

    def _newest(self):
        """The newest file of each package, except a C library that is older than the system's. Programs run with a
        newer one, and the module was built with the system's."""
        newest = {}
        for file in sorted(self._archives.glob("*.deb")):
            package, version = file.name.split("_")[:2]
            if package not in newest or is_newer(version, newest[package].name.split("_")[1]):
                newest[package] = file
        if C_LIBRARY in newest and is_newer(installed(C_LIBRARY), newest[C_LIBRARY].name.split("_")[1]):
            del newest[C_LIBRARY]
        return list(newest.values())

    def version(self, package):
        """The version of an unpacked package."""
        file = next(file for file in self._newest() if file.name.startswith(f"{package}_"))
        return file.name.split("_")[1].replace("%3a", ":")


def is_newer(one, other):
    one, other = (version.replace("%3a", ":") for version in (one, other))
    return subprocess.run(["dpkg", "--compare-versions", one, "gt", other]).returncode == 0


def installed(package):
    command = ["dpkg-query", "--show", "--showformat=${Version}", package]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
