# SPDX-License-Identifier: Apache-2.0
"""Cipher suites."""

import pytest

from harness.clients import curl, s_client
from harness.httpd import CRYPTO

TLS12_SUITES = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
TLS13_SUITES = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
if CRYPTO == "fips":
    TLS12_SUITES = [name for name in TLS12_SUITES if "AES" in name]
    TLS13_SUITES = [name for name in TLS13_SUITES if "AES" in name]

HANDSHAKE_FAILURE, PROTOCOL_VERSION = "40", "70"


def test_01_all_suites(start_both):
    client = start_both()
    for suite in TLS12_SUITES:
        assert client("-tls1_2", "-cipher", suite).cipher == suite
    for suite in TLS13_SUITES:
        assert client("-tls1_3", "-ciphersuites", suite).cipher == suite


def test_02_no_common_suite(start_both):
    assert start_both()("-tls1_2", "-cipher", "AES128-SHA").alert == HANDSHAKE_FAILURE


def test_03_the_clients_order_counts(start_both):
    client = start_both("TLSCiphersPrefer TLS_CHACHA20_POLY1305_SHA256")
    suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
    assert client("-tls1_3", "-ciphersuites", suites).cipher == "TLS_AES_128_GCM_SHA256"


@pytest.mark.parametrize(
    "name",
    ["TLS_CHACHA20_POLY1305_SHA256", "TLS13_CHACHA20_POLY1305_SHA256", "TLS_CIPHER_0x1303", "tls_cipher_0X1303"],
)
def test_04_ours_counts(start_both, name):
    client = start_both("TLSHonorClientOrder off", f"TLSCiphersPrefer {name}")
    suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
    assert client("-tls1_3", "-ciphersuites", suites).cipher == "TLS_CHACHA20_POLY1305_SHA256"


def test_05_lists_in_every_form(start_both):
    client = start_both(
        "TLSHonorClientOrder off",
        "TLSCiphersPrefer ECDHE-RSA-AES128-GCM-SHA256:TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 \\",
        "    TLS_AES_128_GCM_SHA256",
    )
    assert client("-tls1_2").cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert client("-tls1_3").cipher == "TLS_AES_128_GCM_SHA256"


def test_06_default_order(start_both):
    client = start_both("TLSHonorClientOrder off")
    assert client("-tls1_2").cipher == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert client("-tls1_3").cipher == "TLS_AES_256_GCM_SHA384"


def test_07_suppressed(start_both):
    client = start_both("TLSCiphersSuppress TLS_AES_256_GCM_SHA384 TLS_NULL_WITH_NULL_NULL")
    assert client("-tls1_3").cipher != "TLS_AES_256_GCM_SHA384"
    assert client("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384").alert == HANDSHAKE_FAILURE


def test_08_unsupported_is_a_warning(httpd, start_both):
    start_both("TLSCiphersPrefer TLS_NULL_WITH_NULL_NULL")
    httpd.log.expect(r"httpd.conf:\d+: TLSCiphersPrefer: TLS_NULL_WITH_NULL_NULL is known but not supported")
    assert curl(httpd, "a.test").code == 200


def test_09_nothing_left(httpd):
    everything = ":".join(TLS12_SUITES + TLS13_SUITES)
    httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TLSCiphersSuppress {everything}"))
    status, text = httpd.configtest()
    assert status != 0 and "leaves no cipher suite" in text


def test_10_a_version_without_suites_is_given_up(httpd, start_both):
    client = start_both(f"TLSCiphersSuppress {':'.join(TLS13_SUITES)}")
    httpd.log.expect("leaves no cipher suite of TLSv1.3")
    assert client("-tls1_3").alert == PROTOCOL_VERSION
    assert client("-tls1_2").protocol == "TLSv1.2"


def test_11_a_host_may_suppress_what_the_server_prefers(httpd):
    httpd.start(
        f"TLSEngine {httpd.port}",
        "TLSHonorClientOrder off",
        "TLSCiphersPrefer TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_GCM_SHA256",
        httpd.vhost("a.test", "TLSCiphersSuppress TLS_CHACHA20_POLY1305_SHA256"),
    )
    assert s_client(httpd, "-tls1_3", name="a.test").cipher == "TLS_AES_128_GCM_SHA256"
