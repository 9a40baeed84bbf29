# SPDX-License-Identifier: Apache-2.0
"""mod_proxy's modules over each stack: TLS to the client and, where the protocol supports it, TLS to the backend."""

import os
import re
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager

import pytest

from harness import ajp, backends, fastcgi, h2peer, websocket
from harness.client_certs import ClientCa
from harness.clients import connect, context, curl, read_all, read_response, request
from harness.content import PartialResponse, digest, post
from harness.httpd import wait_for

MIB = 1 << 20
PROXY = ["proxy", "slotmem_shm"]


@contextmanager
def running(server):
    """A backend without TLS."""
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def front(stack):
    """Starts a.test with TLS to backends, and these lines."""

    def start(*lines, modules=(), **options):
        stack.start(*stack.to_backends(), *lines, modules=[*PROXY, *modules], **options)

    return start


def comes_back(response, data):
    """Whether the body of an echo response ends with the posted data."""
    return digest(response.body[len(response.body) - len(data) :]) == digest(data)


class Halves(backends.Backend):
    """Sends the first half of a response, and the second half after the test has opened the gate."""

    def __init__(self, *args):
        self.gate = threading.Event()
        super().__init__(*args)

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            while stream.readline() not in (b"\r\n", b""):
                pass
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nfirst half\n\r\n")
            self.gate.wait(30)
            sock.sendall(b"c\r\nsecond half\n\r\n0\r\n\r\n")


class Continuing(backends.Backend):
    """Answers `Expect: 100-continue` with 100, or refuses the request."""

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            line = stream.readline()
            while stream.readline() not in (b"\r\n", b""):
                pass
            if b"/refused" in line:
                sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + stream.read(5))


class TestHttp:
    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_01_bodies(self, stack, front, backend, http):
        one = backend()
        front(f"ProxyPass / https://localhost:{one.port}/", modules=["proxy_http"], top=["Protocols h2 http/1.1"])
        for size in (0, 1, 16385, 3 * MIB):
            data = os.urandom(size)
            response = post(stack, "/some", data, http)
            assert response.code == 200 and b"POST /some HTTP/1.1" in response.body
            assert comes_back(response, data)
        assert one.handshakes == 1

    def test_02_first_half_before_the_second(self, stack, front, backend):
        one = backend(Halves)
        front(f"ProxyPass / https://localhost:{one.port}/", modules=["proxy_http"])
        slow = PartialResponse(stack, "/")
        assert b"second" not in slow.read_until("first half\n")
        one.gate.set()
        slow.read_until("second half\n")

    def test_03_continue(self, stack, front, backend):
        """The backend receives the request before the body, and its answer is forwarded at once."""
        one = backend(Continuing)
        front(f"ProxyPass / https://localhost:{one.port}/", modules=["proxy_http"])
        head = {"method": "POST", "headers": "Expect: 100-continue\r\nContent-Length: 5\r\n"}
        with connect(stack.httpd, "a.test") as tls, tls.makefile("rb") as stream:
            tls.sendall(request("a.test", **head))
            assert stream.readline().startswith(b"HTTP/1.1 100 ")
            assert stream.readline() == b"\r\n"
            tls.sendall(b"hello")
            assert read_response(stream)[2] == b"hello"
        with connect(stack.httpd, "a.test") as tls:
            tls.sendall(request("a.test", "/refused", **head))
            assert read_all(tls).startswith(b"HTTP/1.1 413 ")

    def test_04_pipelined(self, stack, front, backend):
        one = backend()
        front(f"ProxyPass / https://localhost:{one.port}/", modules=["proxy_http"])
        with connect(stack.httpd, "a.test") as tls, tls.makefile("rb") as stream:
            heads = [request("a.test", f"/{n}", False, "POST", f"Content-Length: {n}\r\n") for n in range(30)]
            tls.sendall(b"".join(head + b"x" * n for n, head in enumerate(heads)))
            for n in range(30):
                _, _, body = read_response(stream)
                assert f"POST /{n} HTTP/1.1".encode() in body and body.endswith(b"\r\n" + b"x" * n)


class TestHttp2:
    """Streams in both directions at the same time, from an HTTP/2 client to an HTTP/2 backend."""

    MODULES = ["proxy_http2"]

    @pytest.fixture
    def start(self, front, backend):
        one = backend(h2peer.Backend, alpn=["h2"])
        lines = f"ProxyPass / h2://localhost:{one.port}/"
        front(lines, modules=self.MODULES, top=["Protocols h2 http/1.1"])
        return one

    def test_01_conversation(self, stack, start):
        """Each message is answered before the next one is sent."""
        with h2peer.Client(stack.httpd) as client:
            number = client.request("POST", "/talk", ("te", "trailers"), end=False)
            stream = client.streams[number]
            for message in range(20):
                said = len(stream.body)
                client.send(number, b"message %d " % message)
                client.wait(lambda: stream.body[said:] == b"message %d " % message)  # noqa: B023
            client.send(number, b"", end=True)
            assert client.response(number).status == 200
            assert stream.reset is None

    @pytest.mark.parametrize("size", [1, 16_384, MIB])
    def test_02_echo(self, stack, start, size):
        data = os.urandom(size)
        with h2peer.Client(stack.httpd) as client:
            for _ in range(3):
                number = client.request("POST", "/echo", end=False)
                client.send(number, data, end=True)
                response = client.response(number)
                assert response.reset is None
                assert digest(response.body) == digest(data)

    def test_03_trailers(self, stack, start):
        """gRPC sends the status of a call in trailers. This test has a digest of the body there."""
        data = os.urandom(100_000)
        with h2peer.Client(stack.httpd) as client:
            number = client.request("POST", "/echo", ("te", "trailers"), end=False)
            client.send(number, data, end=True)
            response = client.response(number)
        assert response.trailers == {"grpc-status": "0", h2peer.DIGEST: digest(data)}

    def test_04_streams_side_by_side(self, stack, start):
        """Parts of several bodies in turn: every stream gets its own data. mod_http2 serves six streams at first."""
        bodies = [os.urandom(100_000) for _ in range(5)]
        with h2peer.Client(stack.httpd) as client:
            numbers = [client.request("POST", "/echo", end=False) for _ in bodies]
            for at in range(0, 100_000, 10_000):
                for number, data in zip(numbers, bodies):
                    client.send(number, data[at : at + 10_000], end=at == 90_000)
            for number, data in zip(numbers, bodies):
                assert digest(client.response(number).body) == digest(data)

    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_05_from_other_clients(self, stack, start, http):
        """curl prints trailers after the body."""
        data = os.urandom(MIB)
        assert digest(post(stack, "/echo", data, http).body[:MIB]) == digest(data)


class TestWebSockets:
    # The scheme of the backend, whether it has TLS, and the parameters of ProxyPass.
    KINDS = {"ws": ("ws", False, ""), "wss": ("wss", True, ""), "upgrade": ("https", True, "upgrade=websocket")}

    @pytest.fixture(params=KINDS)
    def path(self, request, stack, front, backend, ports):
        """A WebSocket without TLS, with TLS, and as mod_proxy_http tunnels it."""
        scheme, tls, option = self.KINDS[request.param]
        one = backend(websocket.Backend) if tls else websocket.Backend(ports.take())
        scheme, option = {"ws": ("ws", ""), "wss": ("wss", ""), "upgrade": ("https", " upgrade=websocket")}[
            request.param
        ]
        front(f"ProxyPass /ws {scheme}://localhost:{one.port}/ {option}", modules=["proxy_http", "proxy_wstunnel"])
        yield "/ws"
        if not tls:
            one.stop()

    def test_01_messages(self, stack, path):
        """Messages of all sizes, in fragments, with a ping between the fragments."""
        client = websocket.Client(stack.httpd, path)
        for size in (0, 1, 125, 126, 16_384, 65_536, MIB):
            data = os.urandom(size)
            client.send(websocket.BINARY, data)
            assert client.read() == (websocket.BINARY, True, data)
        client.send(websocket.TEXT, b"first ", last=False)
        assert client.read() == (websocket.TEXT, False, b"first ")
        client.send(websocket.PING, b"there?")
        assert client.read() == (websocket.PONG, True, b"there?")
        client.send(websocket.CONTINUATION, b"second")
        assert client.read() == (websocket.CONTINUATION, True, b"second")

    def test_02_farewell(self, stack, path):
        """The backend's message after the client's close arrives, then the backend's close, then the end."""
        client = websocket.Client(stack.httpd, path)
        client.send(websocket.CLOSE, b"\x03\xe8")
        assert client.read() == (websocket.TEXT, True, b"bye")
        assert client.read() == (websocket.CLOSE, True, b"\x03\xe8")
        assert client.stream.read() == b""

    def test_03_first_message_with_the_request(self, stack, path):
        """The message is in the buffer of the TLS filter, or of httpd, when the connection becomes a tunnel."""
        client = websocket.Client(stack.httpd, path, extra=websocket.frame(websocket.TEXT, b"early", mask=b"mask"))
        assert client.read() == (websocket.TEXT, True, b"early")

    def test_04_both_at_once(self, stack, path):
        """2 MiB in each direction. The client reads no frame before it has sent the first half."""
        client = websocket.Client(stack.httpd, path)
        data = [os.urandom(16_000) for _ in range(128)]
        for piece in data[:16]:
            client.send(websocket.BINARY, piece)
        for at, piece in enumerate(data):
            assert client.read()[2] == piece
            if at + 16 < len(data):
                client.send(websocket.BINARY, data[at + 16])


class TestFastCgi:
    def test_01_bodies(self, stack, front, ports):
        """Half a MiB in both directions, and the TLS variables of the application."""

        def answer(parameters, body):
            yield b"Content-Type: text/plain\r\nX-Protocol: " + parameters["SSL_PROTOCOL"].encode() + b"\r\n\r\n"
            yield parameters["HTTPS"].encode() + parameters["REQUEST_SCHEME"].encode() + body

        with running(fastcgi.Application(ports.take(), answer)) as application:
            passed = f"ProxyPass /app fcgi://127.0.0.1:{application.port}/app"
            front(*stack.variables(), passed, modules=["proxy_fcgi"])
            data = os.urandom(MIB // 2)
            response = post(stack, "/app/x", data)
            assert response.headers["x-protocol"] == "TLSv1.3"
            assert digest(response.body) == digest(b"onhttps" + data)

    def test_02_first_half_before_the_second(self, stack, front, ports):
        gate = threading.Event()

        def answer(parameters, body):
            yield b"Content-Type: text/plain\r\n\r\nfirst half\n"
            gate.wait(30)
            yield b"second half\n"

        with running(fastcgi.Application(ports.take(), answer)) as application:
            passed = f"ProxyPass /app fcgi://127.0.0.1:{application.port}/app flushpackets=on"
            front(passed, modules=["proxy_fcgi"])
            slow = PartialResponse(stack, "/app/x")
            assert b"second" not in slow.read_until("first half\n")
            gate.set()
            slow.read_until("second half\n")


class TestAjp:
    """AJP has no TLS, but carries the attributes of the client's TLS connection."""

    @pytest.fixture
    def container(self, stack, front, ports):
        ca = ClientCa()
        stack.httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        with running(ajp.Container(ports.take())) as container:
            passed = f"ProxyPass /app ajp://127.0.0.1:{container.port}/app"
            front(*stack.asking("people.pem"), passed, modules=["proxy_ajp"])
            container.alice = ca.client("alice")
            yield container
            assert not container.garbled

    def test_01_bodies(self, stack, container):
        for size in (0, 1, 8000, 300_000):
            data = os.urandom(size)
            response = post(stack, "/app/x", data)
            assert response.code == 200 and digest(response.body) == digest(data)
        assert container.handshakes == 0

    def test_02_what_it_is_told(self, stack, container):
        alice = container.alice.write(stack.httpd.root, "alice")
        tls12 = ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384"]
        assert curl(stack.httpd, "a.test", "/app/x", *alice, *tls12).code == 200
        assert curl(stack.httpd, "a.test", "/app/x").code == 200
        known, unknown = container.seen
        assert known["is_ssl"] and unknown["is_ssl"]
        assert known["ssl_cert"].strip() == container.alice.pem.decode().strip()
        assert known[11] == 256 and known["AJP_SSL_PROTOCOL"] == "TLSv1.2"
        # The record `tls` uses IANA's names.
        assert (
            known["ssl_cipher"]
            == {
                "TLS": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
                "SSL": "ECDHE-ECDSA-AES256-GCM-SHA384",
            }[stack.prefix]
        )
        assert not unknown.get("ssl_cert")


class Farewell(backends.Backend):
    """Reads to the end, then answers with a digest: the client has to close one direction only."""

    def handle(self, sock):
        with sock:
            sock.sendall(digest(read_all(sock)).encode())


class TestConnect:
    """CONNECT through TLS: a tunnel in TLS that carries any data."""

    def start(self, front, *targets):
        lines = ["ProxyRequests on", "AllowCONNECT " + " ".join(str(one.port) for one in targets)]
        front(*lines, modules=["proxy_connect"])

    def test_01_tls_in_tls(self, stack, front, backend):
        one = backend()
        self.start(front, one)
        httpd, data = stack.httpd, os.urandom(3 * MIB)
        (httpd.root / "posted").write_bytes(data)
        via = ["--proxy", f"https://a.test:{httpd.port}", "--proxy-cacert", httpd.ca_file, "--cacert", httpd.ca_file]
        via += [
            "--resolve",
            f"a.test:{httpd.port}:127.0.0.1",
            "-H",
            "Expect:",
            "--data-binary",
            f"@{httpd.root}/posted",
        ]
        run = subprocess.run(["curl", "-sS", *via, f"https://localhost:{one.port}/in"], capture_output=True, timeout=60)
        assert b"POST /in HTTP/1.1" in run.stdout, run
        assert run.stdout.endswith(data)

    def test_02_one_direction_ends_first(self, stack, front, ports):
        """The client's close_notify ends one direction. The client still reads the other one."""
        with running(Farewell(ports.take())) as one:
            self.start(front, one)
            data = os.urandom(MIB)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context(stack.httpd).wrap_bio(incoming, outgoing, server_hostname="a.test")
            with socket.create_connection(("127.0.0.1", stack.httpd.port), 30) as sock:

                def do(action, *args):
                    while True:
                        try:
                            return action(*args)
                        except ssl.SSLWantReadError:
                            sock.sendall(outgoing.read())
                            received = sock.recv(65536)
                            incoming.write(received) if received else incoming.write_eof()

                do(tls.do_handshake)
                do(tls.write, f"CONNECT 127.0.0.1:{one.port} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode())
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += do(tls.read, 1000)
                assert answer.startswith(b"HTTP/1.0 200 "), answer
                tls.write(data)
                with pytest.raises(ssl.SSLWantReadError):
                    tls.unwrap()
                sock.sendall(outgoing.read())
                assert do(tls.read, 1000).decode() == digest(data)


class TestExpress:
    def test_01_backend_of_a_host(self, stack, front, backend):
        """A database has the backend of each virtual host."""
        one = backend()
        httpd = stack.httpd
        (httpd.root / "map.txt").write_text(f"a.test https://localhost:{one.port}\n")
        program = httpd.installation.program.parent / "httxt2dbm"
        command = [program, "-f", "SDBM", "-i", httpd.root / "map.txt", "-o", httpd.root / "map"]
        subprocess.run(command, check=True, capture_output=True)
        lines = ["ProxyExpressEnable on", "ProxyExpressDBMType SDBM", f"ProxyExpressDBMFile {httpd.root}/map"]
        front(*lines, modules=["proxy_http", "proxy_express"])
        data = os.urandom(100_000)
        response = post(stack, "/some", data)
        assert b"POST /some HTTP/1.1" in response.body and comes_back(response, data)
        assert one.handshakes == 1


class Ailing(backends.Backend):
    """A backend whose health the test controls."""

    healthy = True

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            while line := stream.readline():
                while stream.readline() not in (b"\r\n", b""):
                    pass
                status = b"503 Ill" if b"/health" in line and not self.healthy else b"200 OK"
                text = str(self.port).encode()
                sock.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text)


class TestBalancers:
    MODULES = ["proxy_http", "proxy_balancer"]

    def pool(self, members, method, options="", hosts=("localhost", "localhost")):
        urls = [f"https://{host}:{one.port}" for host, one in zip(hosts, members)]
        lines = [f"BalancerMember {url} route={one.port} {options}" for url, one in zip(urls, members)]
        lines = ["<Proxy balancer://pool>", *lines, f"ProxySet lbmethod={method} stickysession=ROUTE", "</Proxy>"]
        return [*lines, "ProxyPass /balancer-manager !", "ProxyPass / balancer://pool/"]

    @pytest.mark.parametrize("method", ["byrequests", "bytraffic", "bybusyness"])
    def test_01_methods(self, stack, front, backend, method):
        """Each member gets requests, and complete bodies."""
        members = [backend(), backend()]
        front(*self.pool(members, method), modules=[*self.MODULES, f"lbmethod_{method}"])
        for _ in range(6):
            data = os.urandom(50_000)
            assert comes_back(post(stack, "/", data), data)
        assert [one.handshakes for one in members] == [1, 1]

    def test_02_sticky(self, stack, front, backend):
        members = [backend(Ailing), backend(Ailing)]
        front(*self.pool(members, "byrequests"), modules=[*self.MODULES, "lbmethod_byrequests"])
        for one in [members[1]] * 3 + [members[0]] * 2:
            assert curl(stack.httpd, "a.test", "/", "-b", f"ROUTE=x.{one.port}").text == str(one.port)

    def test_03_manager(self, stack, front, backend):
        """The form of balancer-manager, sent as a browser sends it: the drained member gets no more requests."""
        members = [backend(Ailing), backend(Ailing)]
        manager = ["<Location /balancer-manager>", "SetHandler balancer-manager", "</Location>"]
        front(*manager, *self.pool(members, "byrequests"), modules=[*self.MODULES, "lbmethod_byrequests"])
        url = f"https://a.test:{stack.httpd.port}/balancer-manager"
        page = curl(stack.httpd, "a.test", "/balancer-manager", "-e", url).text
        nonce = re.search(r"nonce=([0-9a-f-]+)", page)[1]
        worker = f"https://localhost:{members[0].port}"
        form = {"b": "pool", "w": worker, "nonce": nonce, "w_status_D": "1"}
        args = [arg for pair in form.items() for arg in ("--data-urlencode", "=".join(pair))]
        assert curl(stack.httpd, "a.test", "/balancer-manager", "-e", url, *args).code == 200
        assert {curl(stack.httpd, "a.test").text for _ in range(4)} == {str(members[1].port)}

    def test_04_health_checks(self, stack, front, backend):
        """A failing member is taken out, and comes back when it recovers."""
        members = [backend(Ailing), backend(Ailing)]
        options = "hcmethod=GET hcuri=/health hcinterval=1 hcpasses=1 hcfails=1"
        modules = [*self.MODULES, "lbmethod_byrequests", "proxy_hcheck"]
        front(*self.pool(members, "byrequests", options), modules=modules)
        both = {str(one.port) for one in members}

        def answering():
            return {curl(stack.httpd, "a.test").text for _ in range(4)}

        assert answering() == both
        stack.httpd.log.allow("AH03303|AH03302|AH03301")
        members[0].healthy = False
        wait_for(lambda: answering() == {str(members[1].port)}, "the ill member to be left out")
        members[0].healthy = True
        wait_for(lambda: answering() == both, "the member to come back")

    def test_05_heartbeat(self, stack, front, backend, authority):
        """Members are chosen by the load in a file of mod_heartmonitor."""
        addresses = ["127.0.0.1", "127.0.0.2"]
        members = [backend(Ailing, authority.server(address), address) for address in addresses]
        beats = stack.httpd.root / "hb.dat"
        beats.write_text("127.0.0.1 &ready=0&busy=1&lastseen=1\n127.0.0.2 &ready=9&busy=1&lastseen=1\n")
        modules = [*self.MODULES, "lbmethod_heartbeat"]
        front(*self.pool(members, "heartbeat", hosts=addresses), modules=modules, top=[f"HeartbeatStorage {beats}"])
        assert {curl(stack.httpd, "a.test").text for _ in range(6)} == {str(members[1].port)}
