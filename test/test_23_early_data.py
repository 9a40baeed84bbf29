# SPDX-License-Identifier: Apache-2.0
"""Early data: requests in the first flight are answered early, marked, and never run twice."""

import contextlib
import shutil
import socket
import subprocess
import threading

import pytest

from harness.clients import curl, raw_connection, records, request, s_client, session_text
from harness.httpd import wait_for

EARLY = [
    'Header always set X-Early "%{SSL_EARLY_DATA}e"',
    'Header always set X-Header "expr=%{HTTP:Early-Data}"',
    'LogFormat "%{SSL_EARLY_DATA}x \\"%r\\" %>s" early',
    "TLSEarlyData on",
]
APPLICATION_DATA = 23
# A group that all builds support. After a HelloRetryRequest a client cannot send early data.
CLIENT = ("-groups", "P-256")
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def h2_request(method):
    """SETTINGS, and a request for / of a.test (RFC 7541 appendix A has the numbers)."""
    block = bytes([{"GET": 0x82, "POST": 0x83}[method], 0x87, 0x84, 0x41, 6]) + b"a.test"
    end_of_stream_and_headers = 0x05
    return H2_PREFACE + bytes([0, 0, len(block), 1, end_of_stream_and_headers, 0, 0, 0, 1]) + block


class Site:
    """a.test with early data, and clients with sessions for it."""

    def __init__(self, httpd):
        self.httpd = httpd
        self._sessions = 0

    def start(self, *lines, base=(), **options):
        self.httpd.log.allow("AH10034")  # mod_http2 with prefork
        host = self.httpd.vhost("a.test", *EARLY, f"CustomLog {self.httpd.root}/early_log early", *lines)
        self.httpd.start(f"TLSEngine {self.httpd.port}", *base, host, **options)

    def session(self, *args, send=None):
        """Saves a new session to a file."""
        self._sessions += 1
        file = self.httpd.root / f"session{self._sessions}"
        s_client(self.httpd, "-sess_out", str(file), *CLIENT, *args, name="a.test", send=send or request("a.test"))
        wait_for(file.exists, "a session")
        return file

    def send_early(self, data, *args, session=None, send=b""):
        """Resumes a session with `data` as early data."""
        file = self.httpd.root / "early"
        file.write_bytes(data)
        session = session or self.session(*args)
        arguments = ("-sess_in", str(session), "-early_data", str(file), "-ign_eof", *CLIENT, *args)
        return s_client(self.httpd, *arguments, name="a.test", send=send).output

    def spawn(self, port, session, early, *args):
        """Starts a client that resumes a session with the file `early` as early data, and then waits."""
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.test"]
        command += ["-sess_in", str(session), "-early_data", str(early), *CLIENT, *args]
        quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, **quiet)

    def first_flight(self, data, *args, session=None):
        """The client's first flight: its ClientHello and `data` as early data."""
        file = self.httpd.root / "early"
        file.write_bytes(data)
        session = session or self.session()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = self.spawn(listener.getsockname()[1], session, file, *args)
            try:
                sock, _ = listener.accept()
                with sock:
                    flight = b""
                    while not any(kind == APPLICATION_DATA for kind, _ in records(flight)):
                        flight += sock.recv(65536)
            finally:
                client.kill()
                client.communicate()
        return flight

    def log(self):
        """The requests: whether each was early, and its path."""
        file = self.httpd.root / "early_log"
        return file.read_text().splitlines() if file.exists() else []

    def runs(self, path):
        return [line for line in self.log() if f" {path} " in line]


@pytest.fixture
def site(httpd):
    return Site(httpd)


class TestRequests:
    @pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
    def test_01_told_apart(self, site, mpm):
        site.start(mpm=mpm)
        output = site.send_early(request("a.test", "/?early", close=False), send=request("a.test", "/?late"))
        assert "Early data was accepted" in output
        first, second = output.split("HTTP/1.1 200 OK")[1:]
        assert "X-Early: 1" in first and "X-Header: 1" in first
        assert "X-Early: (null)" in second and "X-Header: 1" not in second
        wait_for(lambda: site.runs("/?early") and site.runs("/?late"), "the requests to be logged")
        assert [line.split()[0] for line in site.runs("/?early") + site.runs("/?late")] == ["1", "-"]

    def test_02_answered_before_the_handshake_is_complete(self, site, httpd):
        site.start()
        with raw_connection(httpd) as sock:
            sock.sendall(site.first_flight(request("a.test", "/?early")))
            wait_for(lambda: site.runs("/?early"), "the request to be run")
            # ServerHello, EncryptedExtensions and Finished, then the encrypted response.
            received = b""
            while len(records(received)) < 5:
                received += sock.recv(65536)

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_03_unsafe_methods_have_to_wait(self, site, httpd, method):
        site.start()
        early = request("a.test", "/?unsafe", method=method, close=False, headers="Content-Length: 3\r\n") + b"abc"
        output = site.send_early(early, send=request("a.test", "/?again"))
        assert "HTTP/1.1 425 Too Early" in output and "HTTP/1.1 200 OK" in output
        assert f"{method} / came as early data, which could be a replay" in httpd.log.text()

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
    def test_04_safe_methods(self, site, method):
        site.start()
        assert "HTTP/1.1 200 OK" in site.send_early(request("a.test", method=method))

    def test_05_locations_may_take_more(self, site):
        site.start("<Location /index.html>\nTLSEarlyDataMethods any\n</Location>")
        post = request("a.test", "/index.html", method="POST", headers="Content-Length: 0\r\n")
        output = site.send_early(post)
        assert "HTTP/1.1 200 OK" in output and "X-Early: 1" in output
        assert "425" in site.send_early(request("a.test", "/", method="POST", headers="Content-Length: 0\r\n"))

    def test_06_locations_may_take_less(self, site):
        site.start("TLSEarlyDataMethods any\n<Location /never>\nTLSEarlyDataMethods none\n</Location>")
        output = site.send_early(request("a.test", "/never", close=False), send=request("a.test", "/never"))
        assert "HTTP/1.1 425 Too Early" in output and "HTTP/1.1 404 Not Found" in output
        assert "HTTP/1.1 200 OK" in site.send_early(request("a.test", "/"))

    def test_07_htaccess(self, site, httpd):
        site.start()
        httpd.docs.joinpath(".htaccess").write_text("TLSEarlyDataMethods any\n")
        post = request("a.test", "/index.html", method="POST", headers="Content-Length: 0\r\n")
        assert "HTTP/1.1 200 OK" in site.send_early(post)

    def test_08_internal_redirects(self, site):
        site.start("RewriteEngine on", "RewriteRule ^/old$ /index.html [PT]", "ErrorDocument 404 /index.html")
        output = site.send_early(request("a.test", "/missing"))
        assert "404 Not Found" in output and "X-Early: 1" in output

    def test_09_split_request(self, site):
        """The rest of the request comes after the handshake, so the request is not a replay."""
        site.start()
        whole = request("a.test", "/?split")
        output = site.send_early(whole[:20], send=whole[20:])
        assert "HTTP/1.1 200 OK" in output and "X-Early: 1" not in output

    def test_10_a_host_on_the_same_terms_only(self, site, httpd):
        site.start("ServerAlias c.test", base=[httpd.vhost("b.test")])
        httpd.log.allow("c.test is not covered by")
        assert "421 Misdirected" in site.send_early(request("b.test"))
        assert "HTTP/1.1 200 OK" in site.send_early(request("c.test"))

    def test_11_too_much(self, site, httpd):
        site.start("TLSMaxEarlyDataSize 100")
        output = site.send_early(request("a.test", "/?" + "x" * 200), session=site.session())
        # OpenSSL knows the limit from the ticket and sends no early data.
        assert "early data" in output.lower() and not site.runs("/?" + "x" * 200)

    def test_12_gnutls(self, site, httpd):
        site.start()
        file = httpd.root / "early"
        file.write_bytes(request("a.test", "/?early"))
        command = ["gnutls-cli", "--x509cafile", httpd.ca_file, "--sni-hostname=a.test", "--verify-hostname=a.test"]
        command += ["-p", str(httpd.port), "--resume", "--waitresumption", f"--earlydata={file}", "127.0.0.1"]
        run = subprocess.run(command, input=b"", capture_output=True, timeout=30)
        wait_for(lambda: site.runs("/?early"), f"the request to be run: {run.stdout}")


class TestHttp2:
    @pytest.mark.parametrize("method,status", [("GET", "200"), ("POST", "425")])
    def test_01_early(self, site, httpd, method, status):
        site.start("Protocols h2 http/1.1")
        session = site.session("-alpn", "h2", send=h2_request("GET"))
        with raw_connection(httpd) as sock:
            sock.sendall(site.first_flight(h2_request(method), "-alpn", "h2", session=session))
            wait_for(lambda: f'1 "{method} / HTTP/2.0" {status}' in site.log(), "the request")

    def test_02_the_handshake_goes_on_meanwhile(self, site):
        """The request is run before or after the end of the handshake."""
        site.start("Protocols h2 http/1.1")
        session = site.session("-alpn", "h2", send=h2_request("GET"))
        before = len(site.log())
        site.send_early(h2_request("GET"), "-alpn", "h2", session=session, send=b"\0")
        wait_for(lambda: len(site.log()) > before, "the request")
        assert all(line.endswith("200") for line in site.log())

    def test_03_another_protocol_than_the_session(self, site):
        site.start("Protocols h2 http/1.1")
        session = site.session("-alpn", "h2", send=h2_request("GET"))
        output = site.send_early(request("a.test", "/?early"), "-alpn", "http/1.1", session=session)
        assert not site.runs("/?early"), output


class TestReplays:
    def _send_at_once(self, httpd, flight, count):
        """Sends a first flight on many connections at the same time. Returns them after all have received data."""
        socks = [raw_connection(httpd) for _ in range(count)]
        start = threading.Barrier(count)

        def send(sock):
            start.wait()
            sock.sendall(flight)
            assert sock.recv(1)

        threads = [threading.Thread(target=send, args=(sock,)) for sock in socks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return socks

    def _replay(self, site, path, flight, count):
        """Replays a request for `path`, and waits until it is run."""
        socks = self._send_at_once(site.httpd, flight, count)
        wait_for(lambda: site.runs(path), "the request to be run")
        for sock in socks:
            sock.close()

    @pytest.mark.parametrize("mpm", ["event", "prefork"])
    def test_01_at_several_children_at_once(self, site, httpd, mpm):
        limits = {
            "event": "StartServers 4\nServerLimit 4\nThreadsPerChild 8\nMaxRequestWorkers 32\nMinSpareThreads 32",
            "prefork": "StartServers 12\nMinSpareServers 12",
        }
        site.start(mpm=mpm, limits=limits[mpm])
        for number in range(5):
            path = f"/?once{number}"
            self._replay(site, path, site.first_flight(request("a.test", path)), 12)
        httpd.stop()
        assert sorted(line.split()[2] for line in site.log() if "once" in line) == [f"/?once{n}" for n in range(5)]

    @pytest.mark.parametrize("how", ["graceful", "restart"])
    def test_02_after_a_restart(self, site, httpd, how):
        httpd.root.joinpath("seed").write_bytes(b"a secret of the whole fleet, and long enough")
        site.start(base=["TLSSessionTicketKeyFile seed"])
        flights = {path: site.first_flight(request("a.test", path)) for path in ("/?before", "/?never")}
        self._replay(site, "/?before", flights["/?before"], 1)
        if how == "graceful":
            httpd.graceful()
        else:
            httpd.stop()
            httpd.start()
        for flight in flights.values():
            self._send_at_once(httpd, flight, 1)[0].close()
        assert curl(httpd, "a.test").code == 200
        httpd.stop()
        wait_for(lambda: len(site.runs("/?before")) == 1, "the request to be logged")

    @pytest.mark.parametrize("cache,program", [("memcache", "memcached"), ("redis", "redis-server")])
    def test_03_at_several_machines(self, site, httpd, ports, tmp_path, cache, program):
        """Two servers share a cache and a seed: the second one does not run a request again."""
        if not httpd.installation.has_module(f"socache_{cache}"):
            pytest.skip(f"this httpd has no mod_socache_{cache}")
        port = str(ports.take())
        command = {
            "memcache": ["memcached", "-U", "0", "-l", "127.0.0.1", "-p", port, "-u", "nobody"],
            "redis": ["redis-server", "--save", "", "--bind", "127.0.0.1", "--port", port, "--dir", str(tmp_path)],
        }
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command[cache], **quiet)
        try:
            wait_for(lambda: self._accepts(int(port)), program)
            httpd.root.joinpath("seed").write_bytes(b"a secret of the whole fleet, and long enough")
            base = ["TLSSessionTicketKeyFile seed", f"TLSSessionCache {cache}:127.0.0.1:{port}"]
            other = ports.take()
            host = httpd.vhost("a.test", *EARLY, f"CustomLog {httpd.root}/early_log early", port=other)
            engine = [f"Listen {other}", f"TLSEngine {other}", host]
            site.start(base=[*base, *engine], modules=[f"socache_{cache}"], limits="StartServers 2")
            for number in range(5):
                path = f"/?fleet{number}"
                self._replay(site, path, site.first_flight(request("a.test", path)), 12)
            used = site.first_flight(request("a.test", "/?restart"))
            self._replay(site, "/?restart", used, 1)
            httpd.stop()
            httpd.start()
            self._send_at_once(httpd, used, 1)[0].close()
            assert "Early data was accepted" in site.send_early(request("a.test", "/?still"))
            httpd.stop()
        finally:
            server.kill()
            server.wait()
        runs = [line.split()[2] for line in site.log() if "fleet" in line or "restart" in line]
        assert sorted(runs) == [*(f"/?fleet{n}" for n in range(5)), "/?restart"]

    @staticmethod
    def _accepts(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True


def test_workers_do_not_wait_for_handshakes(site, httpd):
    """Idle connections use no workers, whether the handshake had early data or not."""
    limits = "StartServers 1\nServerLimit 1\nThreadsPerChild 4\nMaxRequestWorkers 4\nAsyncRequestWorkerFactor 8"
    httpd.log.allow("AH10159|AH00484")
    site.start("KeepAliveTimeout 30", limits=limits)
    early = httpd.root / "early"
    early.write_bytes(request("a.test", "/?early", close=False))
    sessions = [site.session() for _ in range(8)]
    clients = []
    try:
        clients += [site.spawn(httpd.port, session, early) for session in sessions]
        wait_for(lambda: len(site.runs("/?early")) == len(clients), "all requests")
        assert curl(httpd, "a.test", "/", "--max-time", "5").code == 200
    finally:
        for client in clients:
            client.kill()
            client.communicate()


class TestElsewhere:
    """A client's ticket allows early data, but the server accepts none. It ignores any amount of early data (RFC 8446
    section 4.2.10), and the handshake goes on."""

    @pytest.fixture
    def session(self, site):
        site.start("TLSMaxEarlyDataSize 1048576")
        return site.session()

    @pytest.mark.parametrize("lines", [["TLSSessionTickets on"], ["TLSSessionTickets off"], ["TLSSessionCache none"]])
    @pytest.mark.parametrize("size", [1, 16_000, 200_000, 1_000_000])
    def test_01_skipped(self, session, second_httpd, lines, size):
        second_httpd.start(f"TLSEngine {second_httpd.port}", *lines, second_httpd.vhost("a.test"))
        output = Site(second_httpd).send_early(b"x" * size, session=session, send=request("a.test"))
        assert "Early data was rejected" in output
        assert "HTTP/1.1 200 OK" in output and "hello\n" in output

    @pytest.mark.parametrize("lines", [["TLSSessionTickets on"], ["TLSSessionTickets off"]])
    def test_02_switched_off_by_a_reload(self, site, httpd, lines):
        """The server knows the session, and may resume it."""
        site.start(*lines)
        session = site.session()
        httpd.conf_file.write_text(httpd.conf_file.read_text().replace("TLSEarlyData on", ""))
        httpd.graceful()
        output = site.send_early(b"x" * 10_000, session=session, send=request("a.test"))
        assert "Early data was rejected" in output and "HTTP/1.1 200 OK" in output

    def test_03_resumed_without(self, second_httpd):
        """Sessions of such a server allow no early data, and can be resumed."""
        second_httpd.start(f"TLSEngine {second_httpd.port}", "TLSSessionTickets off", second_httpd.vhost("a.test"))
        site = Site(second_httpd)
        session = site.session()
        assert "Max Early Data: 0" in session_text(session)
        assert s_client(second_httpd, "-sess_in", str(session), *CLIENT, name="a.test", send=request("a.test")).reused

    @pytest.mark.parametrize("size", [1, 16_000, 200_000])
    def test_04_before_a_second_hello(self, session, second_httpd, size):
        """The server requests another group (HelloRetryRequest), and ignores the data before the second ClientHello."""
        second_httpd.start(
            f"TLSEngine {second_httpd.port}", second_httpd.vhost("a.test", "TLSGroupsSuppress secp256r1")
        )
        groups = ("-groups", "P-256:P-384")
        output = Site(second_httpd).send_early(b"x" * size, *groups, session=session, send=request("a.test"))
        assert "Early data was rejected" in output and "HTTP/1.1 200 OK" in output

    def test_05_too_much_is_refused(self, session, second_httpd):
        """The amount of early data that is ignored has a limit."""
        second_httpd.start(f"TLSEngine {second_httpd.port}", second_httpd.vhost("a.test"))
        flight = Site(second_httpd).first_flight(b"x" * 1000, session=session)
        with raw_connection(second_httpd) as sock:
            sock.sendall(flight)
            junk = bytes([APPLICATION_DATA, 3, 3, 0x40, 0]) + bytes(0x4000)
            with contextlib.suppress(OSError):
                for _ in range(200):
                    sock.sendall(junk)
                while sock.recv(65536):
                    pass
        wait_for(lambda: "handshake failed" in second_httpd.log.text(), "the connection to be refused")


class TestConfiguration:
    def test_01_off_by_default(self, httpd):
        site = Site(httpd)
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
        assert "Max Early Data: 0" in session_text(site.session())

    def test_02_ticket_tells_the_limit(self, site):
        site.start("TLSMaxEarlyDataSize 4000")
        assert "Max Early Data: 4000" in session_text(site.session())

    @pytest.mark.parametrize(
        "lines,text",
        [
            (["TLSSessionCache none"], "TLSEarlyData needs a session cache, which detects repeated use of a session"),
            (["TLSSessionCache dbm:/tmp/cache"], "gives each entry once only, which dbm does not promise"),
            (["TLSMaxEarlyDataSize 0"], "takes a number of bytes from 1 to 1048576"),
            (["TLSEarlyData maybe"], "TLSEarlyData"),
            (["TLSEarlyDataMethods some"], 'TLSEarlyDataMethods takes none, safe or any, not "some"'),
        ],
    )
    def test_03_mistakes(self, httpd, lines, text):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSEarlyData on", *lines, httpd.vhost("a.test"))
        code, output = httpd.configtest()
        assert code != 0 and text in output, output

    def test_04_no_provider_is_an_error(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSEarlyData on", httpd.vhost("a.test"))
        conf = httpd.conf_file.read_text()
        httpd.conf_file.write_text("\n".join(line for line in conf.split("\n") if "socache_shmcb" not in line))
        httpd.log.expect("TLSSessionCache shmcb: there is no provider")
        httpd.log.allow("AH00020|AH00016")
        with pytest.raises(AssertionError, match="did not start"):
            httpd.start()

    def test_05_not_where_clients_have_certificates(self, httpd):
        httpd.configure(
            f"TLSEngine {httpd.port}",
            "TLSEarlyData on",
            httpd.vhost("a.test", "TLSClientCertificate optional", f"TLSClientCA {httpd.ca_file}"),
            httpd.vhost("b.test", "TLSProtocol TLSv1.2"),
            httpd.vhost("c.test"),
        )
        code, output = httpd.configtest("DUMP_TLS")
        assert code == 0
        assert "TLSEarlyData has no effect on virtual host a.test" in output and "which come after early data" in output
        assert "TLSEarlyData has no effect on virtual host b.test" in output and "does not speak TLSv1.3" in output
        assert output.count("up to 16384 bytes") == 2, output

    def test_06_counted(self, site, httpd):
        site.start("<Location /server-status>\nSetHandler server-status\n</Location>")
        assert "Early data was accepted" in site.send_early(request("a.test"))
        assert "EarlyDataHandshakes: 1" in curl(httpd, "a.test", "/server-status?auto").text


def test_programs_are_there():
    """The programs for the tests with several machines are installed: no test was skipped for that."""
    assert shutil.which("memcached") and shutil.which("redis-server")
