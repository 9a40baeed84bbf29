# SPDX-License-Identifier: Apache-2.0
"""Protocol versions and cipher suites."""

import pytest

from harness.clients import curl, s_client

TLS12_SUITES = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
TLS13_SUITES = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
GROUPS = ["X25519", "P-256", "P-384"]

HANDSHAKE_FAILURE, PROTOCOL_VERSION, INAPPROPRIATE_FALLBACK = "40", "70", "86"


@pytest.fixture
def start(httpd, authority):
    def start(*lines, **options):
        certs = [authority.server("a.test", kind=kind).write(httpd.root, kind) for kind in ("p256", "rsa2048")]
        host = httpd.vhost("a.test", *(f"TLSCertificate {cert}" for cert in certs), *lines, cert=False)
        httpd.start(f"TLSEngine {httpd.port}", host, **options)
        return lambda *args: s_client(httpd, *args, name="a.test")

    return start


class TestVersions:
    @pytest.mark.parametrize(
        "line, has12, has13",
        [
            ("", True, True),
            ("TLSProtocol default", True, True),
            ("TLSProtocol TLSv1.2+", True, True),
            ("TLSProtocol v1.2+", True, True),
            ("TLSProtocol TLSv0x0303+", True, True),
            ("TLSProtocol TLSv1.3+", False, True),
            ("TLSProtocol TLSv0x0304+", False, True),
            ("TLSProtocol TLSv1.2", True, False),
            ("TLSProtocol TLSv1.2 TLSv1.3", True, True),
            ("TLSProtocol TLSv1.2-TLSv1.3", True, True),
        ],
    )
    def test_01_forms(self, start, line, has12, has13):
        client = start(line)
        assert client("-tls1_2").protocol == ("TLSv1.2" if has12 else None)
        assert client("-tls1_3").protocol == ("TLSv1.3" if has13 else None)

    def test_02_older_clients_learn_why(self, start):
        assert start()("-tls1_1", "-cipher", "ALL@SECLEVEL=0").alert == PROTOCOL_VERSION

    def test_03_no_common_version(self, start):
        assert start("TLSProtocol TLSv1.3+")("-tls1_2").alert == PROTOCOL_VERSION

    def test_04_fallback_is_refused(self, start):
        client = start()
        assert client("-tls1_2", "-fallback_scsv").alert == INAPPROPRIATE_FALLBACK
        assert client("-tls1_3", "-fallback_scsv").protocol == "TLSv1.3"

    def test_05_fallback_to_the_newest_is_none(self, start):
        assert start("TLSProtocol TLSv1.2")("-tls1_2", "-fallback_scsv").protocol == "TLSv1.2"

    def test_06_older_minimum_is_a_notice(self, httpd, start):
        assert start("TLSProtocol TLSv1.0+")("-tls1_2").protocol == "TLSv1.2"
        assert "older than TLSv1.2" in httpd.log.text()


class TestCiphers:
    def test_01_all_suites(self, start):
        client = start()
        for suite in TLS12_SUITES:
            assert client("-tls1_2", "-cipher", suite).cipher == suite
        for suite in TLS13_SUITES:
            assert client("-tls1_3", "-ciphersuites", suite).cipher == suite

    def test_02_no_common_suite(self, start):
        assert start()("-tls1_2", "-cipher", "AES128-SHA").alert == HANDSHAKE_FAILURE

    def test_03_the_clients_order_counts(self, start):
        client = start("TLSCiphersPrefer TLS_CHACHA20_POLY1305_SHA256")
        suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
        assert client("-tls1_3", "-ciphersuites", suites).cipher == "TLS_AES_128_GCM_SHA256"

    @pytest.mark.parametrize(
        "name",
        ["TLS_CHACHA20_POLY1305_SHA256", "TLS13_CHACHA20_POLY1305_SHA256", "TLS_CIPHER_0x1303", "tls_cipher_0X1303"],
    )
    def test_04_ours_counts(self, start, name):
        client = start("TLSHonorClientOrder off", f"TLSCiphersPrefer {name}")
        suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
        assert client("-tls1_3", "-ciphersuites", suites).cipher == "TLS_CHACHA20_POLY1305_SHA256"

    def test_05_lists_in_every_form(self, start):
        client = start(
            "TLSHonorClientOrder off",
            "TLSCiphersPrefer ECDHE-RSA-AES128-GCM-SHA256:TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 \\",
            "    TLS_AES_128_GCM_SHA256",
        )
        assert client("-tls1_2").cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
        assert client("-tls1_3").cipher == "TLS_AES_128_GCM_SHA256"

    def test_06_default_order(self, start):
        client = start("TLSHonorClientOrder off")
        assert client("-tls1_2").cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
        assert client("-tls1_3").cipher == "TLS_AES_256_GCM_SHA384"

    def test_07_suppressed(self, start):
        client = start("TLSCiphersSuppress TLS_AES_256_GCM_SHA384 TLS_NULL_WITH_NULL_NULL")
        assert client("-tls1_3").cipher != "TLS_AES_256_GCM_SHA384"
        assert client("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384").alert == HANDSHAKE_FAILURE

    def test_08_unsupported_is_a_warning(self, httpd, start):
        start("TLSCiphersPrefer TLS_NULL_WITH_NULL_NULL")
        httpd.log.expect(r"httpd.conf:\d+: TLSCiphersPrefer: TLS_NULL_WITH_NULL_NULL is known but not supported")
        assert curl(httpd, "a.test").code == 200

    def test_09_nothing_left(self, httpd):
        everything = ":".join(TLS12_SUITES + TLS13_SUITES)
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TLSCiphersSuppress {everything}"))
        status, text = httpd.configtest()
        assert status != 0 and "leaves no cipher suite" in text

    def test_11_a_host_may_suppress_what_the_server_prefers(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            "TLSHonorClientOrder off",
            "TLSCiphersPrefer TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_GCM_SHA256",
            httpd.vhost("a.test", "TLSCiphersSuppress TLS_CHACHA20_POLY1305_SHA256"),
        )
        assert s_client(httpd, "-tls1_3", name="a.test").cipher == "TLS_AES_128_GCM_SHA256"

    def test_10_a_version_without_suites_is_given_up(self, httpd, start):
        client = start(f"TLSCiphersSuppress {':'.join(TLS13_SUITES)}")
        httpd.log.expect("leaves no cipher suite of TLSv1.3")
        assert client("-tls1_3").alert == PROTOCOL_VERSION
        assert client("-tls1_2").protocol == "TLSv1.2"


class TestGroups:
    @pytest.mark.parametrize("group", GROUPS)
    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_01_all(self, start, group, version):
        session = start()(version, "-groups", group)
        assert session.protocol, session.output

    def test_02_none_in_common(self, start):
        assert start()("-tls1_3", "-groups", "X448").alert == HANDSHAKE_FAILURE

    def test_03_a_second_hello_is_asked_for(self, start):
        """A client that guesses a group that we do not have is told which one to use."""
        assert start()("-tls1_3", "-groups", "X448:P-384").protocol == "TLSv1.3"
