# SPDX-License-Identifier: Apache-2.0
"""Backends: certificates of backends and of the proxy, and handshakes that fail."""

import ssl

from cryptography import x509

from harness import backends
from harness.backends import PROXY_MODULES
from harness.client_certs import ClientCa
from harness.clients import plain_get


class TestIdentity:
    def test_01_machine_certificate(self, httpd, proxy, authority):
        """The certificate whose CA the backend has named is chosen."""
        ca, other = ClientCa("Machines"), ClientCa("Others")
        httpd.root.joinpath("machines.pem").write_bytes(ca.pem)
        us = " ".join(ca.client("proxy").write(httpd.root, "us")[1::2])
        them = " ".join(other.client("wrong").write(httpd.root, "them")[1::2])
        back = httpd.vhost(
            "localhost",
            "TLSClientCA machines.pem\nTLSClientCertificate required",
            'Header set X-Who "expr=%{SSL_CLIENT_S_DN_CN}"',
        )
        proxy(
            f"TLSEngine {httpd.port}",
            f"TLSProxyMachineCertificate {them}",
            f"TLSProxyMachineCertificate {us}",
            f"ProxyPass /back https://localhost:{httpd.port}/",
            back,
        )
        assert "X-Who: proxy" in plain_get(httpd, "/back/index.html", "-i")[1]

    def test_02_missing(self, httpd, proxy, backend):
        ca = ClientCa("Machines")
        file = httpd.root / "machines.pem"
        file.write_bytes(ca.pem)
        one = backend(client_ca=file)
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        httpd.log.expect("failed: the backend ended the connection with alert .*TLSProxyMachineCertificate")
        httpd.log.expect("AH0")
        assert plain_get(httpd)[0] == 502

    def test_03_proxy_sections(self, httpd, proxy, backend):
        """Each backend has its own settings."""
        ca = ClientCa("Machines")
        file = httpd.root / "machines.pem"
        file.write_bytes(ca.pem)
        arguments = [" ".join(ca.client(name).write(httpd.root, name)[1::2]) for name in ("first", "second")]
        one, two = backend(client_ca=file), backend(client_ca=file)
        proxy(
            f"<Proxy https://localhost:{one.port}/>\nTLSProxyMachineCertificate {arguments[0]}\n</Proxy>",
            f"<Proxy https://localhost:{two.port}/>\nTLSProxyMachineCertificate {arguments[1]}\n</Proxy>",
            f"ProxyPass /one https://localhost:{one.port}/",
            f"ProxyPass /two https://localhost:{two.port}/",
        )
        assert "client=first" in plain_get(httpd, "/one")[1]
        assert "client=second" in plain_get(httpd, "/two")[1]

    def test_04_one_certificate_for_both_ends(self, httpd, proxy):
        """The files of a host are those for backends, too."""
        ca = ClientCa("Machines")
        httpd.root.joinpath("machines.pem").write_bytes(ca.pem)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        us = " ".join(ca.client("localhost", usages=None, extensions=[names]).write(httpd.root, "us")[1::2])
        back = httpd.vhost(
            "localhost",
            "TLSClientCA machines.pem\nTLSClientCertificate required",
            'Header set X-Who "expr=%{SSL_CLIENT_S_DN_CN}"',
            cert=us,
        )
        proxy(
            f"TLSEngine {httpd.port}",
            "TLSProxyCA machines.pem",
            f"TLSProxyMachineCertificate {us}",
            f"ProxyPass /back https://localhost:{httpd.port}/",
            back,
            ca=False,
        )
        for _ in range(2):
            assert "X-Who: localhost" in plain_get(httpd, "/back/index.html", "-i")[1]
            httpd.graceful()


class TestRefusals:
    """Each gives 502 and a message in the log that names the remedy."""

    def check(self, httpd, text):
        httpd.log.expect(f"tls: handshake with backend .* failed: .*{text}")
        httpd.log.expect("AH0")
        code, _ = plain_get(httpd)
        assert code == 502

    def test_01_unknown_ca(self, httpd, proxy, backend):
        one = backend(issued=ClientCa("Evil CA").client("localhost", usages=None))
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        self.check(httpd, "its issuer is not among TLSProxyCA")

    def test_02_expired(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("localhost", start=-10, days=5))
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        self.check(httpd, "it, or a CA above it, has expired")

    def test_03_other_name(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("elsewhere.test"))
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        self.check(httpd, "it is not for localhost but is for elsewhere.test; see TLSProxyCheckPeerName")

    def test_04_revoked(self, httpd, proxy, ports):
        ca = ClientCa()
        httpd.root.joinpath("ca2.pem").write_bytes(ca.pem)
        names = [x509.SubjectAlternativeName([x509.DNSName("localhost")])]
        bad = ca.client("localhost", usages=None, extensions=names)
        good = ca.client("localhost", usages=None, extensions=names)
        httpd.root.joinpath("ca2.crl").write_bytes(ca.crl(bad))
        servers = [
            backends.Backend(ports.take(), backends.context(httpd.root, one, name))
            for one, name in ((good, "good"), (bad, "bad"))
        ]
        try:
            proxy(
                "TLSProxyCA ca2.pem\nTLSProxyCRL ca2.crl",
                f"ProxyPass /good https://localhost:{servers[0].port}/",
                f"ProxyPass / https://localhost:{servers[1].port}/",
            )
            assert plain_get(httpd, "/good")[0] == 200
            self.check(httpd, "it is on the revocation list")
        finally:
            for server in servers:
                server.stop()

    def test_05_stalls(self, httpd, proxy, backend):
        one = backend(backends.Stalling)
        proxy("ProxyTimeout 1", f"ProxyPass / https://localhost:{one.port}/")
        self.check(httpd, "the backend does not answer: see ProxyTimeout")

    def test_06_resets(self, httpd, proxy, backend):
        one = backend(backends.Resetting)
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        self.check(httpd, "the backend closed the connection")

    def test_07_plain_text(self, httpd, proxy, backend):
        one = backend(backends.PlainText)
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        self.check(httpd, "the backend does not speak TLS on this port")

    def test_08_protocols(self, httpd, proxy, authority, ports):
        ctx = backends.context(httpd.root, authority.server("localhost"))
        ctx.maximum_version = ssl.TLSVersion.TLSv1_2
        one = backends.Backend(ports.take(), ctx)
        try:
            proxy("TLSProxyProtocol TLSv1.3+", f"ProxyPass / https://localhost:{one.port}/")
            self.check(httpd, "TLSProxyProtocol")
        finally:
            one.stop()

    def test_09_engine_off(self, httpd, backend):
        one = backend()
        httpd.start(f"ProxyPass / https://localhost:{one.port}/", modules=PROXY_MODULES)
        httpd.log.expect("AH01961")
        httpd.log.expect("AH0")
        assert plain_get(httpd)[0] == 500

    def test_10_unverified(self, httpd, proxy, backend):
        """Only with an explicit directive, and with a warning at every start."""
        one = backend(issued=ClientCa("Evil CA").client("localhost", usages=None))
        httpd.log.expect(r"\[tls:warn\].*TLSProxyVerify none: any server that answers is accepted as the backend")
        proxy("TLSProxyVerify none", f"ProxyPass / https://localhost:{one.port}/")
        assert plain_get(httpd)[0] == 200

    def test_11_name_not_checked(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("elsewhere.test"))
        proxy("TLSProxyCheckPeerName off", f"ProxyPass / https://localhost:{one.port}/")
        assert plain_get(httpd)[0] == 200
