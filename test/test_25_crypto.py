# SPDX-License-Identifier: Apache-2.0
"""Cryptographic libraries: their algorithms, and what the module reports about them."""

import re
from pathlib import Path

import pytest

from harness.clients import curl, s_client
from harness.httpd import CRYPTO

LIBRARY = {"aws-lc": r"aws-lc-rs/[0-9.]+$", "ring": r"ring/[0-9.]+$", "fips": r"aws-lc-rs/[0-9.]+-fips$"}
KEYS = {
    "p256": ("ECDSA", "SHA256"),
    "p384": ("ECDSA", "SHA384"),
    "p521": ("ECDSA", "SHA512"),
    "ed25519": ("ed25519", None),
    "rsa2048": ("RSA-PSS", "SHA512"),
}
if CRYPTO == "ring":
    del KEYS["p521"]
CONFIGURE = Path(__file__).resolve().parent.parent / "configure.ac"
VERSION = re.search(r"AC_INIT\(\[mod_tls\], \[(.+)\]\)", CONFIGURE.read_text())[1]


def test_01_says_what_it_is(httpd):
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", 'Header set X-Library "%{SSL_VERSION_LIBRARY}s"'))
    library = curl(httpd, "a.test").headers["x-library"]
    assert re.search(LIBRARY[CRYPTO], library)
    assert f"mod_tls/{VERSION}, {library}" in httpd.configtest("DUMP_TLS")[1]
    assert re.search(rf"tls: .*{re.escape(library)}", httpd.log.text())


def test_02_says_whose_aes_it_is(httpd):
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    cpu = set(flags.group(1).split()) if flags else set()
    short_vectors = {"avx2", "vaes", "vpclmulqdq"} <= cpu and "avx512f" not in cpu
    httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
    assert ("AES-GCM: ring's" in httpd.configtest("DUMP_TLS")[1]) == (CRYPTO == "aws-lc" and short_vectors)


class TestSignatures:
    @pytest.mark.parametrize("kind", KEYS)
    def test_01_of_each_kind_of_key(self, httpd, authority, kind):
        cert = authority.server("a.test", kind=kind).write(httpd.root, kind)
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=cert))
        algorithm, digest = KEYS[kind]
        session = s_client(httpd, "-tls1_3", name="a.test")
        assert f"Peer signature type: {algorithm}" in session.output
        assert not digest or f"Peer signing digest: {digest}" in session.output

    @pytest.mark.parametrize(
        "offered,expected",
        [
            ("rsa_pss_rsae_sha256:rsa_pss_rsae_sha384", "SHA384"),
            ("rsa_pss_rsae_sha256", "SHA256"),
        ],
    )
    def test_02_best_that_the_client_has(self, httpd, authority, offered, expected):
        cert = authority.server("a.test", kind="rsa2048").write(httpd.root, "rsa")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=cert))
        session = s_client(httpd, "-tls1_3", "-sigalgs", f"{offered}:ecdsa_secp256r1_sha256", name="a.test")
        assert "Peer signature type: RSA-PSS" in session.output and f"Peer signing digest: {expected}" in session.output


class TestFips:
    @pytest.mark.skipif(CRYPTO == "fips", reason="the cryptography of this build is validated")
    @pytest.mark.parametrize("name", ["TLSFIPS", "SSLFIPS"])
    def test_01_not_in_this_build(self, httpd, name):
        both = ("tls", "ssl")
        httpd.configure(f"TLSEngine {httpd.port}", f"{name} on", httpd.vhost("a.test"), records=both)
        code, output = httpd.configtest()
        assert code != 0 and f"{name} on: this module was not built with validated cryptography" in output
        httpd.configure(f"TLSEngine {httpd.port}", f"{name} off", httpd.vhost("a.test"), records=both)
        assert httpd.configtest()[0] == 0

    @pytest.mark.skipif(CRYPTO != "fips", reason="for builds with --enable-fips")
    @pytest.mark.parametrize("name", ["TLSFIPS", "SSLFIPS"])
    def test_02_asserted(self, httpd, name):
        httpd.start(f"TLSEngine {httpd.port}", f"{name} on", httpd.vhost("a.test"), records=("tls", "ssl"))
        assert curl(httpd, "a.test").code == 200
        assert "FIPS 140-3: asserted" in httpd.configtest("DUMP_TLS")[1]
        assert s_client(httpd, "-groups", "X25519", name="a.test").alert == "40"
        assert s_client(httpd, "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256", "-tls1_3", name="a.test").alert == "40"

    @pytest.mark.skipif(CRYPTO != "fips", reason="for builds with --enable-fips")
    @pytest.mark.parametrize(
        "line,what",
        [
            ("TLSGroupsPrefer x25519", "virtual host a.test .* is not approved: it would use x25519"),
            (
                "TLSCiphersPrefer TLS_CHACHA20_POLY1305_SHA256",
                "virtual host a.test .* is not approved: it would use TLS13_CHACHA20_POLY1305_SHA256",
            ),
            (
                "TLSProxyEngine on\nTLSProxyVerify none\nTLSProxyCiphersPrefer TLS_CHACHA20_POLY1305_SHA256",
                "connections to backends are not approved: they would use TLS13_CHACHA20_POLY1305_SHA256",
            ),
        ],
    )
    def test_03_names_the_site(self, httpd, line, what):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSFIPS on", httpd.vhost("a.test", line), httpd.vhost("b.test"))
        code, output = httpd.configtest()
        assert code != 0 and re.search(f"TLSFIPS: {what}", output), output

    @pytest.mark.skipif(CRYPTO != "fips", reason="for builds with --enable-fips")
    def test_04_not_asserted(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "TLSGroupsPrefer x25519"))
        assert curl(httpd, "a.test").code == 200
        assert "FIPS 140-3: not asserted" in httpd.configtest("DUMP_TLS")[1]

    def test_05_belongs_to_the_whole_server(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "TLSFIPS off"))
        code, output = httpd.configtest()
        assert code != 0 and "TLSFIPS belongs outside of <VirtualHost>" in output
