# SPDX-License-Identifier: Apache-2.0
"""Backends that are spoken to in TLS: whom mod_proxy reaches through us, and whom it does not."""

import http.client
import re
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from cryptography import x509

from harness import backends
from harness.clients import connect, curl, request
from harness.httpd import Httpd, wait_for
from harness.people import PeopleCa

PROXY = ["proxy", "proxy_http", "slotmem_shm"]


def get(httpd, path="/", *args):
    """Requests by plain HTTP: what is behind is what counts."""
    url = f"http://127.0.0.1:{httpd.plain_port}{path}"
    run = subprocess.run(
        ["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code}", *args, url], capture_output=True, text=True
    )
    body, _, code = run.stdout.rpartition("\n")
    return int(code), body


@pytest.fixture
def proxy(httpd):
    """Starts httpd with TLS to backends."""

    def start(*lines, ca=True, modules=(), **options):
        cas = [f"TLSProxyCA {httpd.ca_file}"] if ca else []
        httpd.start("TLSProxyEngine on", *cas, *lines, modules=[*PROXY, *modules], **options)

    return start


class TestBackends:
    def test_01_python(self, httpd, proxy, backend):
        one = backend()
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        code, body = get(httpd, "/some/path")
        assert code == 200 and "GET /some/path HTTP/1.1" in body

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_02_versions(self, httpd, proxy, authority, ports, version):
        ctx = backends.context(httpd.root, authority.server("localhost"))
        ctx.minimum_version = ctx.maximum_version = version
        one = backends.Backend(ports.take(), ctx)
        try:
            proxy(f"ProxyPass / https://localhost:{one.port}/")
            assert get(httpd)[0] == 200
        finally:
            one.stop()

    def test_03_another_of_ours(self, httpd, proxy, authority):
        """The backend is a virtual host of the same server, whose TLS is ours too."""
        cert = authority.server("localhost").write(httpd.root, "back")
        proxy(
            f"TLSEngine {httpd.port}",
            f"ProxyPass /back https://localhost:{httpd.port}/",
            httpd.vhost("localhost", cert=cert),
        )
        assert get(httpd, "/back/index.html") == (200, "hello\n")

    def test_04_mod_ssl(self, httpd, proxy, authority, ports):
        cert, key = authority.server("localhost").write(httpd.root, "back").split()
        other = ports.take()
        proxy(
            f"ProxyPass /back https://localhost:{other}/",
            f"Listen {other}\n<VirtualHost *:{other}>\nServerName localhost\nSSLEngine on",
            f"SSLCertificateFile {cert}\nSSLCertificateKeyFile {key}\n</VirtualHost>",
            modules=["ssl"],
        )
        assert get(httpd, "/back/index.html") == (200, "hello\n")

    def test_05_ip_address(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("127.0.0.1"))
        proxy(f"ProxyPass / https://127.0.0.1:{one.port}/")
        assert get(httpd)[0] == 200

    def test_11_ipv6_address(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("::1"), host="::1")
        proxy(f"ProxyPass / https://[::1]:{one.port}/")
        assert get(httpd)[0] == 200
        assert set(one.names) == {None}

    def test_12_preserved_host(self, httpd, proxy, backend, authority):
        """Then the backend is called as the client has called us, and has to be that."""
        one = backend(issued=authority.server("localhost", "shop.test"))
        two = backend(issued=authority.server("localhost"))
        proxy(
            "ProxyPreserveHost on",
            f"ProxyPass /one https://localhost:{one.port}/",
            f"ProxyPass /two https://localhost:{two.port}/",
        )
        assert get(httpd, "/one", "-H", "Host: shop.test")[0] == 200
        assert set(one.names) == {"shop.test"}
        httpd.log.expect("it is not for shop.test but is for localhost")
        httpd.log.expect("AH0")
        assert get(httpd, "/two", "-H", "Host: shop.test")[0] == 502

    def test_13_restarts_leak_nothing(self, httpd, proxy, backend):
        one = backend()
        proxy(
            f"<Proxy https://localhost:{one.port}/>\nTLSProxyProtocol TLSv1.3\n</Proxy>",
            f"ProxyPass / https://localhost:{one.port}/",
        )

        def resident():
            lines = Path(f"/proc/{httpd.pid}/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

        sizes = []
        for _ in range(50):
            assert get(httpd)[0] == 200
            httpd.graceful()
            sizes.append(resident())
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
        """Connections are kept, and sessions are when they are not."""
        one, two = backend(), backend()
        proxy(
            f"ProxyPass /kept https://localhost:{one.port}/",
            f"ProxyPass /new https://localhost:{two.port}/ enablereuse=off",
        )
        for _ in range(5):
            assert get(httpd, "/kept")[0] == 200
            assert get(httpd, "/new")[0] == 200
        assert one.handshakes == 1
        assert two.handshakes == 5 and two.resumed == 4

    def test_08_system_store(self, httpd, proxy, backend):
        """What SSL_CERT_FILE names stands in for the platform's store."""
        one = backend()
        httpd.environment["SSL_CERT_FILE"] = str(httpd.ca_file)
        proxy(f"ProxyPass / https://localhost:{one.port}/", ca=False)
        assert get(httpd)[0] == 200

    def test_10_self_signed(self, httpd, proxy, backend, authority):
        """A backend's own certificate stands for that backend."""
        issued = authority.server("localhost", self_signed=True)
        httpd.root.joinpath("app.pem").write_bytes(issued.cert_pem)
        one = backend(issued=issued)
        proxy("TLSProxyCA app.pem", f"ProxyPass / https://localhost:{one.port}/", ca=False)
        assert get(httpd)[0] == 200

    def test_09_through_tls(self, httpd, proxy, backend):
        """TLS before and behind, with what the client presented in headers that it cannot forge."""
        ca = PeopleCa()
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


class TestIdentity:
    def test_01_machine_certificate(self, httpd, proxy, authority):
        """Of several the one whose CA the backend has named."""
        ca, other = PeopleCa("Machines"), PeopleCa("Others")
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
        assert "X-Who: proxy" in get(httpd, "/back/index.html", "-i")[1]

    def test_02_missing(self, httpd, proxy, backend):
        ca = PeopleCa("Machines")
        file = httpd.root / "machines.pem"
        file.write_bytes(ca.pem)
        one = backend(client_ca=file)
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        httpd.log.expect("failed: the backend ended the connection with alert .*TLSProxyMachineCertificate")
        httpd.log.expect("AH0")
        assert get(httpd)[0] == 502

    def test_03_proxy_sections(self, httpd, proxy, backend):
        """Each backend has its own settings."""
        ca = PeopleCa("Machines")
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
        assert "client=first" in get(httpd, "/one")[1]
        assert "client=second" in get(httpd, "/two")[1]


class TestRefusals:
    """Each gives 502, and a line in the log that says what to do."""

    def check(self, httpd, text):
        httpd.log.expect(f"tls: handshake with backend .* failed: .*{text}")
        httpd.log.expect("AH0")
        code, _ = get(httpd)
        assert code == 502

    def test_01_unknown_ca(self, httpd, proxy, backend):
        one = backend(issued=PeopleCa("Evil CA").client("localhost", usages=None))
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
        ca = PeopleCa()
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
            assert get(httpd, "/good")[0] == 200
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
        httpd.start(f"ProxyPass / https://localhost:{one.port}/", modules=PROXY)
        httpd.log.expect("AH01961")
        httpd.log.expect("AH0")
        assert get(httpd)[0] == 500

    def test_10_unverified(self, httpd, proxy, backend):
        """Only by an explicit word, which is answered at every start."""
        one = backend(issued=PeopleCa("Evil CA").client("localhost", usages=None))
        httpd.log.expect(r"\[tls:warn\].*TLSProxyVerify none: whoever answers is taken for the backend")
        proxy("TLSProxyVerify none", f"ProxyPass / https://localhost:{one.port}/")
        assert get(httpd)[0] == 200

    def test_11_name_not_checked(self, httpd, proxy, backend, authority):
        one = backend(issued=authority.server("elsewhere.test"))
        proxy("TLSProxyCheckPeerName off", f"ProxyPass / https://localhost:{one.port}/")
        assert get(httpd)[0] == 200


class EchoSocket(backends.Backend):
    """Upgrades, then sends back what it gets."""

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
                assert get(httpd, "/index.html") == (200, "hello\n")
            url = f"http://127.0.0.1:{httpd.plain_port}/big"
            run = subprocess.run(["curl", "-sS", url], capture_output=True)
            assert run.stdout == httpd.docs.joinpath("big").read_bytes()

    def test_03_no_http2(self, httpd, proxy, backend):
        one = backend()
        proxy(f"ProxyPass / h2://localhost:{one.port}/", modules=["proxy_http2"])
        httpd.log.expect("failed: the backend does not speak HTTP/2 by ALPN")
        httpd.log.expect("AH")
        assert get(httpd)[0] in (502, 503)

    def test_04_alpn(self, httpd, proxy, backend):
        """Backends that speak several protocols are told which one is meant."""
        one = backend(alpn=["h2", "http/1.1"])
        proxy(f"ProxyPass / https://localhost:{one.port}/")
        assert get(httpd)[0] == 200

    def test_05_connect(self, httpd, proxy, backend, authority):
        """A tunnel through us is the client's affair, not ours."""
        one = backend()
        proxy("ProxyRequests on", f"AllowCONNECT {one.port}", modules=["proxy_connect"])
        via = ["-x", f"http://127.0.0.1:{httpd.plain_port}", "--cacert", httpd.ca_file]
        run = subprocess.run(["curl", "-sS", *via, f"https://localhost:{one.port}/"], capture_output=True, text=True)
        assert "GET / HTTP/1.1" in run.stdout, run

    def test_06_beside_mod_ssl(self, httpd, backend):
        """Each backend by the module that its section has enabled."""
        one, two = (backend(alpn=["http/1.1"]) for _ in range(2))
        httpd.start(
            f"<Proxy https://localhost:{one.port}/>\nTLSProxyEngine on\nTLSProxyCA {httpd.ca_file}\n</Proxy>",
            f"<Proxy https://localhost:{two.port}/>\nSSLProxyEngine on\nSSLProxyCACertificateFile {httpd.ca_file}",
            "SSLProxyVerify require\nSSLProxyVerifyDepth 3\n</Proxy>",
            f"ProxyPass /one https://localhost:{one.port}/",
            f"ProxyPass /two https://localhost:{two.port}/",
            modules=[*PROXY, "ssl"],
        )
        assert get(httpd, "/one")[0] == 200
        assert get(httpd, "/two")[0] == 200
        assert one.alpn == ["http/1.1"] and two.alpn == [None]


BALANCER = ["proxy_balancer", "lbmethod_byrequests"]


class TestBalancers:
    def members(self, *running, options=""):
        lines = [f"BalancerMember https://localhost:{one.port} {options}" for one in running]
        return ["<Proxy balancer://pool>", *lines, "</Proxy>", "ProxyPass / balancer://pool/"]

    def test_01_members(self, httpd, proxy, backend):
        running = [backend(), backend()]
        proxy(*self.members(*running), modules=BALANCER)
        answered = {get(httpd)[1].splitlines()[0] for _ in range(6)}
        assert answered == {f"client=None port={one.port}" for one in running}

    @pytest.mark.parametrize("kind", [backends.PlainText, backends.Resetting])
    def test_02_failover(self, httpd, proxy, backend, kind):
        """A member that fails in the handshake has seen nothing of the request: the next one gets it."""
        good, bad = backend(), backend(kind)
        proxy(*self.members(bad, good, options="retry=600"), modules=BALANCER)
        httpd.log.expect("handshake with backend localhost .* failed: the backend")
        httpd.log.expect("AH0")
        for _ in range(6):
            code, body = get(httpd)
            assert code == 200 and f"port={good.port}" in body

    def test_03_bodies_do_not_fail_over(self, httpd, proxy, backend):
        """What was read of them would be lost."""
        good, bad = backend(), backend(backends.PlainText)
        proxy(*self.members(bad, good), modules=BALANCER)
        httpd.log.expect("handshake with backend localhost .* failed")
        httpd.log.expect("AH0")
        codes = [get(httpd, "/", "--data", "x=1")[0] for _ in range(4)]
        assert 502 in codes and 200 in codes

    def test_04_health_checks(self, httpd, proxy, backend):
        one = backend()
        proxy(
            *self.members(one, options="hcmethod=GET hcinterval=1 hcuri=/health"),
            modules=[*BALANCER, "proxy_hcheck", "watchdog"],
        )
        wait_for(lambda: one.handshakes >= 2, "health checks")
        assert get(httpd)[0] == 200


class TestLoad:
    def test_01_restarts_of_backends(self, httpd, proxy, ports, authority):
        """20,000 requests, 32 at a time, while the backend is restarted now and then: each answer is the right one, or
        a 502 or 503 that says that there was none."""
        installation = httpd.installation
        root = httpd.root / "back"
        root.mkdir()
        root.chmod(0o755)
        back = Httpd(installation, root, ports, authority)
        cert = authority.server("localhost").write(root, "localhost")
        for number in range(50):
            back.docs.joinpath(f"{number}.txt").write_text(f"answer {number}\n" * 100)
        back.start(f"TLSEngine {back.port}", back.vhost("localhost", cert=cert))
        try:
            proxy(
                f"ProxyPass / https://localhost:{back.port}/ retry=0",
                limits="StartServers 2\nThreadsPerChild 32\nMinSpareThreads 64\nMaxRequestWorkers 256",
            )
            httpd.log.expect("AH0|tls:")
            httpd.log.allow("proxy|tls: ")
            done, wrong, failed, refused, lock = [0], [], [], [0], threading.Lock()

            def fetch(client, number):
                client.request("GET", f"/{number}.txt")
                response = client.getresponse()
                return response, response.read().decode()

            def ask_all():
                try:
                    ask()
                except OSError as error:
                    failed.append(error)

            def ask():
                client = http.client.HTTPConnection("127.0.0.1", httpd.plain_port, timeout=30)
                while True:
                    with lock:
                        number = done[0]
                        if number >= 20_000:
                            return
                        done[0] += 1
                    try:
                        response, body = fetch(client, number % 50)
                    except ConnectionError:
                        # The server may close a connection that waits for its next request.
                        client.close()
                        response, body = fetch(client, number % 50)
                    if response.status in (502, 503):
                        refused[0] += 1
                    elif (response.status, body) != (200, f"answer {number % 50}\n" * 100):
                        wrong.append((response.status, number, body[:100]))

            threads = [threading.Thread(target=ask_all) for _ in range(32)]
            for thread in threads:
                thread.start()
            restarts = 0
            while done[0] < 20_000:
                time.sleep(3)
                back.graceful()
                restarts += 1
            for thread in threads:
                thread.join()
            assert not wrong, wrong[:5]
            assert not failed, failed[:5]
            assert restarts >= 2
            # Those that caught the backend between two generations.
            assert refused[0] < 400
        finally:
            back.stop()


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
        httpd.configure(lines, modules=PROXY)
        code, output = httpd.configtest()
        assert code != 0 and re.search(text, output), output
