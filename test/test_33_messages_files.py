# SPDX-License-Identifier: Apache-2.0
"""Messages about files that cannot be read or have the wrong content, and about pass phrases."""

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)

from harness.certs import PEM, PKCS8, common_name, key_pem
from harness.client_certs import ClientCa
from harness.clients import curl
from harness.diagnosis import diagnose, write_private
from harness.httpd import wait_for


class TestSpecialFiles:
    """Special files: to open or read them could block for ever."""

    LINES = [
        "TLSCertificate special own.key",
        "TLSCertificate own.pem special",
        "TLSClientCertificate optional\nTLSClientCA special",
        "TLSClientCertificate optional\nTLSClientCA ca.pem\nTLSClientCRL special",
        "TLSClientCertificate optional\nTLSClientCA ca.pem\nTLSClientCANames special",
        "TLSProxyEngine on\nTLSProxyCA special",
        "TLSProxyEngine on\nTLSProxyCRL special",
        "TLSProxyEngine on\nTLSProxyMachineCertificate special",
    ]

    def make(self, path, kind):
        if kind == "FIFO":
            os.mkfifo(path)
        elif kind == "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            path.mkdir()

    def problem(self, httpd, *lines):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, modules=["proxy"])
        assert not taken
        return text

    @pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
    @pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line.split()[-3:]))
    def test_01_in_every_place(self, httpd, own_host, kind, line):
        self.make(httpd.root / "special", kind)
        own_host()
        extra = [] if "TLSCertificate" in line else [f"TLSCertificate {httpd.root}/own.pem {httpd.root}/own.key"]
        text = self.problem(httpd, httpd.vhost("a.test", *extra, line, cert=False))
        assert re.search(rf"httpd.conf:\d+: TLS\w+ {httpd.root}/special: cannot be read: it is a {kind}", text), text
        assert "regular file" in text

    @pytest.mark.parametrize("kind", ["FIFO", "device", "directory"])
    def test_02_ticket_keys_and_key_logs(self, httpd, own_host, kind):
        self.make(httpd.root / "special", kind)
        text = self.problem(httpd, "TLSSessionTicketKeyFile special", own_host())
        assert f"TLSSessionTicketKeyFile {httpd.root}/special: cannot be read: it is a {kind}" in text
        httpd.configure(f"TLSEngine {httpd.port}", "TLSKeyLogFile special", own_host())
        assert httpd.run().wait(30) != 0
        httpd.log.expect(f"TLSKeyLogFile {httpd.root}/special: cannot be read: it is a {kind}")
        httpd.log.allow("the configuration has errors|TLSKeyLogFile .* the secrets of all connections")

    @pytest.mark.parametrize("arguments", ["special own.key", "own.pem special"])
    def test_03_a_directory_as_certificate(self, httpd, own_host, arguments):
        self.make(httpd.root / "special", "directory")
        text = self.problem(httpd, own_host(arguments=arguments))
        assert "special: cannot be read: it is a directory: name the file in it" in text

    def test_04_starts_are_refused_as_well(self, httpd, own_host):
        self.make(httpd.root / "special", "FIFO")
        httpd.configure(f"TLSEngine {httpd.port}", own_host(arguments="own.pem special"))
        assert httpd.run().wait(30) != 0
        httpd.log.expect("special: cannot be read: it is a FIFO")
        httpd.log.allow("the configuration has errors")

    def test_05_in_directories_they_are_passed_over(self, httpd, own_host, authority):
        cas = httpd.root / "cas"
        cas.mkdir()
        ca = ClientCa()
        cas.joinpath("people.pem").write_bytes(ca.pem)
        for kind in ("FIFO", "socket", "device", "directory"):
            self.make(cas / kind, kind)
        httpd.start(
            f"TLSEngine {httpd.port}", own_host("TLSClientCertificate required", "TLSClientCA cas", "TLSProxyCA cas")
        )
        response = curl(httpd, "a.test", "/", *ca.client("alice").write(httpd.root, "alice"))
        assert response.code == 200

    def test_06_the_platforms_trust_store(self, httpd, own_host, monkeypatch):
        self.make(httpd.root / "special", "FIFO")
        monkeypatch.setenv("SSL_CERT_FILE", str(httpd.root / "special"))
        text = self.problem(httpd, "TLSProxyEngine on", own_host())
        assert "special: named as the platform's trust store by the environment variable SSL_CERT_FILE" in text

    def test_07_lists_that_are_read_again(self, httpd, own_host):
        """A FIFO replaces a list. Connections go on with the previous list."""
        ca = ClientCa()
        alice, mallory = ca.client("alice"), ca.client("mallory")
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        crl = httpd.root / "people.crl"
        crl.write_bytes(ca.crl(mallory))
        lines = ["TLSClientCertificate required", "TLSClientCA people.pem", "TLSClientCRL people.crl"]
        httpd.start(f"TLSEngine {httpd.port}", own_host(*lines))
        httpd.log.expect("people.crl: cannot be read: it is a FIFO .*; the revocation lists .* before are kept")

        def fetch(who):
            return curl(httpd, "a.test", "/", *who.write(httpd.root, "who")).code

        assert (fetch(alice), fetch(mallory)) == (200, 0)
        self.make(httpd.root / "new", "FIFO")
        os.rename(httpd.root / "new", crl)
        wait_for(lambda: fetch(alice) == 200 and "are kept" in httpd.log.text(), "the FIFO to be seen")
        assert (fetch(alice), fetch(mallory)) == (200, 0)

    @pytest.mark.parametrize("directive", ["SSLCertificateFile", "SSLCertificateKeyFile", "SSLCACertificateFile"])
    def test_08_by_mod_ssls_directives(self, httpd, own_host, directive):
        self.make(httpd.root / "special", "FIFO")
        own_host()
        files = {"SSLCertificateFile": "own.pem", "SSLCertificateKeyFile": "own.key", "SSLCACertificateFile": "ca.pem"}
        files[directive] = "special"
        lines = ["SSLEngine on", "SSLVerifyClient optional", *(f"{name} {file}" for name, file in files.items())]
        taken, text = diagnose(httpd, httpd.vhost("a.test", *lines, cert=False), records=["ssl"])
        assert not taken and "special: cannot be read: it is a FIFO" in text and "SSLC" in text


class TestPassPhrases:
    """Programs that do not answer."""

    @pytest.mark.parametrize("kind", ["exec:", "|"])
    def test_01_a_limit(self, httpd, own_host, kind):
        program = httpd.root / "ask"
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o700)
        key = key_pem(own_host.issued.key, password=b"secret")
        own_host(key=key)
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        httpd.configure(
            f'SSLPassPhraseDialog "{kind}{program}"', httpd.vhost("a.test", *lines, cert=False), records=["ssl"]
        )
        httpd.environment["MOD_TLS_PASS_PHRASE_TIMEOUT"] = "1"
        assert httpd.run().wait(30) != 0
        httpd.log.expect(
            rf"own.key: the private key is encrypted: SSLPassPhraseDialog {re.escape(kind)}{program}: the program has "
            "printed no pass phrase within 1 seconds.*MOD_TLS_PASS_PHRASE_TIMEOUT"
        )
        httpd.log.allow("the configuration has errors")


def request_for(key):
    """A certificate signing request."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("a.test"))
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def public(key):
    return key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)


def openssh(key):
    return key.private_bytes(PEM, PrivateFormat.OpenSSH, NoEncryption())


# Files that are no certificate, by kind: a function that makes the content, and the message.
NO_CERTIFICATE = {
    "empty": (lambda issued: b"", "no certificate in this file: it is empty"),
    "csr": (
        lambda issued: request_for(issued.key),
        r"signing request \(CSR\).* name the file that the CA has sent back",
    ),
    "key": (lambda issued: key_pem(issued.key), "it has a private key: name the file of the certificate first"),
    "pkcs7": (
        lambda issued: pkcs7.serialize_certificates([issued.cert], PEM),
        "it is PKCS#7: `openssl pkcs7 -print_certs -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
    "pkcs7-der": (
        lambda issued: pkcs7.serialize_certificates([issued.cert], Encoding.DER),
        "`openssl pkcs7 -inform der -print_certs -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
    "der": (
        lambda issued: issued.cert.public_bytes(Encoding.DER),
        "`openssl x509 -inform der -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
    "utf-16": (
        lambda issued: issued.chain_pem.decode().encode("utf-16"),
        "this is UTF-16 text.*`iconv -f UTF-16 -t ASCII ROOT/own.pem > ROOT/own.pem.pem`",
    ),
    "indented": (lambda issued: b"  " + issued.cert_pem, "left margin"),
    "cut-off": (lambda issued: issued.cert_pem[:-40], r'no matching "-----END ...-----" line: .* cut off'),
    "cut-off-early": (lambda issued: issued.cert_pem[:300], "cut off"),
    "trusted": (
        lambda issued: issued.cert_pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        "`openssl x509 -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
}

NO_KEY = {
    "empty": (lambda issued: b"", "no private key in this file: it is empty"),
    "certificate": (lambda issued: issued.cert_pem, "it has a certificate: name the file of its private key"),
    "csr": (lambda issued: request_for(issued.key), r"signing request \(CSR\): name the file of the private key"),
    "public": (lambda issued: public(issued.key), "it is a public key"),
    "openssh": (lambda issued: openssh(issued.key), "`ssh-keygen -p -m PEM -f ROOT/own.key`"),
    "der": (
        lambda issued: issued.key.private_bytes(Encoding.DER, PKCS8, NoEncryption()),
        "`openssl pkey -inform der -in ROOT/own.key -out ROOT/own.key.pem`",
    ),
    "utf-16": (lambda issued: key_pem(issued.key).decode().encode("utf-16-le"), "this is UTF-16 text"),
    "cut-off": (lambda issued: key_pem(issued.key)[:-20], "cut off"),
    "rsa-1024": (
        lambda issued: key_pem(rsa.generate_private_key(65537, 1024)),
        "cannot be used: it is an RSA key of 1024 bits, which is too short.*`openssl genpkey",
    ),
    "secp256k1": (
        lambda issued: key_pem(ec.generate_private_key(ec.SECP256K1())),
        "an ECDSA key on the curve secp256k1, which TLS clients do not support",
    ),
    "brainpool": (
        lambda issued: key_pem(ec.generate_private_key(ec.BrainpoolP256R1())),
        "an ECDSA key on the curve brainpoolP256r1",
    ),
    "ed448": (lambda issued: key_pem(ed448.Ed448PrivateKey.generate()), "it is an Ed448 key"),
    "dsa": (lambda issued: key_pem(dsa.generate_private_key(1024)), "it is a DSA key"),
}


class TestFiles:
    def check_refused(self, httpd, host, file, says):
        """`says` is a pattern, with ROOT for the root of the server."""
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        says = says.replace("ROOT", str(httpd.root))
        assert not taken
        assert re.search(rf"httpd.conf:\d+: TLSCertificate .*{file}: .*{says}", text), text
        assert "unexpected error" not in text and r"\x" not in text

    @pytest.mark.parametrize("kind", NO_CERTIFICATE)
    def test_01_no_certificate(self, httpd, own_host, kind):
        make, says = NO_CERTIFICATE[kind]
        self.check_refused(httpd, own_host(certificate=make(own_host.issued)), "own.pem", says)

    @pytest.mark.parametrize("kind", NO_KEY)
    def test_02_no_key(self, httpd, own_host, kind):
        make, says = NO_KEY[kind]
        self.check_refused(httpd, own_host(key=make(own_host.issued)), "own.key", says)

    @pytest.mark.parametrize("argument", ["own.pem", "own.pem own.pem"])
    def test_03_pkcs12(self, httpd, own_host, argument):
        """The command in the message works."""
        issued = own_host.issued
        archive = pkcs12.serialize_key_and_certificates(
            b"a", issued.key, issued.cert, issued.chain, BestAvailableEncryption(b"secret")
        )
        host = own_host(certificate=archive, arguments=argument)
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        assert not taken and "this is PKCS#12" in text
        (command,) = set(re.findall("`(openssl pkcs12 [^`]*)`", text))
        subprocess.run([*shlex.split(command), "-passin", "pass:secret"], check=True, capture_output=True)
        httpd.start(f"TLSEngine {httpd.port}", own_host(arguments="own.pem.pem"))
        assert curl(httpd, "a.test").text == "hello"

    @pytest.mark.parametrize("kind", ["pkcs7", "pkcs7-der", "der", "utf-16"])
    def test_04_advice_works(self, httpd, own_host, kind):
        make, _ = NO_CERTIFICATE[kind]
        _, text = diagnose(httpd, f"TLSEngine {httpd.port}", own_host(certificate=make(own_host.issued)))
        (command,) = set(re.findall("`((?:openssl|iconv) [^`]*)`", text))
        subprocess.run(command, shell=True, check=True, capture_output=True)
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own_host(arguments="own.pem.pem own.key"))
        assert taken, text

    def test_05_utf8_with_a_mark(self, httpd, own_host):
        """A byte order mark is accepted before any PEM block, because files may be concatenated."""
        mark, issued = b"\xef\xbb\xbf", own_host.issued
        pems = [issued.cert_pem, *(cert.public_bytes(PEM) for cert in issued.chain)]
        host = own_host(certificate=b"".join(mark + pem for pem in pems), key=mark + key_pem(issued.key))
        httpd.start(f"TLSEngine {httpd.port}", host)
        response = curl(httpd, "a.test")
        assert response.text == "hello"
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        assert taken and "own." not in text

    def test_06_swapped(self, httpd, own_host):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own_host(arguments="own.key own.pem"))
        says = f"{httpd.root}/own.key is the file of a private key, and {httpd.root}/own.pem that of its certificate"
        assert not taken and says in text and "exchange the two names" in text
        lines = ["SSLEngine on", "SSLCertificateFile own.key", "SSLCertificateKeyFile own.pem"]
        taken, text = diagnose(httpd, httpd.vhost("a.test", *lines, cert=False), records=["ssl"])
        assert not taken and says in text and "SSLCertificateFile" in text

    def test_07_a_third_argument(self, httpd, own_host):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own_host(arguments="own.pem own.key chain.pem"))
        assert not taken
        assert re.search(r"httpd.conf:\d+: TLSCertificate takes .* not 3 files: .*behind the certificate", text)
        assert "`cat <issuers> >> own.pem`" in text

    def test_08_a_ca_as_second_certificate(self, httpd, own_host):
        issued = own_host.issued
        write_private(httpd.root / "sub.pem", issued.chain[0].public_bytes(PEM))
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own_host("TLSCertificate sub.pem"))
        assert not taken and "sub.pem: no private key in this file: it has the certificate of a CA (CN=Test" in text
        assert f"`cat {httpd.root}/sub.pem >> " in text and "TLSClientCA" in text

    def test_09_messages_are_ascii(self):
        """httpd escapes other characters in its log."""
        root = Path(__file__).resolve().parents[1]
        sources = [*root.glob("rust-backend/core/src/**/*.rs"), *root.glob("rust-backend/ffi/src/**/*.rs")]
        sources += root.glob("module/*.[ch]")
        assert len(sources) > 50
        for source in sources:
            code = source.read_text().split("#[cfg(test)]\nmod tests")[0]
            code = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
            for line in code.splitlines():
                assert re.sub(r"^\s*//.*", "", line).isascii(), f"{source}: {line}"
