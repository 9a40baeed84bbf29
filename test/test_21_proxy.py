# SPDX-License-Identifier: Apache-2.0
"""Backends of mod_proxy over TLS: requests, protocols, mistakes in the configuration."""

import re
import ssl
import subprocess

import pytest

from harness import backends
from harness.backends import PROXY_MODULES
from harness.client_certs import ClientCa
from harness.clients import connect, curl, plain_get, request
from harness.httpd import resident


class TestBackends:
    def test_01_python(self, httpd, proxy, backend):
        one = backend()
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        code, body = plain_get(httpd, "/some/path")
        assert code == 200 and "GET /some/path HTTP/1.1" in body

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_02_versions(self, httpd, proxy, authority, ports, version):
        ctx = backends.context(httpd.root, authority.server("localhost"))
        ctx.minimum_version = ctx.maximum_version = version
        one = backends.Backend(ports.take(), ctx)
        try:
            proxy(f"ProxyPass / https://localhost:{one.port}/")
            assert plain_get(httpd)[0] == 200
        finally:
            one.stop()

    def test_03_another_of_ours(self, httpd, proxy, authority):
        """The backend is a virtual host of the same server, with this module."""
        cert = authority.server("localhost").write(httpd.root, "back")
        proxy(
            f"TLSEngine {httpd.port}",
            f"ProxyPass /back https://localhost:{httpd.port}/",
            httpd.vhost("localhost", cert=cert),
        )
        assert plain_get(httpd, "/back/index.html") == (200, "hello\n")

    def test_04_mod_ssl(self, httpd, proxy, authority, ports):
        cert, key = authority.server("localhost").write(httpd.root, "back").split()
        other = ports.take()
        proxy(
            f"ProxyPass /back https://localhost:{other}/",
            f"Listen {other}\n<VirtualHost *:{other}>\nServerName localhost\nSSLEngine on",
            f"SSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n</VirtualHost>",
            modules=["ssl"],
        )
        assert plain_get(httpd, "/back/index.html") == (200, "hello\n")

    def test_05_ip_address(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("127.0.0.1"))
        proxy(f"ProxyPass / https://127.0.0.1:{one.port}/")
        assert plain_get(httpd)[0] == 200

    def test_11_ipv6_address(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("::1"), host="::1")
        proxy(f"ProxyPass / https://[::1]:{one.port}/")
        assert plain_get(httpd)[0] == 200
        assert set(one.names) == {None}

    def test_12_preserved_host(self, httpd, proxy, backend, authority):
        """The backend's certificate has to cover the name that the client has requested."""
        one = backend(issued=authority.server("localhost", "shop.test"))
        two = backend(issued=authority.server("localhost"))
        proxy(
            "ProxyPreserveHost on",
            f"ProxyPass /one https://localhost:{one.port}/",
            f"ProxyPass /two https://localhost:{two.port}/",
        )
        assert plain_get(httpd, "/one", "-H", "Host: shop.test")[0] == 200
        assert set(one.names) == {"shop.test"}
        httpd.log.expect("it is not for shop.test but is for localhost")
        httpd.log.expect("AH0")
        assert plain_get(httpd, "/two", "-H", "Host: shop.test")[0] == 502

    def test_13_restarts_leak_nothing(self, httpd, proxy, backend):
        one = backend()
        proxy(
            f"<Proxy https://localhost:{one.port}/>\nTLSProxyProtocol TLSv1.3\n</Proxy>",
            f"ProxyPass / https://localhost:{one.port}/",
        )

        sizes = []
        for _ in range(50):
            assert plain_get(httpd)[0] == 200
            httpd.graceful()
            sizes.append(resident(httpd.pid))
        assert sizes[-1] - sizes[10] < 500, sizes

    def test_06_big_bodies(self, httpd, proxy, backend):
        big = httpd.root / "big"
        big.write_bytes(bytes(range(256)) * 20_000)
        one = backend()
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        url = f"http://127.0.0.1:{httpd.plain_port}/"
        run = subprocess.run(["curl", "-sS", "-H", "Expect:", "--data-binary", f"@{big}", url], capture_output=True)
        assert run.stdout.endswith(big.read_bytes())

    def test_07_reuse_and_resumption(self, httpd, proxy, backend):
        """Connections are kept. If they are not, sessions are resumed."""
        one, two = backend(), backend()
        proxy(
            f"ProxyPass /kept https://localhost:{one.port}/",
            f"ProxyPass /new https://localhost:{two.port}/ enablereuse=off",
        )
        for _ in range(5):
            assert plain_get(httpd, "/kept")[0] == 200
            assert plain_get(httpd, "/new")[0] == 200
        assert one.handshakes == 1
        assert two.handshakes == 5 and two.resumed == 4

    def test_08_system_store(self, httpd, proxy, backend):
        """The file in SSL_CERT_FILE replaces the platform's trust store."""
        one = backend()
        httpd.environment["SSL_CERT_FILE"] = str(httpd.ca_file)
        proxy(f"ProxyPass / https://localhost:{one.port}/", ca=False)
        assert plain_get(httpd)[0] == 200

    def test_10_self_signed(self, httpd, proxy, backend, authority):
        """A backend's self-signed certificate can be trusted for that backend."""
        issued = authority.server("localhost", self_signed=True)
        httpd.root.joinpath("app.pem").write_bytes(issued.cert_pem)
        one = backend(issued=issued)
        proxy("TLSProxyCA app.pem", f"ProxyPass / https://localhost:{one.port}/", ca=False)
        assert plain_get(httpd)[0] == 200

    def test_09_through_tls(self, httpd, proxy, backend):
        """TLS on both sides. Request headers carry the client's subject; the client cannot forge them."""
        ca = ClientCa()
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        one = backend()
        proxy(
            f"TLSEngine {httpd.port}",
            httpd.vhost(
                "a.test",
                "TLSClientCA people.pem\nTLSClientCertificate optional",
                'RequestHeader set X-Client "expr=%{SSL_CLIENT_S_DN_CN}"',
                f"ProxyPass / https://localhost:{one.port}/",
            ),
        )
        forged = ["-H", "X-Client: root"]
        assert "\r\nX-Client: alice\r\n" in _raw(httpd, *ca.client("alice").write(httpd.root, "alice"), *forged)
        assert "root" not in _raw(httpd, *forged)


def _raw(httpd, *args):
    return curl(httpd, "a.test", "/", *args).body.decode()


class EchoSocket(backends.Backend):
    """Upgrades the connection, then echoes its data."""

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            while stream.readline() not in (b"\r\n", b""):
                pass
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while data := stream.read1(1000):
                sock.sendall(data.upper())


class TestProtocols:
    @pytest.mark.parametrize("how", ["wss", "upgrade"])
    def test_01_websocket(self, httpd, proxy, backend, how):
        one = backend(EchoSocket)
        target = {
            "wss": f"ProxyPass /ws wss://localhost:{one.port}/",
            "upgrade": f"ProxyPass /ws https://localhost:{one.port}/ upgrade=websocket",
        }[how]
        proxy(f"TLSEngine {httpd.port}", httpd.vhost("a.test", target), modules=["proxy_wstunnel"])
        with connect(httpd, "a.test") as tls:
            tls.sendall(
                request(
                    "a.test",
                    "/ws",
                    close=False,
                    headers="Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n",
                )
            )
            with tls.makefile("rb") as stream:
                assert b" 101 " in stream.readline()
                while stream.readline() != b"\r\n":
                    pass
                for text in (b"one", b"two" * 10_000, b"three"):
                    tls.sendall(text)
                    assert stream.read(len(text)) == text.upper()

    def test_02_http2(self, httpd, proxy, authority, ports):
        port = ports.take()
        httpd.docs.joinpath("big").write_bytes(bytes(range(256)) * 8000)
        with backends.nghttpd(httpd.root, authority.server("localhost"), port):
            proxy(f"ProxyPass / h2://localhost:{port}/", modules=["proxy_http2"])
            for _ in range(3):
                assert plain_get(httpd, "/index.html") == (200, "hello\n")
            url = f"http://127.0.0.1:{httpd.plain_port}/big"
            run = subprocess.run(["curl", "-sS", url], capture_output=True)
            assert run.stdout == httpd.docs.joinpath("big").read_bytes()

    def test_03_no_http2(self, httpd, proxy, backend):
        one = backend()
        proxy(f"ProxyPass / h2://localhost:{one.port}/", modules=["proxy_http2"])
        httpd.log.expect("failed: the backend does not speak HTTP/2 by ALPN")
        httpd.log.expect("AH")
        assert plain_get(httpd)[0] in (502, 503)

    def test_04_alpn(self, httpd, proxy, backend):
        """A backend with several protocols is told by ALPN which one is used."""
        one = backend(alpn=["h2", "http/1.1"])
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        assert plain_get(httpd)[0] == 200

    def test_05_connect(self, httpd, proxy, backend, authority):
        """A CONNECT tunnel carries the client's own TLS."""
        one = backend()
        proxy("ProxyRequests on", f"AllowCONNECT {one.port}", modules=["proxy_connect"])
        via = ["-x", f"http://127.0.0.1:{httpd.plain_port}", "--cacert", httpd.ca_file]
        run = subprocess.run(["curl", "-sS", *via, f"https://localhost:{one.port}/"], capture_output=True, text=True)
        assert "GET / HTTP/1.1" in run.stdout, run

    def test_06_beside_mod_ssl(self, httpd, backend):
        """Each backend uses the module that its section has enabled."""
        one, two = (backend(alpn=["http/1.1"]) for _ in range(2))
        httpd.start(
            f"<Proxy https://localhost:{one.port}/>\nTLSProxyEngine on\nTLSProxyCA {httpd.ca_file}\n</Proxy>",
            f"<Proxy https://localhost:{two.port}/>\nSSLProxyEngine on\nSSLProxyCACertificateFile {httpd.ca_file}",
            "SSLProxyVerify require\nSSLProxyVerifyDepth 3\n</Proxy>",
            f"ProxyPass /one https://localhost:{one.port}/",
            f"ProxyPass /two https://localhost:{two.port}/",
            modules=[*PROXY_MODULES, "ssl"],
        )
        assert plain_get(httpd, "/one")[0] == 200
        assert plain_get(httpd, "/two")[0] == 200
        assert one.alpn == ["http/1.1"] and two.alpn == [None]


class TestConfiguration:
    CASES = {
        "engine": ("TLSProxyEngine maybe", 'takes "on" or "off"'),
        "verify": ("TLSProxyVerify some", "takes required or none"),
        "CA": ("TLSProxyEngine on\nTLSProxyCA none.pem", "TLSProxyCA .*none.pem: no such file"),
        "identity": ("TLSProxyEngine on\nTLSProxyMachineCertificate none.pem", "TLSProxyMachineCertificate .*no such"),
        "CRL": ("TLSProxyEngine on\nTLSProxyCRL none.crl", "TLSProxyCRL .*no such file"),
        "protocol": ("TLSProxyProtocol TLSv9", "TLSProxyProtocol"),
        "cipher": ("TLSProxyCiphersPrefer NONSENSE", "TLSProxyCiphersPrefer"),
        "section": (
            "TLSProxyEngine on\n<Proxy https://x.test/>\nTLSProxyCA none.pem\n</Proxy>",
            "TLSProxyCA .*none.pem: no such file",
        ),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_01_mistakes(self, httpd, case):
        lines, text = self.CASES[case]
        httpd.configure(lines, modules=PROXY_MODULES)
        code, output = httpd.configtest()
        assert code != 0 and re.search(text, output), output
