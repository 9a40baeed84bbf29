# SPDX-License-Identifier: Apache-2.0
"""Revocation lists that fetch themselves, in unusual cases: servers, reloads, sessions, settings."""

import ssl
import threading

import pytest
from cryptography import x509

from harness.client_certs import DER, SERVER, ClientCa
from harness.clients import connect, context, read_response, request
from harness.fetched_lists import Lists, distribution_point
from harness.httpd import wait_for

SECOND = 1 / 86400
FETCH = ["TLSClientRevocation fetch"]
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@pytest.fixture
def lists(httpd):
    lists = Lists(httpd)
    yield lists
    lists.server.stop()


def host(lists, name, *lines):
    """Another host for the same clients."""
    return lists.httpd.vhost(name, "TLSClientCertificate required", f"TLSClientCA {lists.ca_file}", *lines)


def fetches(lists):
    """How many requests there were."""
    return len(lists.server.requests)


class TestServers:
    def test_01_huge(self, httpd, lists):
        httpd.log.expect(r"longer than 33554432 bytes.*\[TLS1306\]")
        httpd.log.allow("could not be fetched")
        lists.server.documents["/huge.crl"] = b"0" * (33 << 20), None
        lists.start(own=FETCH)
        assert lists.code(lists.client(lists.server.url("huge.crl"))) == 0

    def test_02_older_list(self, httpd, lists):
        """Somebody who sends an earlier list does not make a revoked certificate good."""
        httpd.log.expect("could not be fetched: it is older than the one of before")
        httpd.log.allow("TLS1305|could not be fetched")
        bad, good = lists.client(), lists.client()
        lists.publish(bad[0], days=20 * SECOND, start=0)
        lists.start(own=FETCH)
        assert [lists.code(good), lists.code(bad)] == [200, 0]
        lists.publish()
        wait_for(lambda: "older than the one of before" in httpd.log.text(), "the message")
        assert [lists.code(good), lists.code(bad)] == [200, 0]

    def test_03_list_from_the_future(self, httpd, lists):
        httpd.log.expect(r"it is from the future.*\[TLS1306\]")
        httpd.log.allow("could not be fetched|TLS3001")
        lists.publish(start=1)
        lists.start(own=FETCH)
        client = lists.client()
        assert lists.code(client) == 0
        # It does not keep out those of the CA.
        lists.publish()
        wait_for(lambda: lists.code(client) == 200, "the list")

    def test_04_expired_and_not_modified(self, httpd, lists):
        """A server that has no newer list than the one that has expired."""
        httpd.log.expect("could not be fetched: it has expired: the CA has to publish its current CRL there")
        httpd.log.allow("TLS1307|TLS3001")
        client = lists.client()
        lists.publish(days=6 * SECOND, start=0)
        lists.start(own=FETCH)
        assert lists.code(client) == 200
        wait_for(lambda: lists.code(client) == 0, "the end of the list")
        wait_for(lambda: "it has expired" in httpd.log.text(), "the message")
        lists.publish(start=0)
        wait_for(lambda: lists.code(client) == 200, "the current list")

    def test_05_mirrors(self, httpd, lists):
        """A certificate names two lists. The second one is enough, if the first one cannot be fetched."""
        httpd.log.allow("could not be fetched")
        points = [lists.server.url("stall"), lists.url]
        names = [x509.UniformResourceIdentifier(url) for url in points]
        extension = x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)])
        issued = lists.ca.client("alice", extensions=[extension])
        lists.start(own=FETCH)
        assert lists.code((issued, issued.write(httpd.root, "alice"))) == 200

    def test_06_named_list_is_enough(self, httpd, lists):
        """The list of the configuration covers the certificate. The one that it names is not asked for."""
        lists.start(own=[f"TLSClientRevocation fetch {lists.url}"])
        wait_for(lambda: fetches(lists), "the list")
        assert lists.code(lists.client(lists.server.url("stall"))) == 200
        assert [one[1] for one in lists.server.requests] == ["/ca.crl"]

    def test_07_restart_while_the_server_does_not_answer(self, httpd, lists):
        """The list on disk is old, but good: nobody waits for a newer one."""
        httpd.log.allow("could not be fetched")
        url = lists.server.url("stall")
        lists.publish(path="/stall", start=-6)
        client = lists.client(url)
        lists.start(own=FETCH, timeout=120)
        assert lists.code(client) == 200
        httpd.stop()
        del lists.server.documents["/stall"]
        httpd.start()
        assert lists.code(client) == 200

    def test_08_reload_while_it_is_fetched(self, httpd, lists):
        """What became of a list that nobody keeps any longer is forgotten."""
        httpd.log.expect("could not be fetched: no answer")
        httpd.log.allow("TLS1306|TLS3001")
        client = lists.client(lists.server.url("stall"))
        lists.start(own=FETCH)
        waiting = threading.Thread(target=lists.code, args=(client,))
        waiting.start()
        wait_for(lambda: fetches(lists), "the request")
        httpd.graceful()
        waiting.join()
        wait_for(lambda: "could not be fetched" in httpd.log.text(), "the end of the request")
        lists.publish(path="/stall")
        wait_for(lambda: lists.code(client) == 200, "the list")


class TestSettings:
    def test_01_no_crl_for_cert_ok(self, httpd, lists):
        """It excuses certificates that name no list, and no list that cannot be fetched."""
        httpd.log.expect(r"404.*\[TLS1306\]")
        httpd.log.expect(r"names no revocation list.*\[TLS1306\]")
        httpd.log.allow("could not be fetched")
        other = httpd.root / "other.crl"
        other.write_bytes(ClientCa("Another").crl())
        ok = "TLSClientCRLCheck chain no_crl_for_cert_ok"
        lists.start(
            host(lists, "b.test", *FETCH, ok),
            host(lists, "c.test", *FETCH, ok, f"TLSClientCRL {other}"),
            own=FETCH,
        )
        names = ["a.test", "b.test", "c.test"]
        nothing, lost = lists.client(""), lists.client(lists.server.url("error-404"))
        assert [lists.code(nothing, name) for name in names] == [0, 200, 200]
        assert [lists.code(lost, name) for name in names] == [0, 0, 0]

    def test_02_check_is_off(self, httpd, lists):
        httpd.log.expect("TLSClientCRLCheck none: the revocation lists of TLSClientRevocation are not used")
        bad = lists.client()
        lists.publish(bad[0])
        lists.start(own=[*FETCH, "TLSClientCRLCheck none"])
        assert lists.code(bad) == 200
        assert fetches(lists) == 0

    def test_03_inherited_and_off(self, httpd, lists):
        httpd.log.expect(r"\[TLS1305\]")
        bad = lists.client()
        lists.publish(bad[0])
        lists.start(*FETCH, host(lists, "b.test", "TLSClientRevocation off"))
        assert [lists.code(bad), lists.code(bad, "b.test")] == [0, 200]

    @pytest.mark.parametrize("directive", ["TLSClientRevocation", "TLSProxyRevocation"])
    @pytest.mark.parametrize(
        "words, why",
        [
            ("on", "takes off or fetch"),
            ("off http://ca.test/a.crl", "takes off or fetch"),
            ("fetch softfail", 'fetch takes soft-fail and URLs that begin with http:// or https://, not "softfail"'),
            ("fetch ldap://ca.test/", 'not "ldap://ca.test/"'),
        ],
    )
    def test_04_mistakes(self, httpd, directive, words, why):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"{directive} {words}"))
        status, text = httpd.configtest()
        assert status != 0 and directive in text and why in text

    def test_05_dump(self, httpd, lists):
        httpd.configure(
            f"TLSEngine {httpd.port}",
            host(lists, "a.test", f"TLSClientRevocation fetch soft-fail {lists.url}"),
            host(lists, "b.test"),
            httpd.vhost("c.test", "TLSProxyEngine on", f"TLSProxyCA {lists.ca_file}", "TLSProxyRevocation fetch"),
        )
        status, text = httpd.configtest("DUMP_TLS")
        lines = [line.split(None, 2)[2] for line in text.splitlines() if "Fetched lists" in line]
        assert status == 0 and sorted(lines) == ["fetch", f"fetch soft-fail {lists.url}"], text
        assert fetches(lists) == 0


class TestSessions:
    @VERSIONS
    def test_01_revocation_ends_them(self, httpd, lists, version):
        """A newer list counts for clients whose sessions were resumed, without a reload."""
        httpd.log.expect("it is on the revocation list")
        httpd.log.allow("TLS1305|TLS1307|could not be fetched")
        issued, (_, cert, _, key) = lists.client()
        lists.publish(days=8 * SECOND, start=0)
        lists.start(own=FETCH)
        ctx = context(httpd, version)
        ctx.load_cert_chain(cert, key)

        def visit(session=None):
            with connect(httpd, "a.test", ctx=ctx, session=session) as tls:
                tls.sendall(request("a.test", close=True))
                with tls.makefile("rb") as stream:
                    return read_response(stream)[0], tls.session, tls.session_reused

        status, session, _ = visit()
        assert status == 200
        assert visit(session)[::2] == (200, True)
        lists.publish(issued, start=0)

        def refused():
            try:
                return visit(session)[0] == 403
            except (ssl.SSLError, ConnectionError, IndexError):
                return True

        wait_for(refused, "the end of the session")


class TestBackends:
    def test_01_lists_of_cas(self, httpd, lists, ports):
        """What a CA in TLSProxyCA names is fetched before there is a request."""
        extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (distribution_point(lists.url), False)]
        middle = ClientCa("Middle", lists.ca, extensions=extensions)
        lists.ca_file.write_bytes(lists.ca.pem + middle.pem)
        lists.server.documents["/middle.crl"] = middle.crl(encoding=DER), None
        port = ports.take()
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        points = distribution_point(lists.server.url("middle.crl"))
        cert = middle.client("backend", usages=SERVER, extensions=[points, names]).write(httpd.root, "backend")
        httpd.start(
            f"TLSEngine {httpd.port}",
            "TLSStrictSNI off",
            f"Listen {port}",
            f"TLSEngine {port}",
            httpd.vhost("backend.test", cert=f"{cert[1]} {cert[3]}", port=port),
            httpd.vhost(
                "a.test",
                "TLSProxyEngine on",
                f"TLSProxyCA {lists.ca_file}",
                "TLSProxyRevocation fetch",
                f"ProxyPass / https://localhost:{port}/",
            ),
            modules=["proxy", "proxy_http"],
        )
        httpd.log.allow("is not covered by")
        wait_for(lambda: "/ca.crl" in [one[1] for one in lists.server.requests], "the list that the CA names")
