# SPDX-License-Identifier: Apache-2.0
"""Each example is started as it is, with other ports, and requested from."""

import os
import re
from pathlib import Path

import pytest

from harness.clients import curl

EXAMPLES = Path(__file__).resolve().parent.parent / "conf-examples"
FILES = sorted(EXAMPLES.rglob("*.conf"))


def certificates(text):
    """The TLSCertificate lines of a configuration, with the names of the host that each is for."""
    for host in re.findall(r"<VirtualHost [^>]*>(.*?)</VirtualHost>", text, re.S):
        names = re.findall(r"^\s*Server(?:Name|Alias) (.*)$", host, re.M)
        for files in re.findall(r"^\s*TLSCertificate (.*)$", host, re.M):
            yield files.split(), " ".join(names).split()


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_01_example(httpd, authority, file):
    text = file.read_text()
    tls = httpd.root / "tls"
    tls.mkdir()
    (httpd.root / "logs").mkdir()
    hosts = []
    for (cert, key), names in certificates(text):
        kind = "rsa2048" if "rsa" in cert else "p256"
        authority.server(*names, kind=kind).write(tls, Path(cert).stem)
        assert Path(key).stem == Path(cert).stem
        hosts += [name.replace("*", "any") for name in names]
    (tls / "ticket-seed").write_bytes(os.urandom(48))
    # The frame listens already.
    text = re.sub(r"^Listen .*$", "", text, flags=re.M)
    text = re.sub(r"\b443\b", str(httpd.port), text)
    text = re.sub(r"\b80\b", str(httpd.plain_port), text)
    httpd.start(text)
    assert hosts
    for host in hosts:
        response = curl(httpd, host)
        assert (response.code, response.text) == (200, "hello"), host


def test_02_all_are_listed():
    listed = set(re.findall(r"`([a-z0-9/_-]+\.conf)`", (EXAMPLES / "README.md").read_text()))
    assert listed == {str(path.relative_to(EXAMPLES)) for path in FILES}
