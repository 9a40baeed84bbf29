# SPDX-License-Identifier: Apache-2.0
"""TLS to backends, under mod_ssl and under this module."""

import re

import pytest
from cryptography import x509

from harness import backends
from harness.certs import common_name, key_pem
from harness.client_certs import SERVER, ClientCa
from harness.clients import plain_get
from harness.differential import NEEDS_SUITES_OF_OPENSSL, compare, hashed

pytestmark = NEEDS_SUITES_OF_OPENSSL


class TestBackends:
    """Which backends are accepted."""

    @pytest.fixture
    def behind(self, pair, authority, ports):
        """Backends with valid and invalid certificates, by name."""
        root = pair.root
        issued = {
            "good": authority.server("localhost"),
            "wrong-name": authority.server("other.test"),
            "wildcard": authority.server("*.localhost", "localhost"),
            "by-cn": authority.server("other.test", subject=common_name("localhost")),
            "expired": authority.server("localhost", start=-30, days=10),
            "self-signed": authority.server("localhost", self_signed=True),
        }
        (root / "self-signed-ca.pem").write_bytes(issued["self-signed"].cert_pem)
        running = {}
        try:
            for name, one in issued.items():
                running[name] = backends.Backend(ports.take(), backends.context(root, one, f"behind-{name}"))
            client_ca = ClientCa()
            (root / "machines.pem").write_bytes(client_ca.pem)
            machine = client_ca.client("machine")
            (root / "machine.pem").write_bytes(machine.pem + key_pem(machine.key))
            options = {"client_ca": root / "machines.pem"}
            sub = ClientCa("Sub CA", parent=client_ca)
            deep = sub.client("deep machine")
            (root / "machine-sub.pem").write_bytes(deep.pem + key_pem(deep.key))
            (root / "machine-chain.pem").write_bytes(sub.pem)
            (root / "machines.d").mkdir()
            (root / "machines.d/one.pem").write_bytes(machine.pem + key_pem(machine.key))
            makers = ClientCa("Makers")
            names = [x509.SubjectAlternativeName([x509.DNSName("localhost")])]
            made = {
                name: makers.client("localhost", usages=SERVER, extensions=names) for name in ("listed", "unlisted")
            }
            hashed(root / "makers.d", {"ca.pem": makers.pem, "crl.pem": makers.crl(made["listed"])})
            for name, one in made.items():
                running[name] = backends.Backend(ports.take(), backends.context(root, one, f"behind-{name}"))
            running["asks"] = backends.Backend(
                ports.take(), backends.context(root, issued["good"], "behind-asks", **options)
            )
            yield running
        finally:
            for one in running.values():
                one.stop()

    def test_01_verification(self, pair, behind):
        root = pair.root
        ca, own = (
            f"SSLProxyCACertificateFile {pair.ours.ca_file}",
            f"SSLProxyCACertificateFile {root}/self-signed-ca.pem",
        )
        deep = "SSLProxyVerifyDepth 2"
        settings = {
            "default": [],
            "off": ["SSLProxyEngine off"],
            "require": ["SSLProxyVerify require", ca, deep],
            "shallow": ["SSLProxyVerify require", ca],
            "no-ca": ["SSLProxyVerify require"],
            "optional": ["SSLProxyVerify optional", ca, deep],
            "generous": ["SSLProxyVerify optional_no_ca", ca, deep],
            "own": ["SSLProxyVerify require", own],
            "any-name": ["SSLProxyCheckPeerName off"],
            "cn": ["SSLProxyCheckPeerName off", "SSLProxyCheckPeerCN on"],
            "no-cn": ["SSLProxyCheckPeerCN off"],
            "any-time": ["SSLProxyCheckPeerExpire off"],
            "any": ["SSLProxyCheckPeerName off", "SSLProxyCheckPeerCN off", "SSLProxyCheckPeerExpire off"],
            "machine": [f"SSLProxyMachineCertificateFile {root}/machine.pem"],
            "machines": [f"SSLProxyMachineCertificatePath {root}/machines.d"],
            "machine-chain": [
                f"SSLProxyMachineCertificateFile {root}/machine-sub.pem",
                f"SSLProxyMachineCertificateChainFile {root}/machine-chain.pem",
            ],
            "paths": ["SSLProxyVerify require", f"SSLProxyCACertificatePath {root}/makers.d"],
            "revoked": [
                "SSLProxyVerify require",
                f"SSLProxyCACertificatePath {root}/makers.d",
                f"SSLProxyCARevocationPath {root}/makers.d",
                "SSLProxyCARevocationCheck chain",
            ],
            "tls12": ["SSLProxyProtocol -all +TLSv1.2", "SSLProxyCipherSuite ECDHE+AESGCM"],
            "crl-off": ["SSLProxyVerify require", ca, deep, f"SSLProxyCARevocationFile {root}/people.crl"],
        }
        (root / "people.crl").write_bytes(ClientCa().crl())
        lines = []
        for name, own_lines in settings.items():
            lines += [f"<VirtualHost *:@plain@>\nServerName {name}.test\nSSLProxyEngine on", *own_lines]
            lines += [f"ProxyPass /{kind} https://localhost:{one.port}" for kind, one in behind.items()]
            lines += ["</VirtualHost>"]
        for server in (pair.ours, pair.theirs):
            server.log.allow("proxy:|proxy_http:|ssl:|AH01961")
        pair.start(*lines, modules=["proxy", "proxy_http", "slotmem_shm"])
        questions = {
            f"{name}/{kind}": lambda server, name=name, kind=kind: through(server, f"{name}.test", f"/{kind}")
            for name in settings
            for kind in behind
        }
        compare(pair, "backends", **questions)

    def test_02_sections(self, pair, behind):
        """Settings of <Proxy> sections and of the server around them."""
        port, name = behind["good"].port, behind["wrong-name"].port
        lines = [
            "<VirtualHost *:@plain@>",
            "ServerName a.test",
            "SSLProxyEngine on",
            f"SSLProxyCACertificateFile {pair.ours.ca_file}",
            "SSLProxyVerifyDepth 2",
            f"<Proxy https://localhost:{port}/>",
            "SSLProxyVerify require",
            "</Proxy>",
            f"<Proxy https://localhost:{name}/>",
            "SSLProxyCheckPeerName off",
            "</Proxy>",
            f"ProxyPass /good https://localhost:{port}",
            f"ProxyPass /wrong-name https://localhost:{name}",
            "</VirtualHost>",
        ]
        for server in (pair.ours, pair.theirs):
            server.log.allow("proxy:|proxy_http:|ssl:|AH01961")
        pair.start(*lines, modules=["proxy", "proxy_http", "slotmem_shm"])
        questions = {
            kind: lambda server, kind=kind: through(server, "a.test", f"/{kind}") for kind in ("good", "wrong-name")
        }
        compare(pair, "sections", **questions)


def through(server, host, path):
    """The status of a request, and the subject of the client certificate that the backend received."""
    code, body = plain_get(server, f"{path}/", "-H", f"Host: {host}")
    return {"code": str(code), "client": re.findall("client=(.*) port", body)}
