# SPDX-License-Identifier: Apache-2.0
"""Server names: which virtual host serves a client."""

import ssl

import pytest

from harness.clients import (
    MemoryClient,
    connect,
    context,
    curl,
    plaintext_alert,
    raw_connection,
    read_all,
    request,
    s_client,
)

UNRECOGNIZED_NAME = 112
HANDSHAKE_FAILURE = 40


def engine(httpd, *lines):
    return [f"TLSEngine {httpd.port}", *lines]


def name_header(name):
    return f'Header always set X-Host "{name}"'


def subject(session):
    return (session.subject or "").replace(" ", "")


class TestNames:
    def test_01_by_name_alias_and_wildcard(self, httpd, authority):
        wild = authority.server("*.wild.test", "wild.test").write(httpd.root, "wild")
        b = authority.server("b.test", "also-b.test").write(httpd.root, "b")
        httpd.start(
            *engine(
                httpd,
                httpd.vhost("a.test", name_header("a")),
                httpd.vhost("b.test", "ServerAlias also-b.test", name_header("b"), cert=b),
                httpd.vhost("wild.test", "ServerAlias *.wild.test", name_header("wild"), cert=wild),
            )
        )
        for host, expected in [("a.test", "a"), ("b.test", "b"), ("also-b.test", "b"), ("x.wild.test", "wild")]:
            response = curl(httpd, host)
            assert (response.code, response.headers["x-host"]) == (200, expected), host
        assert curl(httpd, "A.TEST").headers["x-host"] == "a"

    def test_02_without_a_name_the_first_host(self, httpd):
        httpd.start(*engine(httpd, httpd.vhost("first.test"), httpd.vhost("b.test")))
        session = s_client(httpd)
        assert subject(session) == "CN=first.test"
        assert session.protocol == "TLSv1.3"

    def test_03_by_port(self, httpd, ports):
        other = ports.take()
        httpd.start(
            *engine(
                httpd,
                f"Listen {other}",
                f"TLSEngine {other}",
                httpd.vhost("a.test", name_header("one")),
                httpd.vhost("a.test", name_header("two"), port=other),
            )
        )
        assert curl(httpd, "a.test").headers["x-host"] == "one"
        assert curl(httpd, "a.test", port=other).headers["x-host"] == "two"

    def test_04_by_address(self, httpd, authority):
        cert = authority.server("127.0.0.2", "a.test").write(httpd.root, "ip")
        httpd.start(
            *engine(
                httpd,
                httpd.vhost("a.test", name_header("one"), address="127.0.0.1"),
                httpd.vhost("a.test", name_header("two"), address="127.0.0.2", cert=cert),
            )
        )
        assert curl(httpd, "a.test").headers["x-host"] == "one"
        assert curl(httpd, "a.test", address="127.0.0.2").headers["x-host"] == "two"
        assert curl(httpd, "127.0.0.2", address="127.0.0.2").headers["x-host"] == "two"

    def test_05_the_base_server(self, httpd, authority):
        cert = authority.server("localhost").write(httpd.root, "base")
        httpd.start(*engine(httpd, f"TLSCertificate {cert}"))
        assert curl(httpd, "localhost").text == "hello"

    def test_06_many_hosts(self, httpd, authority):
        cert = authority.server("*.many.test").write(httpd.root, "many")
        hosts = [httpd.vhost(f"h{i}.many.test", name_header(i), cert=cert) for i in range(300)]
        httpd.start(*engine(httpd, *hosts))
        for i in (0, 150, 299):
            assert curl(httpd, f"h{i}.many.test").headers["x-host"] == str(i)


class TestStrict:
    def alert_for(self, httpd, name):
        with raw_connection(httpd) as sock:
            sock.sendall(MemoryClient(httpd, name).hello())
            return plaintext_alert(read_all(sock))

    @pytest.mark.parametrize("lines", [[], ["TLSStrictSNI on"]])
    def test_01_unknown_names_are_refused(self, httpd, lines):
        httpd.start(*engine(httpd, *lines, httpd.vhost("a.test")))
        assert self.alert_for(httpd, "unknown.test") == UNRECOGNIZED_NAME
        assert curl(httpd, "a.test").code == 200

    def test_02_off_gives_the_default_host(self, httpd):
        httpd.start(*engine(httpd, "TLSStrictSNI off", httpd.vhost("first.test"), httpd.vhost("b.test")))
        assert subject(s_client(httpd, name="unknown.test")) == "CN=first.test"


class TestRequests:
    """Requests for another virtual host than that of the handshake (RFC 9110 section 7.4)."""

    def hosts(self, httpd, authority, *names, line=""):
        """a.test, whose certificate also covers `names`, and b.test and c.test with their own certificates. `line` is
        added to b.test."""
        cert = authority.server("a.test", *names).write(httpd.root, "shared")
        wild = authority.server("c.test", "*.c.test").write(httpd.root, "wild")
        return [
            httpd.vhost("a.test", name_header("a"), cert=cert),
            httpd.vhost("b.test", name_header("b"), line),
            httpd.vhost("c.test", name_header("c"), "ServerAlias *.c.test", cert=wild),
        ]

    def test_01_a_certificate_for_both_shares_a_connection(self, httpd, authority):
        """Browsers coalesce HTTP/2 connections like this (RFC 9113 section 9.1.1)."""
        httpd.start(*engine(httpd, "Protocols h2 http/1.1", *self.hosts(httpd, authority, "b.test", "*.c.test")))
        for version in ("--http1.1", "--http2"):
            for host, answered in (("b.test", "b"), ("www.c.test", "c")):
                response = curl(httpd, host, "/", version, connect="a.test")
                assert (response.code, response.headers["x-host"]) == (200, answered)

    def test_05_a_certificate_for_one_is_421(self, httpd, authority):
        """The other settings of the virtual hosts do not matter."""
        httpd.start(*engine(httpd, "Protocols h2 http/1.1", *self.hosts(httpd, authority)))
        for version in ("--http1.1", "--http2"):
            assert curl(httpd, "b.test", "/", version, connect="a.test").code == 421
            assert curl(httpd, "a.test", "/", version, connect="b.test").code == 421
        assert (
            httpd.log.text().count("whose certificate does not cover the name or whose TLS settings differ: 421") == 4
        )

    def test_06_what_was_presented_counts(self, httpd, authority):
        """Another certificate of the virtual host, which the client did not see, does not count."""
        shared = authority.server("a.test", "b.test", kind="rsa2048").write(httpd.root, "shared")
        own = authority.server("a.test").write(httpd.root, "own")
        a = httpd.vhost("a.test", f"TLSCertificate {own}", f"TLSCertificate {shared}", cert=False)
        httpd.start(*engine(httpd, a, httpd.vhost("b.test")))
        rsa = ["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"]
        assert curl(httpd, "b.test", "/", connect="a.test").code == 421
        assert curl(httpd, "b.test", "/", *rsa, connect="a.test").code == 200

    def test_07_resumed_connections(self, httpd, authority):
        httpd.start(*engine(httpd, *self.hosts(httpd, authority, "b.test")))
        session = httpd.root / "session"
        s_client(httpd, "-sess_out", str(session), name="a.test", send=request("a.test"))
        for host, code in (("b.test", b"200"), ("c.test", b"421")):
            resumed = s_client(httpd, "-sess_in", str(session), name="a.test", send=request(host))
            assert resumed.reused and f"HTTP/1.1 {code.decode()}" in resumed.output

    def test_08_without_server_name(self, httpd, authority):
        """The connection belongs to the first virtual host of the address, as do requests for unknown names."""
        httpd.start(*engine(httpd, *self.hosts(httpd, authority, "b.test")))
        for host, code, answered in (("b.test", 200, "b"), ("c.test", 421, None), ("unknown.test", 200, "a")):
            output = s_client(httpd, send=request(host)).output
            assert f"HTTP/1.1 {code} " in output and (not answered or f"X-Host: {answered}" in output)

    @pytest.mark.parametrize("line", ["TLSProtocol TLSv1.3+", "TLSHonorClientOrder off", "TLSSessionTickets off"])
    def test_02_other_settings_are_421(self, httpd, authority, line):
        httpd.start(*engine(httpd, *self.hosts(httpd, authority, "b.test", line=line)))
        assert curl(httpd, "b.test", connect="a.test").code == 421
        assert curl(httpd, "b.test").code == 200

    def test_03_an_unknown_host_is_for_the_first_one(self, httpd, authority):
        httpd.start(*engine(httpd, "Protocols h2 http/1.1", *self.hosts(httpd, authority)))
        for version in ("--http1.1", "--http2"):
            response = curl(httpd, "unknown.test", "/", version, connect="a.test")
            assert (response.code, response.headers["x-host"]) == (200, "a")
            assert curl(httpd, "unknown.test", "/", version, connect="b.test").code == 421

    def test_04_malformed_host(self, httpd):
        httpd.start(*engine(httpd, httpd.vhost("a.test")))
        with connect(httpd, "a.test") as tls:
            tls.sendall(request("a.test/../b"))
            assert read_all(tls).split(b" ")[1] == b"400"


class TestSeveralCertificates:
    def both(self, httpd, authority, first="p256", second="rsa2048"):
        certs = [authority.server("a.test", kind=kind).write(httpd.root, kind) for kind in (first, second)]
        return httpd.vhost("a.test", *(f"TLSCertificate {cert}" for cert in certs), cert=False)

    def key_type(self, httpd, *args):
        session = s_client(httpd, *args, name="a.test")
        return "rsa" if "RSA-PSS" in session.output else "ecdsa" if "ECDSA" in session.output else session.output

    def test_01_by_signature_schemes(self, httpd, authority):
        httpd.start(*engine(httpd, self.both(httpd, authority)))
        assert self.key_type(httpd) == "ecdsa"
        assert self.key_type(httpd, "-sigalgs", "rsa_pss_rsae_sha256:RSA+SHA256") == "rsa"
        assert self.key_type(httpd, "-sigalgs", "ecdsa_secp256r1_sha256") == "ecdsa"

    def test_02_the_first_that_suits(self, httpd, authority):
        httpd.start(*engine(httpd, self.both(httpd, authority, "rsa2048", "p256")))
        assert self.key_type(httpd) == "rsa"

    def test_03_by_cipher_suites_of_tls12(self, httpd, authority):
        httpd.start(*engine(httpd, self.both(httpd, authority)))
        assert self.key_type(httpd, "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256") == "rsa"
        assert self.key_type(httpd, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256") == "ecdsa"

    def test_04_none_suits(self, httpd):
        httpd.start(*engine(httpd, httpd.vhost("a.test")))
        session = s_client(httpd, "-sigalgs", "rsa_pss_rsae_sha256", name="a.test")
        assert session.alert == str(HANDSHAKE_FAILURE), session.output


class TestNoCertificate:
    def test_01_503_and_a_warning(self, httpd):
        httpd.start(*engine(httpd, httpd.vhost("a.test"), httpd.vhost("bare.test", cert=False)))
        httpd.log.expect(r"virtual host bare.test \(.*httpd.conf:\d+\) is on a TLS port but has no certificate")
        assert curl(httpd, "bare.test", "/", "-k").code == 503
        assert curl(httpd, "a.test").code == 200

    def test_02_no_secrets_of_others(self, httpd):
        httpd.start(*engine(httpd, httpd.vhost("a.test"), httpd.vhost("bare.test", cert=False)))
        httpd.log.expect("has no certificate")
        session = s_client(httpd, name="bare.test")
        assert "nocertificateconfigured" in subject(session)

    def test_03_nor_by_host_header(self, httpd):
        httpd.start(*engine(httpd, httpd.vhost("a.test"), httpd.vhost("bare.test", cert=False)))
        httpd.log.expect("has no certificate")
        assert curl(httpd, "bare.test", connect="a.test").code == 503


def test_python_checks_the_name(httpd):
    httpd.start(*engine(httpd, httpd.vhost("a.test"), httpd.vhost("b.test")))
    for name in ("a.test", "b.test"):
        with connect(httpd, name, ctx=context(httpd, ssl.TLSVersion.TLSv1_2)) as tls:
            assert ("DNS", name) in tls.getpeercert()["subjectAltName"]
