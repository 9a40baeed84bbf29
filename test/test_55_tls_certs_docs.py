# SPDX-License-Identifier: Apache-2.0
"""The output in docs/tls-certs.md is that of tls-certs. With MOD_TLS_WRITE_DOCS=1 it is written."""

import os
import re
from pathlib import Path

import pytest

from harness.certs import key_pem
from harness.certs_tool import CertsTool
from harness.redis_server import RedisServer

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/tls-certs.md"
BLOCK = re.compile(r"(<!-- output: (.*?) -->\n```\n)(.*?)(```\n)", re.S)
# What differs in each run, and what stands for it.
VARYING = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ( +)-?\d+", r"2027-02-25T09:05:11Z\g<1>89"),
    (r"(since|refused at|was refused at) \d{4}-\d\d-\d\dT[\d:]+Z", r"\1 2026-11-27T09:05:13Z"),
    (r"(since  )\d{4}-\d\d-\d\dT[\d:]+Z", r"\g<1>2026-11-27T09:05:13Z"),
    (r"\d{4}-\d\d-\d\dT[\d:]+Z \(\d+ days\)", "2027-02-25T09:05:11Z (89 days)"),
    (r"(serial +)[0-9A-F]+", r"\g<1>04D38C3BFB0A1B6DD3D6D2B1F0E9A9E5"),
]


def aligned(text):
    """The same table with columns as wide as their new texts."""
    table, _, rest = text.partition("\n\n")
    rows = [re.split(" {2,}", line) for line in table.splitlines()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n" + (f"\n{rest}" if rest else "")


@pytest.fixture
def redis(ports):
    server = RedisServer(ports.take())
    yield server
    server.stop()


def test_01_output(httpd, authority, redis):
    ssl = httpd.root / "ssl"
    ssl.mkdir()
    old_umask = os.umask(0o077)
    www = authority.server("www.example.org", "example.org", days=90).write(ssl, "www").split()
    shop = authority.server("*.shop.example.org", kind="rsa2048", days=90).write(ssl, "shop")
    (ssl / "other.key").write_bytes(key_pem(authority.key("p256", 5)))
    os.umask(old_umask)
    httpd.start(
        f"TLSEngine {httpd.port}",
        httpd.vhost("www.example.org", "ServerAlias example.org", cert=" ".join(www)),
        httpd.vhost("eu.shop.example.org", "ServerAlias *.shop.example.org", cert=shop),
    )
    tool = CertsTool(httpd)

    def output(words, status=0):
        words = [word.replace("/etc/ssl", str(ssl)) for word in words.split()]
        if words[0] in ("check", "put"):
            words += ["--ca", str(httpd.ca_file)]
        if words[0] in ("put", "remove"):
            words += ["--store", redis.url]
        if words[0] == "put":
            words += ["--sealing-key", str(ssl / "sealing.key")]
        text = tool.run(*words, status=status)
        text = text.replace(str(ssl), "/etc/ssl").replace(f"*:{httpd.port}", "*:443")
        places = {str(httpd.conf_file): "/etc/apache2/sites-enabled/www.conf"}
        for path, shown in places.items():
            text = re.sub(re.escape(path) + r":\d+", f"{shown}:1", text)
        for pattern, shown in VARYING:
            text = re.sub(pattern, shown, text)
        return aligned(text) if words[0] == "list" else text

    outputs = {
        words: output(words, status)
        for words, status in [
            ("check /etc/ssl/www.pem /etc/ssl/www.key --name www.example.org", 0),
            ("check /etc/ssl/www.pem /etc/ssl/other.key", 1),
            ("list", 0),
            ("show www.example.org", 0),
            ("show unknown.example.org", 1),
            ("wait www.example.org", 0),
            ("seal --new-key /etc/ssl/sealing.key", 0),
            ("put /etc/ssl/www.pem /etc/ssl/www.key", 0),
            ("remove example.org", 0),
        ]
    }
    renewed = authority.server("www.example.org", "example.org", number=1)
    (ssl / "www.pem").write_bytes(renewed.chain_pem)
    httpd.log.expect("has changed and is not used")
    outputs["wait www.example.org after a refused renewal"] = output("wait www.example.org", 1)
    outputs["list after a refused renewal"] = output("list", 1)
    text = DOCUMENT.read_text()
    shown = {match[2] for match in BLOCK.finditer(text)}
    assert shown == set(outputs)
    new = BLOCK.sub(lambda match: match[1] + outputs[match[2]] + match[4], text)
    if os.environ.get("MOD_TLS_WRITE_DOCS"):
        DOCUMENT.write_text(new)
    assert DOCUMENT.read_text() == new, "MOD_TLS_WRITE_DOCS=1 writes what is new"
