# SPDX-License-Identifier: Apache-2.0
"""Channel bindings."""

import hashlib
import re

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from harness.clients import curl, request, s_client
from harness.httpd import CRYPTO

HEADERS = [
    'Header always set X-Exporter "%{SSL_TLS_EXPORTER}s"',
    'Header always set X-End-Point "%{SSL_TLS_SERVER_END_POINT}s"',
]
SHA256, SHA384, SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
PSS384 = padding.PSS(padding.MGF1(SHA384), SHA384.digest_size)


class TestExporter:
    @pytest.fixture
    def exported(self, httpd):
        """The values that the client and the server derive for a connection."""
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *HEADERS))

        def ask(*args):
            export = ("-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32")
            output = s_client(httpd, *export, *args, name="a.test", send=request("a.test")).output
            theirs = re.search(r"Keying material: ([0-9A-F]+)", output).group(1).lower()
            return theirs, re.search(r"X-Exporter: (\S+)", output).group(1)

        return ask

    @pytest.mark.parametrize("version", ["-tls1_3", "-tls1_2"])
    def test_01_same_on_both_sides(self, exported, version):
        theirs, ours = exported(version)
        assert ours == theirs and len(ours) == 64

    def test_02_of_one_connection_only(self, exported):
        assert exported()[1] != exported()[1]

    @pytest.mark.skipif(CRYPTO == "fips", reason="the extension is mandatory with FIPS")
    def test_03_not_without_the_extended_master_secret(self, httpd, exported):
        """RFC 9266 section 4.2: without it, two TLS 1.2 connections could have the same keys."""
        httpd.root.joinpath("openssl.cnf").write_text(
            "openssl_conf = o\n[o]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nOptions = -ExtendedMasterSecret\n"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENSSL_CONF", str(httpd.root / "openssl.cnf"))
            assert exported("-tls1_2")[1] == "(null)"

    def test_04_early_data(self, httpd):
        """The value is available after the handshake."""
        httpd.start(f"TLSEngine {httpd.port}", "TLSEarlyData on", httpd.vhost("a.test", *HEADERS))
        session, early = httpd.root / "session", httpd.root / "early"
        s_client(httpd, "-sess_out", str(session), "-groups", "P-256", name="a.test", send=request("a.test"))
        early.write_bytes(request("a.test", close=False))
        arguments = ("-sess_in", str(session), "-early_data", str(early), "-ign_eof", "-groups", "P-256")
        output = s_client(httpd, *arguments, name="a.test", send=request("a.test")).output
        assert re.findall(r"X-Exporter: (\S{6})", output)[0] == "(null)"
        assert re.search(r"X-Exporter: [0-9a-f]{64}", output)


class TestEndPoint:
    @pytest.mark.parametrize(
        "kind,signature,hash",
        [
            ("p256", {"hash": SHA256}, "sha256"),
            ("p384", {"hash": SHA384}, "sha384"),
            ("rsa2048", {"hash": SHA512}, "sha512"),
            ("rsa3072", {"hash": SHA384, "padding": PSS384}, "sha384"),
        ],
    )
    def test_01_hash_of_the_signature(self, httpd, authority, kind, signature, hash):
        issued = authority.server("a.test", kind=kind, self_signed=True, **signature)
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *HEADERS, cert=issued.write(httpd.root, "own")))
        der = issued.cert.public_bytes(serialization.Encoding.DER)
        assert curl(httpd, "a.test", "/", "-k").headers["x-end-point"] == hashlib.new(hash, der).hexdigest()

    def test_02_ed25519_has_none(self, httpd, authority):
        issued = authority.server("a.test", kind="ed25519", self_signed=True)
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *HEADERS, cert=issued.write(httpd.root, "own")))
        assert curl(httpd, "a.test", "/", "-k").headers["x-end-point"] == "(null)"
