# SPDX-License-Identifier: Apache-2.0
"""Counters, the JSON of the status, and the page as text. test_48 has the metrics, test_50 the page in a browser."""

import re
import ssl
import struct
import time
import urllib.request

import pytest

from harness import status
from harness.client_certs import ClientCa
from harness.clients import MemoryClient, connect, context, curl, plain_get, raw_connection, read_all, request
from harness.httpd import HAS_POST_QUANTUM

TLS12 = ssl.TLSVersion.TLSv1_2


@pytest.fixture
def server(httpd):
    """Serves a.test, and the status in plain HTTP, so that asking for it counts nothing."""
    return httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test"))


def visit(httpd, host="a.test", ctx=None, **options):
    with connect(httpd, host, ctx=ctx, **options) as tls:
        tls.sendall(request(host))
        read_all(tls)
        return tls.session


def client(httpd, *settings, version=None):
    """A client with a list of OpenSSL's ciphers for TLS 1.2, or another version."""
    ctx = context(httpd, version or TLS12)
    for setting in settings:
        ctx.set_ciphers(setting)
    return ctx


def without(report, kind, name, when="since_start"):
    """How many handshakes would have been refused without something."""
    needed = report["what_if"][when]
    found = [one["refused"] for one in needed["without"] if (one["kind"], one["name"]) == (kind, name)]
    return found[0], needed["handshakes"]


class TestCounters:
    def test_01_handshakes(self, server):
        before = status.report(server)["handshakes"]
        assert before["full"] == before["resumed"] == before["failed"] == 0
        visit(server)
        session = visit(server, ctx=client(server))
        ctx = client(server)
        session = visit(server, ctx=ctx)
        visit(server, ctx=ctx, session=session)
        after = status.report(server)["handshakes"]
        assert (after["full"], after["resumed"]) == (3, 1)
        assert after["versions"] == {"TLSv1.3": 1, "TLSv1.2": 3, "other": 0}
        assert after["cipher_suites"]["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"] == 3
        assert sum(after["cipher_suites"].values()) == sum(after["groups"].values()) == 4
        assert after["groups"]["none"] == 1 and after["groups"]["other"] == 0
        assert after["signature_schemes"]["ecdsa_secp256r1_sha256"] == 3
        assert sum(after["signature_schemes"].values()) == 3
        assert after["client_certificates"]["not_requested"] == 4
        durations = after["durations"]
        assert sum(bucket["count"] for bucket in durations["buckets"]) + durations["longer"] == 4
        assert 0 < durations["sum_seconds"] < 40

    def test_02_post_quantum(self, server):
        curl(server, "a.test", "/", "--curves", "X25519")
        report = status.report(server)["handshakes"]
        assert report["groups"]["x25519"] == 1 and report["post_quantum"] == 0
        assert ("X25519MLKEM768" in report["groups"]) and HAS_POST_QUANTUM in (True, False)

    def test_03_client_certificates(self, httpd):
        ca = ClientCa()
        httpd.root.joinpath("clients.pem").write_bytes(ca.pem)
        asks = f"TLSClientCA {httpd.root}/clients.pem"
        alice = ca.client("alice").write(httpd.root, "alice")
        httpd.start(
            f"TLSEngine {httpd.port}",
            status.LOCATIONS,
            httpd.vhost("a.test", asks, "TLSClientCertificate optional"),
            httpd.vhost("b.test", asks, "TLSClientCertificate required"),
        )
        curl(httpd, "a.test")
        curl(httpd, "a.test", "/", *alice)
        curl(httpd, "b.test")
        report = status.wait_for_report(
            httpd, lambda found: found["handshakes"]["client_certificates"]["refused"], "the refusal"
        )
        counts = report["handshakes"]["client_certificates"]
        assert (counts["missing"], counts["verified"], counts["refused"]) == (1, 1, 1)
        sites = {site["name"]: site["handshakes"] for site in report["sites"]["list"]}
        assert sites["a.test"] == {"full": 2, "resumed": 0, "failed": 0}
        assert sites["b.test"] == {"full": 0, "resumed": 0, "failed": 1}

    def test_04_counts_survive_reloads(self, server):
        visit(server)
        server.graceful()
        report = status.report(server)
        assert report["handshakes"]["full"] == 1 and report["processes"]["generation"] == 1
        assert report["sites"]["list"][0]["handshakes"]["full"] == 1


class TestWhatIf:
    def test_01_version_and_suite(self, server):
        visit(server)
        visit(server, ctx=client(server))
        visit(server, ctx=client(server, "ECDHE-ECDSA-AES128-GCM-SHA256"))
        report = status.report(server)
        assert without(report, "version", "TLSv1.2") == (2, 3)
        assert without(report, "cipher_suite", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") == (1, 3)
        assert without(report, "cipher_suite", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384") == (0, 3)
        assert without(report, "version", "TLSv1.2", "today") == (2, 3)
        assert without(report, "version", "TLSv1.2", "yesterday") == (0, 0)

    def test_02_group(self, server):
        curl(server, "a.test", "/", "--curves", "P-256")
        curl(server, "a.test", "/", "--curves", "P-256:P-384")
        assert without(status.report(server), "group", "secp256r1") == (1, 2)

    def test_03_rsa(self, httpd, authority):
        both = [
            f"TLSCertificate {authority.server('a.test', kind=kind).write(httpd.root, kind)}" for kind in ("rsa2048",)
        ]
        httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test", *both, cert=False))
        visit(httpd)
        visit(httpd, ctx=client(httpd, "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"))
        assert without(status.report(httpd), "certificate", "RSA") == (0, 2)
        visit(httpd, ctx=client(httpd, "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"))
        assert without(status.report(httpd), "certificate", "RSA") == (1, 3)


def hello_with_name(httpd, name):
    """A ClientHello with this server name, which rustls accepts, and nothing else in common with the server."""
    hello = MemoryClient(httpd, "x" * len(name)).hello()
    return hello.replace(b"x" * len(name), name)


class TestFailures:
    def fail(self, httpd, data=b"\x16\x03\x01\x00\x02\x01\x00"):
        with raw_connection(httpd) as sock:
            sock.sendall(data)
            sock.shutdown(1)
            return read_all(sock)

    def test_01_last_failures(self, server):
        name = b"nowhere.test"
        with raw_connection(server) as sock:
            sock.sendall(MemoryClient(server, name.decode()).hello())
            read_all(sock)
        report = status.wait_for_report(server, lambda found: found["failures"]["last"], "the failure")
        (last,) = report["failures"]["last"]
        assert last["code"] == "TLS1201" and last["name"] == "unknown_server_name"
        assert last["server_name"] == "nowhere.test" and last["host"] == "a.test"
        assert last["client"] == "127.0.0.1" and last["alert_sent"] == "unrecognized_name"
        assert "TLSStrictSNI" in last["reason"] and last["mend"]
        assert re.fullmatch(r"t1[23]d\d{4}\w\w_[0-9a-f]{12}_[0-9a-f]{12}", last["ja4"])
        assert abs(time.time() - time.mktime(time.strptime(last["time"], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 60
        assert report["failures"]["reasons"]["unknown_server_name"] == 1
        assert report["failures"]["alerts_sent"]["unrecognized_name"] == 1
        assert report["handshakes"]["failed"] == 1

    def test_02_alert_of_the_client(self, server):
        client = MemoryClient(server, "a.test")
        with raw_connection(server) as sock:
            sock.sendall(client.hello())
            sock.recv(1)
            sock.sendall(struct.pack("!BHHBB", 21, 0x0303, 2, 2, 48))
            read_all(sock)
        report = status.wait_for_report(server, lambda found: found["failures"]["last"], "the failure")
        (last,) = report["failures"]["last"]
        assert last["alert_received"] == "unknown_ca" and not last["alert_sent"]
        assert report["failures"]["alerts_received"]["unknown_ca"] == 1
        assert report["sites"]["list"][0]["handshakes"]["failed"] == 1

    def test_03_the_last_hundred(self, server):
        for _ in range(110):
            self.fail(server)
        report = status.wait_for_report(
            server, lambda found: sum(found["failures"]["reasons"].values()) == 110, "all failures"
        )
        assert len(report["failures"]["last"]) == 100
        times = [last["time"] for last in report["failures"]["last"]]
        assert times == sorted(times, reverse=True)


class TestResponses:
    def head(self, httpd, path, *args):
        _, text = plain_get(httpd, path, "-i", *args)
        head, _, body = text.partition("\n\n")
        lines = head.splitlines()[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body

    def test_01_headers(self, server):
        headers, body = self.head(server, "/tls-status")
        policy = headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([0-9a-f]{32})'", policy)[1]
        assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
        assert f'<style nonce="{nonce}">' in body and f'<script nonce="{nonce}">' in body
        assert nonce not in self.head(server, "/tls-status")[1]
        # No outside resources, and nothing that the policy refuses.
        assert not re.search(r'(src|action)="|href="(?![?#])|style="|url\(|@import|onclick', body)
        headers, _ = self.head(server, "/tls-status?format=json")
        assert headers["content-type"] == "application/json"

    def test_02_methods_and_access(self, httpd):
        httpd.log.expect("AH01630")
        denied = status.LOCATIONS.replace("Require local", "Require all denied")
        httpd.start(
            f"TLSEngine {httpd.port}",
            denied,
            httpd.vhost("a.test", "<Location /s>\nSetHandler tls-status\n</Location>"),
        )
        for path in ("/tls-status", "/tls-status?format=json", "/tls-metrics"):
            assert plain_get(httpd, path)[0] == 403
        response = curl(httpd, "a.test", "/s", "-X", "POST")
        assert response.code == 405 and "GET" in response.headers["allow"]
        assert curl(httpd, "a.test", "/s", "--head").code == 200
        assert "<h1>TLS status</h1>" in curl(httpd, "a.test", "/s", "--http2").text

    def test_03_hostile_text(self, server):
        """Text of clients is data in all formats."""
        for path in (
            "/tls-status?filter=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
            "/tls-status?sort=%3Cb%3E&page=-1&per_page=x",
        ):
            _, body = self.head(server, path)
            assert body.count("<script") == 1 and "<b>" not in body
        assert "alert(1)" in self.head(server, "/tls-status?filter=alert(1)")[1]

    def test_04_processes(self, server):
        processes = status.report(server)["processes"]
        assert set(processes["children"]) == set(server.children())
        assert processes["key_process"] is None or processes["key_process"] > 1


class TestSites:
    def test_01_certificates(self, httpd, authority):
        soon = authority.server("b.test", "*.b.test", days=5).write(httpd.root, "b")
        httpd.start(
            f"TLSEngine {httpd.port}",
            status.LOCATIONS,
            httpd.vhost("a.test"),
            httpd.vhost("b.test", cert=soon),
        )
        sites = status.report(httpd)["sites"]
        assert (sites["total"], sites["matching"], sites["pages"]) == (2, 2, 1)
        first, second = sites["list"]
        assert (first["name"], second["name"]) == ("b.test", "a.test")
        (certificate,) = first["certificates"]
        assert certificate["names"] == ["b.test", "*.b.test"] and certificate["file"] == soon.split()[0]
        assert certificate["key"] == "ECDSA P-256" and certificate["issuer"].startswith("CN=")
        assert certificate["key_in"] in ("tls-keyd", "httpd")
        assert first["days_left"] in (3, 4, 5)
        within = {one["within_days"]: one["sites"] for one in sites["expiring"]}
        assert (within[0], within[1], within[7], within[30]) == (0, 0, 1, 2)
        assert sites["first_expiry"] == certificate["not_after"]

    def test_02_filter_sort_and_pages(self, httpd):
        cert = httpd.authority.server("*.many.test").write(httpd.root, "all")
        hosts = [httpd.vhost(f"h{number:02}.many.test", cert=cert) for number in range(25)]
        httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, *hosts)
        visit(httpd, "h07.many.test")

        def names(query):
            return [site["name"].removesuffix(".many.test") for site in status.report(httpd, query)["sites"]["list"]]

        assert names("&filter=H1") == [f"h1{digit}" for digit in range(10)]
        assert names("&sort=name&order=descending&per_page=2") == ["h24", "h23"]
        assert names("&sort=handshakes&per_page=1") == ["h07"]
        assert names("&sort=name&per_page=10&page=3") == [f"h2{digit}" for digit in range(5)]
        assert names("&sort=name&per_page=10&page=99") == names("&sort=name&per_page=10&page=3")
        assert names("&filter=nothing") == []
        status_code, body = plain_get(httpd, "/tls-status?sort=name&per_page=10&page=2")
        assert status_code == 200 and 'rel="next"' in body and "Page 2 of 3" in body
        assert 'aria-sort="ascending"' in body

    def test_03_without_a_certificate(self, httpd):
        httpd.log.expect("no certificate")
        httpd.start(
            f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test"), httpd.vhost("bare.test", cert=False)
        )
        sites = status.report(httpd)["sites"]
        assert (sites["total"], sites["without_certificate"]) == (2, 1)
        bare = sites["list"][0]
        assert bare["name"] == "bare.test" and bare["unavailable"]
        assert bare["certificates"] == [] and bare["days_left"] is None
        assert "requests are answered with 503" in plain_get(httpd, "/tls-status")[1]

    def test_04_staples(self, httpd, authority, test_module):
        issued = authority.server("a.test")
        files = {"fresh": authority.ocsp_response(issued), "stale": authority.ocsp_response(issued, -9, 7)}
        hosts = []
        for name, response in files.items():
            httpd.root.joinpath(name).write_bytes(response)
            cert = issued.write(httpd.root, name)
            hosts.append(httpd.vhost("a.test", f"TestOcspResponse {httpd.root}/{name}", cert=cert))
        stapled = None
        for number, host in enumerate(hosts):
            httpd.configure(test_module, f"TLSEngine {httpd.port}", status.LOCATIONS, host)
            httpd.start() if number == 0 else httpd.graceful()
            visit(httpd)
            report = status.report(httpd)
            stapled = report["sites"]["list"][0]["staple"]
            assert stapled["stale"] == (number == 1) == (stapled["next_update"] < time.time())
            assert report["handshakes"]["stale_staples"] == number
        assert stapled["next_update"] - stapled["this_update"] == 7 * 86400
        assert ": it is stale" in plain_get(httpd, "/tls-status")[1]
        series = 'mod_tls_site_staple_next_update_timestamp_seconds{site="a.test"}'
        assert status.metrics(httpd, "?sites=on")[series] == stapled["next_update"]

    def test_05_ten_thousand(self, httpd):
        """The page, the JSON and the metrics take at most 100 ms, also with a filter and in every order."""
        cert = httpd.authority.server("*.many.test").write(httpd.root, "all")
        hosts = [httpd.vhost(f"h{number:05}.many.test", cert=cert) for number in range(10_000)]
        httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, *hosts)
        assert status.report(httpd)["sites"]["total"] == 10_000
        for path in (
            "/tls-status",
            "/tls-status?format=json&sort=name",
            "/tls-status?sort=failures&filter=77",
            "/tls-status?filter=*.many.test",
            "/tls-metrics",
        ):
            assert min(duration(httpd, path) for _ in range(10)) < 0.1, path

    def test_06_filter_by_names_of_certificates(self, httpd, authority):
        cert = authority.server("a.test", "Shop.a.test", "192.0.2.7", "2001:db8::7").write(httpd.root, "a")
        httpd.start(
            f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test", cert=cert), httpd.vhost("b.test")
        )
        for text in ("shop.A", "192.0.2.7", "2001:db8::7"):
            sites = status.report(httpd, f"&filter={text}")["sites"]
            assert [site["name"] for site in sites["list"]] == ["a.test"] and sites["matching"] == 1, text
        # The issuer's name is in the certificates, too.
        assert status.report(httpd, "&filter=test%20ca")["sites"]["matching"] == 0
        assert status.report(httpd, "&filter=192.0.2.8")["sites"]["matching"] == 0


class TestSessionCache:
    def test_01_stores_and_lookups(self, httpd):
        """TLS 1.2 sessions without tickets are in the cache."""
        httpd.start(f"TLSEngine {httpd.port}", "TLSSessionTickets off", status.LOCATIONS, httpd.vhost("a.test"))
        ctx = client(httpd)
        session = visit(httpd, ctx=ctx)
        visit(httpd, ctx=ctx, session=session)
        sessions = status.report(httpd)["sessions"]
        assert [sessions[name] for name in ("stored", "not_stored", "found", "not_found")] == [1, 0, 1, 0]
        metrics = status.metrics(httpd)
        assert metrics['mod_tls_session_cache_stores_total{result="success"}'] == 1
        assert metrics['mod_tls_session_cache_lookups_total{result="hit"}'] == 1
        assert ": 1 stored, 0 not stored, 1 found, 0 not found" in plain_get(httpd, "/tls-status")[1]


class TestNotCounting:
    """TLSCounters off."""

    def test_01_nothing_is_counted(self, httpd):
        httpd.log.expect("TLS1")
        httpd.start(f"TLSEngine {httpd.port}", "TLSCounters off", status.LOCATIONS, httpd.vhost("a.test"))
        visit(httpd)
        with raw_connection(httpd) as garbage:
            garbage.sendall(b"garbage")
            read_all(garbage)
        report = status.report(httpd)
        assert not report["counting"] and report["handshakes"]["full"] == 0
        assert report["failures"]["last"] == [] and not any(report["failures"]["reasons"].values())
        assert report["sites"]["list"][0]["certificates"][0]["names"]
        assert "Nothing is counted" in plain_get(httpd, "/tls-status")[1]

    def test_02_by_a_reload(self, httpd):
        lines = [f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test")]
        httpd.start(*lines)
        visit(httpd)
        httpd.configure("TLSCounters off", *lines)
        httpd.graceful()
        visit(httpd)
        httpd.configure(*lines)
        httpd.graceful()
        visit(httpd)
        report = status.report(httpd)
        assert report["counting"] and report["handshakes"]["full"] == 2


def duration(httpd, path):
    """The seconds that a request takes."""
    url = f"http://127.0.0.1:{httpd.plain_port}{path}"
    start = time.monotonic()
    with urllib.request.urlopen(url) as response:
        response.read()
    return time.monotonic() - start
