# SPDX-License-Identifier: Apache-2.0
"""The directives in httpd and in the documentation. Both come from one table."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

from harness.httpd import TIMEOUT

DOCS = Path(__file__).resolve().parent.parent / "docs"
PROXY_CONF = 2048


class Row(NamedTuple):
    """A directive as `httpd -L` describes it: where it is allowed, and which AllowOverride permits it in .htaccess
    files."""

    name: str
    description: str
    place: str
    override: Optional[str]


def listed(httpd, record):
    """The output of `httpd -L` for the directives of a record."""
    httpd.configure(records=[record])
    command = [httpd.installation.program, "-f", httpd.conf_file, "-L"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert run.returncode == 0, run.stderr
    rows = re.findall(
        rf"^(\w+) \(mod_{record}\.c\)\n"
        r"\t(.+)\n"
        r"\tAllowed in \*\.conf (anywhere|only inside|only outside)(.*(?:\n\twhen .*)?)$",
        run.stdout,
        re.MULTILINE,
    )
    return [Row(name, description, place, override(rest)) for name, description, place, rest in rows]


def override(text):
    if ".htaccess" not in text:
        return None
    return "All" if "isn't None" in text else re.search(r"AllowOverride includes (\w+)", text)[1]


def place(context):
    in_server, in_directory = "server config" in context, "directory" in context
    return {(1, 1): "anywhere", (0, 1): "only inside", (1, 0): "only outside"}[in_server, in_directory]


def documented(record):
    """Name, description, context and override of each documented directive."""
    return documented_own() if record == "tls" else documented_mod_ssl()


def documented_own():
    text = (DOCS / "directives.md").read_text()
    for name, block in re.findall(r"^## (TLS\w+)\n\n((?:- .*\n)+)", text, re.MULTILINE):
        fields = dict(re.findall(r"^- (\w+): (.*)$", block, re.MULTILINE))
        yield name, fields["Description"], fields["Context"], fields.get("Override")


def documented_mod_ssl():
    lines = (DOCS / "moving-from-mod_ssl.md").read_text().splitlines()
    for line in sorted(line for line in lines if line.startswith("| SSL")):
        _, name, _, description, context, *_ = (cell.strip() for cell in re.split(r"(?<!\\)\|", line))
        context, word = re.fullmatch(r"(.*?)(?: \((\w+)\))?", context).groups()
        yield name, description, context, word


RECORDS = pytest.mark.parametrize("record", ["tls", "ssl"])


@RECORDS
def test_01_httpd_lists_what_is_documented(httpd, record):
    """httpd lists them in the order of the table, which is also the order of the documentation."""
    expected = [Row(name, text, place(context), word) for name, text, context, word in documented(record)]
    assert len(expected) > 30
    assert listed(httpd, record) == expected


@RECORDS
def test_02_sections_of_backends(httpd, record, test_module):
    """The directives that are allowed in <Proxy> sections."""
    httpd.configure(test_module, records=[record])
    _, output = httpd.configtest("DUMP_TEST_DIRECTIVES")
    contexts = {name: int(bits) for name, bits in re.findall(r"^((?:SSL|TLS)\w+) (\d+)$", output, re.MULTILINE)}
    allowed = {name for name, bits in contexts.items() if bits & PROXY_CONF}
    assert allowed == {name for name, _, context, _ in documented(record) if "`<Proxy>`" in context}


@RECORDS
def test_03_virtual_hosts(httpd, record):
    """The directives that are refused in virtual hosts. httpd -t reports all mistakes, so the invalid values are
    reported, too."""
    names = {name: context for name, _, context, _ in documented(record) if "directory" not in context}
    lines = "\n".join(f"{name} nonsense" for name in names)
    httpd.configure(f"<VirtualHost *:{httpd.port}>\n{lines}\n</VirtualHost>", records=[record])
    status, output = httpd.configtest()
    refused = set(re.findall(r"(\w+) belongs outside of <VirtualHost>", output))
    assert status != 0
    assert refused == {name for name, context in names.items() if context == "server config"}
