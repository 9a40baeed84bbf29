# SPDX-License-Identifier: Apache-2.0
"""Common configurations for mod_ssl, unchanged, give the same answers with mod_ssl and with this module."""

import re
from pathlib import Path

import pytest

from harness.certs import key_pem
from harness.client_certs import ClientCa
from harness.clients import curl, s_client
from harness.ssl_pair import differences

EXAMPLES = Path(__file__).resolve().parent.parent / "conf-examples/from-mod_ssl"
# The other files are included by one of these.
FILES = sorted(path for path in EXAMPLES.rglob("*.conf") if not path.name.startswith("options-"))
# Directives that name files.
NAMED = r"^\s*(SSL\w+File) \"?(/[^\"\s]+)\"?\s*$"


class ConfigFiles:
    """The files that a configuration names, in a directory of the test."""

    def __init__(self, root, authority):
        self.root, self.authority = root / "tree", authority
        self.client_ca = ClientCa()

    def write(self, path, content):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def write_certificates(self, text):
        """Makes the certificates of all virtual hosts. Returns the names of the virtual hosts."""
        hosts = []
        for host in re.findall(r"<VirtualHost [^>]*443>(.*?)</VirtualHost>", text, re.S):
            names = " ".join(re.findall(r"^\s*Server(?:Name|Alias) (.*)$", host, re.M)).replace('"', "")
            names = [name.split(":")[0] for name in names.split()]
            files = dict(re.findall(NAMED, host, re.M))
            issued = self.authority.server(*names)
            issuers = issued.chain_pem.removeprefix(issued.cert_pem)
            key = key_pem(issued.key)
            is_client_ca = "SSLCARevocationFile" in files
            apart = "SSLCertificateChainFile" in files or "SSLCACertificateFile" in files and not is_client_ca
            own = issued.cert_pem if apart else issued.chain_pem
            self.write(files["SSLCertificateFile"], own if "SSLCertificateKeyFile" in files else key + own)
            contents = {"SSLCertificateKeyFile": key, "SSLCertificateChainFile": issuers}
            contents["SSLCACertificateFile"] = self.client_ca.pem if is_client_ca else issuers
            contents["SSLCARevocationFile"] = self.client_ca.crl()
            for directive, path in files.items():
                if directive in contents:
                    self.write(path, contents[directive])
            hosts += names
        return hosts

    def adapt(self, text):
        """The text with the paths, ports and addresses of the test."""
        below = str(self.root)
        text = re.sub(
            NAMED, lambda found: found.group(0).replace(found.group(2), below + found.group(2)), text, flags=re.M
        )
        text = re.sub(r"^Listen .*$", "", text, flags=re.M)
        text = text.replace("/run/httpd/", "@root@/").replace("/run/apache2/", "@root@/")
        text = text.replace("${APACHE_RUN_DIR}", "@root@").replace("192.0.2.1:", "127.0.0.1:")
        # Programs that only the distributions have.
        text = re.sub(r"exec:/usr/libexec/httpd-ssl-pass-dialog", "builtin", text)
        text = re.sub(r"exec:/usr/share/apache2/ask-for-passphrase", "builtin", text)
        return re.sub(r"\b443\b", "@port@", re.sub(r":80\b", ":@plain@", text))


def observe(server, host, *certificate):
    response = curl(server, host, "/", *certificate)
    names = ("strict-transport-security", "location", "content-type")
    session = s_client(server, name=host)
    return {
        "code": response.code,
        "version": response.version,
        "text": response.text,
        "headers": {name: response.headers.get(name) for name in names},
        "protocol": session.protocol,
        "subject": session.subject,
        "tls11": s_client(server, "-tls1_1", name=host).cipher,
        "tls12": s_client(server, "-tls1_2", name=host).cipher,
        "alpn": s_client(server, "-alpn", "h2,http/1.1", name=host).alpn,
        "chain": s_client(server, "-showcerts", name=host).output.count("BEGIN CERTIFICATE"),
        "secure": curl(server, host, "/secure/", *certificate).code,
        "anonymous": curl(server, host, "/secure/").code,
    }


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)).removesuffix(".conf"))
def test_01_as_it_is(pair, file):
    files = ConfigFiles(pair.root, pair.authority)
    text = file.read_text()
    for name in re.findall(r"^\s*Include (.*)$", text, re.M):
        text = text.replace(f"Include {name}", EXAMPLES.joinpath(name).read_text())
    hosts = files.write_certificates(text)
    alice = files.client_ca.client("alice").write(pair.root, "alice")
    pair.ours.docs.joinpath("secure").mkdir()
    pair.ours.docs.joinpath("secure/index.html").write_text("secret\n")
    for server in (pair.ours, pair.theirs):
        server.root.joinpath("logs").mkdir()
    # Only Red Hat's OpenSSL has this policy.
    adapted = "TypesConfig /dev/null\n" + files.adapt(text)
    pair.start_one(pair.ours, "ssl", adapted, modules=["mime"], log_level="info")
    pair.start_one(pair.theirs, "mod_ssl", adapted.replace("PROFILE=SYSTEM", "DEFAULT"), modules=["mime"])
    assert hosts
    for host in hosts:
        ours, theirs = pair.ask(lambda server, host=host: observe(server, host, *alice))
        assert ours["code"] == 200
        found = differences(ours, theirs)
        # mod_ssl requests a certificate by renegotiation, and closes the connection of a client without one.
        assert found.pop("anonymous", (403, 0)) == (403, 0)
        assert not found, host


def test_02_and_back(pair):
    """One line of the configuration selects the module, in both directions."""
    lines = pair.vhost("a.test")
    for record in ("mod_ssl", "ssl", "mod_ssl"):
        pair.start_one(pair.theirs, record, *lines)
        assert curl(pair.theirs, "a.test").code == 200
        pair.theirs.stop()


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_03_by_a_reload(pair, mpm):
    """httpd unloads mod_ssl and loads this module while it serves. The way back takes a restart."""
    lines = [pair.fill(pair.theirs, line) for line in pair.vhost("a.test")]
    lines.append('Header set X-Library "%{SSL_VERSION_LIBRARY}s"')
    pair.theirs.log.allow("AH10034")
    pair.start_one(pair.theirs, "mod_ssl", *lines, mpm=mpm)
    assert "OpenSSL" in curl(pair.theirs, "a.test").headers["x-library"]
    for _ in range(2):
        pair.theirs.configure(*lines, records=["ssl"], mpm=mpm)
        pair.theirs.graceful()
        assert "rustls" in curl(pair.theirs, "a.test").headers["x-library"]


def test_04_many_hosts(pair):
    """A hosting provider's program writes many files. Each virtual host answers with its own certificate."""
    names = [f"site{number}.example" for number in range(200)]
    lines = [line for name in names for line in pair.vhost(name, "<IfModule mod_ssl.c>", "</IfModule>")]
    directory = pair.root / "sites"
    directory.mkdir()
    for at, name in enumerate(names):
        size = len(lines) // len(names)
        text = "\n".join(pair.fill(pair.ours, line) for line in lines[at * size : (at + 1) * size])
        directory.joinpath(f"{name}.conf").write_text(text + "\n")
    pair.start_one(pair.ours, "ssl", "IncludeOptional sites/*.conf")
    for name in (names[0], names[99], names[-1]):
        assert curl(pair.ours, name).code == 200
