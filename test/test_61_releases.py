# SPDX-License-Identifier: Apache-2.0
"""What makes releases, as far as it is quick: bills of materials, licences, versions, and what `make release` refuses.
`make release-check` has the rest."""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUPPLY = ROOT / "packaging/supply"
VERSION = re.search(r"AC_INIT\(\[mod_tls\], \[(.+)\]\)", (ROOT / "configure.ac").read_text())[1]
MISSING = [name for name in ("cargo", "git") if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on PATH: {MISSING}")


def run(*command, **environment):
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert run.returncode == 0, run.stderr
    return run.stdout


def bills(directory, time):
    directory.mkdir()
    run(sys.executable, SUPPLY / "sbom.py", "--version", VERSION, directory, SOURCE_DATE_EPOCH=str(time))
    return {name: (directory / f"mod_tls.{name}.json").read_text() for name in ("cdx", "spdx")}


class TestBillsOfMaterials:
    @pytest.fixture(scope="class")
    def found(self, tmp_path_factory):
        return bills(tmp_path_factory.mktemp("bills") / "one", 1_000_000_000)

    def test_01_what_is_linked_and_what_builds(self, found):
        parts = {part["name"]: part for part in json.loads(found["cdx"])["components"]}
        for name in ("rustls", "aws-lc-rs", "ring", "rustls-webpki", "mod-tls-core"):
            assert parts[name]["scope"] == "required", name
        for name in ("cbindgen", "cc", "syn"):
            assert parts[name]["scope"] == "excluded", name
        # Only tests use these.
        assert not {"criterion", "proptest"} & set(parts)
        assert all(part["licenses"][0]["expression"] != "NOASSERTION" for part in parts.values())
        lock = (ROOT / "Cargo.lock").read_text()
        assert f'checksum = "{parts["rustls"]["hashes"][0]["content"]}"' in lock

    def test_02_both_have_the_same_crates(self, found):
        cdx = {(part["name"], part["version"]) for part in json.loads(found["cdx"])["components"]}
        spdx = {(part["name"], part["versionInfo"]) for part in json.loads(found["spdx"])["packages"]}
        assert spdx - cdx == {("mod_tls", VERSION)} and not cdx - spdx

    def test_03_they_depend_on_the_sources_and_the_time_only(self, found, tmp_path):
        assert bills(tmp_path / "same", 1_000_000_000) == found
        assert bills(tmp_path / "other", 1_000_000_001) != found

    def test_04_each_linked_crate_has_a_licence(self, found, tmp_path):
        run(sys.executable, SUPPLY / "licences.py", tmp_path / "licences.txt")
        text = (tmp_path / "licences.txt").read_text()
        for part in json.loads(found["cdx"])["components"]:
            linked = part["scope"] == "required" and "purl" in part
            assert (f"\n{part['name']} {part['version']}: " in text) == linked, part["name"]


def test_05_the_list_of_versions(tmp_path):
    for version in ("0.9.0", "0.10.0", "0.10.0-rc1"):
        page = tmp_path / version / "docs/site/index.html"
        page.parent.mkdir(parents=True)
        page.touch()
    run(sys.executable, ROOT / "docs/site/versions.py", tmp_path)
    listed = re.findall(r'<a href="([^/]+)/', (tmp_path / "index.html").read_text())
    assert listed == ["0.10.0", "0.10.0-rc1", "0.9.0"]


class Release:
    """A repository that is ready to be released."""

    def __init__(self, directory):
        self.root, self.build = directory / "sources", directory / "build"
        script = self.root / "packaging/bin/release"
        script.parent.mkdir(parents=True)
        self.build.mkdir()
        shutil.copy(ROOT / "packaging/bin/release", script)
        for name in ("Cargo.toml", "Cargo.lock"):
            shutil.copy(ROOT / name, self.root)
        today = datetime.datetime.now(datetime.timezone.utc).date()
        self.changelog = self.root / "CHANGELOG.md"
        self.changelog.write_text(f"## [Unreleased]\n\n## [{VERSION}] - {today}\n\n- A change.\n")
        self.git("init", "-q", "-b", "main")
        self.commit()

    def git(self, *words):
        name = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        return run("git", "-C", self.root, *name, *words).strip()

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "test")
        (self.build / "release-check.passed").write_text(self.git("rev-parse", "HEAD") + "\n")

    def make(self, version=VERSION):
        variables = {"GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.org"}
        command = [self.root / "packaging/bin/release", version, self.build]
        result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
        return result.returncode, result.stderr

    def tags(self):
        return self.git("tag").split()


@pytest.fixture
def release(tmp_path):
    return Release(tmp_path)


class TestRelease:
    def test_06_what_is_ready_is_tagged_once(self, release):
        assert release.make() == (0, "")
        assert release.tags() == [f"v{VERSION}"]
        status, said = release.make()
        assert status == 1 and f"the tag v{VERSION} exists" in said

    @pytest.mark.parametrize("version, said", [("0.9", "MAJOR.MINOR.PATCH"), ("99.0.0", "Cargo.toml has another")])
    def test_07_wrong_versions(self, release, version, said):
        status, output = release.make(version)
        assert status == 1 and said in output
        assert not release.tags()

    def test_08_changes_that_are_not_in_the_list(self, release):
        text = release.changelog.read_text()
        release.changelog.write_text(text.replace("## [Unreleased]\n", "## [Unreleased]\n\n- Another change.\n"))
        release.commit()
        status, said = release.make()
        assert status == 1 and "has changes under Unreleased" in said and said.count("\n") == 1

    def test_09_changes_that_are_not_committed_or_checked(self, release):
        release.root.joinpath("new").touch()
        assert "git status" in release.make()[1]
        release.commit()
        release.build.joinpath("release-check.passed").unlink()
        status, said = release.make()
        assert status == 1 and "release-check has not passed" in said
        assert not release.tags()
