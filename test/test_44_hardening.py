# SPDX-License-Identifier: Apache-2.0
"""The files for systemd and AppArmor in packaging/, as the tools that load them understand them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGING = Path(__file__).resolve().parent.parent / "packaging"
DROP_IN = PACKAGING / "systemd/apache2.service.d/mod_tls.conf"
APPARMOR = PACKAGING / "apparmor"
# A unit like those of Debian and Fedora.
UNIT = """[Unit]
Description=httpd

[Service]
Type=forking
ExecStart=/bin/true
"""


def tool(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command, **environment):
    result = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment})
    assert result.returncode == 0, result.stderr
    return result


def with_stricter_lines(text):
    """The drop-in as if an administrator had turned on everything that is commented out."""
    return re.sub(r"^#(?=[A-Z][A-Za-z]+=)", "", text, flags=re.M)


@pytest.fixture(params=["as it is", "stricter"])
def unit(request, tmp_path):
    """The unit with the drop-in."""
    text = DROP_IN.read_text()
    path = tmp_path / "apache2.service"
    path.write_text(UNIT)
    directory = tmp_path / "apache2.service.d"
    directory.mkdir()
    (directory / "mod_tls.conf").write_text(text if request.param == "as it is" else with_stricter_lines(text))
    return path


def test_01_systemd_understands_each_line(unit):
    """systemd ignores what it does not understand, and says so."""
    result = run(tool("systemd-analyze"), "verify", unit.name, SYSTEMD_UNIT_PATH=f"{unit.parent}:")
    assert not [line for line in (result.stdout + result.stderr).splitlines() if "mod_tls.conf" in line]


def exposure(unit):
    """What `systemd-analyze security` still finds, by the name in its JSON."""
    command = [tool("systemd-analyze"), "security", "--offline=true", "--json=short", str(unit)]
    result = subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{unit.parent}:"}
    )
    if "unrecognized option" in result.stderr:
        pytest.skip("this systemd-analyze has no --offline")
    return {row["json_field"]: row["set"] for row in json.loads(result.stdout)}


def test_02_systemd_finds_less_exposure(unit):
    found = exposure(unit)
    for name in [
        "CapabilityBoundingSet_CAP_SYS_PTRACE",
        "CapabilityBoundingSet_CAP_SYS_ADMIN",
        "LockPersonality",
        "PrivateTmp",
        "ProtectKernelModules",
        "RestrictNamespaces_user",
        "RestrictSUIDSGID",
        "SystemCallArchitectures",
        "SystemCallFilter_debug",
        "SystemCallFilter_mount",
    ]:
        assert found[name], name


def test_03_httpd_keeps_what_it_needs(unit):
    """suexec, sendmail, the change of the user, and the end of processes that have another one."""
    found = exposure(unit)
    text = (unit.parent / "apache2.service.d/mod_tls.conf").read_text()
    for name in ["CapabilityBoundingSet_CAP_SET_UID_GID_PCAP", "CapabilityBoundingSet_CAP_KILL", "PrivateNetwork"]:
        assert not found[name], name
    if text == DROP_IN.read_text():
        assert not found["NoNewPrivileges"]
        assert not found["MemoryDenyWriteExecute"]
        assert not found["ProtectHome"]


def test_04_each_line_is_explained():
    """Each group of lines has a comment above it."""
    for block in DROP_IN.read_text().split("\n\n")[1:]:
        lines = block.splitlines()
        if any(re.match(r"#?[A-Z][A-Za-z]+=", line) for line in lines):
            assert re.match(r"# \w|# /|\[Service\]", lines[0]), block


def parse_profile(path):
    """The warnings of apparmor_parser, which neither needs a kernel with AppArmor nor loads anything."""
    run(tool("apparmor_parser"), "--skip-kernel-load", "--skip-cache", "--Include", APPARMOR, path)


@pytest.fixture
def abstractions():
    if not Path("/etc/apparmor.d/abstractions/p11-kit").exists():
        pytest.skip("AppArmor's abstractions are not installed")


def test_05_the_profile_of_tls_keyd(abstractions):
    parse_profile(APPARMOR / "tls-keyd")


@pytest.mark.parametrize("name", sorted(path.name for path in (APPARMOR / "abstractions").iterdir()))
def test_06_the_abstractions(abstractions, tmp_path, name):
    profile = tmp_path / "profile"
    head = "abi <abi/3.0>,\ninclude <tunables/global>\n"
    profile.write_text(f"{head}profile somebody /somebody {{\n  include <abstractions/{name}>\n}}\n")
    parse_profile(profile)


def test_07_the_profile_gives_nothing_away():
    """No file that has keys, no writing but to terminals, tls-certs and what was fetched, no program, no network."""
    rules = [line.strip() for line in (APPARMOR / "tls-keyd").read_text().splitlines()]
    rules = [rule for rule in rules if rule.endswith(",") and not rule.startswith("#")]
    assert not [rule for rule in rules if rule.startswith("network")]
    files = [rule.split() for rule in rules if re.match(r"[/@]", rule)]
    written = {path for path, access in files if "w" in access}
    socket = "/{,var/}run/{apache2*,httpd*}/tls-certs.sock"
    fetched = {path for path in written if re.search(r"/tls-revocation/\*?$", path)}
    assert written - fetched == {"/dev/null", "/dev/tty", "/dev/pts/[0-9]*", socket}
    assert not [path for path, access in files if "x" in access.lower()]
    assert not [path for path, _ in files if re.match(r"/etc/(ssl|apache2|letsencrypt)|/\*\*", path)]
