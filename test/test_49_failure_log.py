# SPDX-License-Identifier: Apache-2.0
"""TLSLogFailures: lines of JSON about failed handshakes, and the limit of their number."""

import datetime
import json
import re
import socket
import ssl
import threading

import pytest

from harness.clients import MemoryClient, connect, plain_get, raw_connection, read_all, request, s_client
from harness.httpd import wait_for
from harness.ja4 import ja4

STATUS = "<Location /server-status>\nSetHandler server-status\n</Location>"


@pytest.fixture
def start(httpd):
    """Starts a.test with lines of the base server. Returns a function that gives the lines of the file."""

    def run(*lines, log="TLSLogFailures failures", **options):
        httpd.start(f"TLSEngine {httpd.port}", STATUS, log, *lines, httpd.vhost("a.test"), **options)
        return lambda: [json.loads(line) for line in httpd.root.joinpath("failures").read_text().splitlines()]

    return run


class TestLines:
    """What is in a line."""

    def test_01_client(self, httpd, start):
        lines = start("TLSStrictSNI on")
        before = datetime.datetime.now(datetime.UTC)
        client = MemoryClient(httpd, "unknown.test")
        hello = client.hello()
        with raw_connection(httpd) as sock:
            port = sock.getsockname()[1]
            sock.sendall(hello)
            read_all(sock)
        (line,) = wait_for(lines, "a line")
        assert before <= datetime.datetime.fromisoformat(line.pop("time")) <= datetime.datetime.now(datetime.UTC)
        assert 0 <= line.pop("duration_ms") < 10_000
        assert line["offer"].pop("groups")[:2] == ["x25519", "secp256r1"]
        assert line == {
            "code": "TLS1201",
            "reason": "unknown_server_name",
            "message": "no host is called unknown.test, and TLSStrictSNI is on",
            "peer": "client",
            "stage": "handshake",
            "address": "127.0.0.1",
            "port": port,
            "host": "a.test",
            "server_name": "unknown.test",
            "alert": {"by": "server", "number": 112, "name": "UnrecognisedName"},
            "offer": {"versions": ["TLSv1.3", "TLSv1.2"], "ja4": ja4(hello), "ech": False, "grease": False},
        }

    def test_02_without_a_hello(self, httpd, start):
        lines = start()
        with raw_connection(httpd) as sock:
            sock.sendall(request("a.test"))
            read_all(sock)
        (line,) = wait_for(lines, "a line")
        assert line["code"] == "TLS1002" and line["reason"] == "plain_http"
        assert not {"server_name", "alert", "offer"} & set(line)

    def test_03_alert_of_the_client(self, httpd, start):
        lines = start()
        with pytest.raises(ssl.SSLError):
            connect(httpd, "a.test", ctx=ssl.create_default_context())
        line = wait_for(lines, "a line")[0]
        assert line["code"] == "TLS1401" and line["alert"] == {"by": "peer", "number": 48, "name": "UnknownCA"}

    def test_04_backend(self, httpd, proxy):
        proxy("TLSLogFailures failures", f"ProxyPass /b https://127.0.0.1:{httpd.plain_port}/")
        httpd.log.expect(r"\[TLS2001\]")
        httpd.log.allow("AH0")
        assert plain_get(httpd, "/b")[0] == 502
        (text,) = wait_for(httpd.root.joinpath("failures").read_text().splitlines, "a line")
        line = json.loads(text)
        assert (line["peer"], line["code"], line["host"]) == ("backend", "TLS2001", "127.0.0.1")
        assert line["port"] == httpd.plain_port

    def test_05_does_not_depend_on_log_level(self, httpd, start):
        lines = start(log_level="warn core:notice mpm_event:notice")
        s_client(httpd, name="unknown.test")
        assert wait_for(lines, "a line")[0]["code"] == "TLS1201"
        assert "TLS1201" not in httpd.log.text()


class TestPlaces:
    """Files and programs."""

    def test_01_program(self, httpd, start):
        lines = start(log=f'TLSLogFailures "|/usr/bin/tee -a {httpd.root}/failures"')
        s_client(httpd, name="unknown.test")
        wait_for(lambda: httpd.root.joinpath("failures").exists() and lines(), "a line")

    def test_02_reload(self, httpd, start):
        """Lines are appended, and a file that was renamed is made again."""
        lines = start()
        s_client(httpd, name="unknown.test")
        wait_for(lines, "a line")
        httpd.graceful()
        s_client(httpd, name="unknown.test")
        wait_for(lambda: len(lines()) == 2, "another line")
        httpd.root.joinpath("failures").rename(httpd.root / "failures.1")
        httpd.graceful()
        s_client(httpd, name="unknown.test")
        wait_for(lambda: httpd.root.joinpath("failures").exists() and len(lines()) == 1, "a line in the new file")

    @pytest.mark.parametrize(
        "line,text",
        [
            ("TLSLogFailures nowhere/failures", "there is no directory .*/nowhere: create it"),
            ("TLSLogFailures htdocs", "takes a file, and .*/htdocs is a directory"),
            ('TLSLogFailures "|"', "takes a file, or | and a program"),
            ("TLSLogFailuresLimit many", 'takes a number of lines from 1 to 1000000, or 0 for no limit, not "many"'),
        ],
    )
    def test_03_mistakes(self, httpd, line, text):
        httpd.configure(f"TLSEngine {httpd.port}", line, httpd.vhost("a.test"))
        code, output = httpd.configtest()
        assert code and re.search(rf"httpd.conf:\d+: .*{text}", output), output

    def test_04_only_for_the_whole_server(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "TLSLogFailures failures"))
        code, output = httpd.configtest()
        assert code and "belongs outside of <VirtualHost>" in output

    def test_05_a_test_makes_no_file(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSLogFailures failures", httpd.vhost("a.test"))
        assert httpd.configtest()[0] == 0
        assert not httpd.root.joinpath("failures").exists()

    def test_06_cannot_be_opened(self, httpd):
        """The message names the line."""
        httpd.log.expect(r"TLSLogFailures: /proc/failures cannot be opened for writing: name another file")
        httpd.log.allow("AH00020|Configuration Failed")
        httpd.configure(f"TLSEngine {httpd.port}", "TLSLogFailures /proc/failures", httpd.vhost("a.test"))
        line = httpd.conf_file.read_text().splitlines().index("TLSLogFailures /proc/failures") + 1
        assert httpd.run().wait(30) != 0
        assert f"httpd.conf:{line}: TLSLogFailures" in httpd.log.text()


def flood(httpd, count, threads=8):
    """Opens connections that send garbage."""

    def some(number):
        for _ in range(number):
            with socket.create_connection(("127.0.0.1", httpd.port)) as sock:
                sock.sendall(b"\x00garbage\x00garbage")
                read_all(sock)

    running = [threading.Thread(target=some, args=(count // threads,)) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def counted(httpd):
    _, body = plain_get(httpd, "/server-status?auto")
    return int(re.search(r"^TLSFailedHandshakes: (\d+)$", body, re.M)[1])


class TestFlood:
    def test_01_ten_thousand_garbage_connections(self, httpd, start):
        """They cost at most some hundred lines. Nothing is lost from the count, and other failures are still seen."""
        lines = start()
        flood(httpd, 10_000)
        s_client(httpd, name="unknown.test")
        assert counted(httpd) == 10_001

        def left_out():
            return sum(line["count"] for line in lines() if line["code"] == "TLS3001")

        def single(code):
            return sum(line["code"] == code for line in lines())

        wait_for(lambda: single("TLS1001") + left_out() == 10_000, "the count of those that were left out")
        assert single("TLS1001") <= 200 and single("TLS1201") == 1 and len(lines()) < 300
        assert all(line["of"] == "TLS1001" for line in lines() if line["code"] == "TLS3001")
        text = httpd.log.text()
        assert text.count("[TLS1001]") == single("TLS1001")
        sums = re.findall(r"tls: (\d+) more failures with the code TLS1001 \(not_tls\) were not logged", text)
        assert sum(map(int, sums)) == left_out()

    def test_02_at_the_end(self, httpd, start):
        """The rest is reported when httpd stops."""
        lines = start("TLSLogFailuresLimit 3")
        flood(httpd, 16, 2)
        assert len(lines()) >= 3
        httpd.stop()
        assert [line["code"] for line in lines()][:3] == ["TLS1001"] * 3
        assert sum(line["count"] for line in lines() if line["code"] == "TLS3001") == 13

    def test_03_no_limit(self, httpd, start):
        lines = start("TLSLogFailuresLimit 0")
        flood(httpd, 200)
        wait_for(lambda: len(lines()) == 200, "all lines")
