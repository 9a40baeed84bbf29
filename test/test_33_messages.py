# SPDX-License-Identifier: Apache-2.0
"""What is said about mistakes, and where: each message names the file and the mend, and nothing hangs."""

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

from harness.certs import PEM, PKCS8, common_name, key_pem, new_key
from harness.clients import curl
from harness.httpd import wait_for
from harness.people import PeopleCa, self_signed

PRIVATE = 0o600


def diagnose(httpd, *lines, **options):
    """Whether `httpd -t` takes the lines, and its messages."""
    httpd.configure(*lines, **options)
    status, text = httpd.configtest()
    return status == 0, text


def write(file, content):
    file.write_bytes(content)
    file.chmod(PRIVATE)
    return file


@pytest.fixture
def own(httpd, authority):
    """Writes files for a.test: own.pem and own.key, or what takes the places of their contents; returns its host."""
    issued = authority.server("a.test")

    def make(*lines, certificate=None, key=None, arguments="own.pem own.key"):
        write(httpd.root / "own.pem", issued.chain_pem if certificate is None else certificate)
        write(httpd.root / "own.key", key_pem(issued.key) if key is None else key)
        return httpd.vhost("a.test", *lines, cert=arguments)

    make.issued = issued
    return make


class TestSpecialFiles:
    """Files that are none: opening or reading them could wait for ever."""

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
    def test_01_in_every_place(self, httpd, own, kind, line):
        self.make(httpd.root / "special", kind)
        own()
        extra = [] if "TLSCertificate" in line else [f"TLSCertificate {httpd.root}/own.pem {httpd.root}/own.key"]
        text = self.problem(httpd, httpd.vhost("a.test", *extra, line, cert=False))
        assert re.search(rf"httpd.conf:\d+: TLS\w+ {httpd.root}/special: cannot be read: it is a {kind}", text), text
        assert "regular file" in text

    @pytest.mark.parametrize("kind", ["FIFO", "device", "directory"])
    def test_02_ticket_keys_and_key_logs(self, httpd, own, kind):
        self.make(httpd.root / "special", kind)
        text = self.problem(httpd, "TLSSessionTicketKeyFile special", own())
        assert f"TLSSessionTicketKeyFile {httpd.root}/special: cannot be read: it is a {kind}" in text
        httpd.configure(f"TLSEngine {httpd.port}", "TLSKeyLogFile special", own())
        assert httpd.run().wait(30) != 0
        httpd.log.expect(f"TLSKeyLogFile {httpd.root}/special: cannot be read: it is a {kind}")
        httpd.log.allow("the configuration has errors|TLSKeyLogFile .* the secrets of all connections")

    @pytest.mark.parametrize("arguments", ["special own.key", "own.pem special"])
    def test_03_a_directory_as_certificate(self, httpd, own, arguments):
        self.make(httpd.root / "special", "directory")
        text = self.problem(httpd, own(arguments=arguments))
        assert "special: cannot be read: it is a directory: name the file in it" in text

    def test_04_starts_are_refused_as_well(self, httpd, own):
        self.make(httpd.root / "special", "FIFO")
        httpd.configure(f"TLSEngine {httpd.port}", own(arguments="own.pem special"))
        assert httpd.run().wait(30) != 0
        httpd.log.expect("special: cannot be read: it is a FIFO")
        httpd.log.allow("the configuration has errors")

    def test_05_in_directories_they_are_passed_over(self, httpd, own, authority):
        cas = httpd.root / "cas"
        cas.mkdir()
        ca = PeopleCa()
        cas.joinpath("people.pem").write_bytes(ca.pem)
        for kind in ("FIFO", "socket", "device", "directory"):
            self.make(cas / kind, kind)
        httpd.start(
            f"TLSEngine {httpd.port}", own("TLSClientCertificate required", "TLSClientCA cas", "TLSProxyCA cas")
        )
        response = curl(httpd, "a.test", "/", *ca.client("alice").write(httpd.root, "alice"))
        assert response.code == 200

    def test_06_the_platforms_trust_store(self, httpd, own, monkeypatch):
        self.make(httpd.root / "special", "FIFO")
        monkeypatch.setenv("SSL_CERT_FILE", str(httpd.root / "special"))
        text = self.problem(httpd, "TLSProxyEngine on", own())
        assert "special: named as the platform's trust store by the environment variable SSL_CERT_FILE" in text

    def test_07_lists_that_are_read_again(self, httpd, own):
        """A FIFO takes the place of a list: connections go on, under the list of before."""
        ca = PeopleCa()
        alice, mallory = ca.client("alice"), ca.client("mallory")
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        crl = httpd.root / "people.crl"
        crl.write_bytes(ca.crl(mallory))
        lines = ["TLSClientCertificate required", "TLSClientCA people.pem", "TLSClientCRL people.crl"]
        httpd.start(f"TLSEngine {httpd.port}", own(*lines))
        httpd.log.expect("people.crl: cannot be read: it is a FIFO .*; the revocation lists .* before are kept")

        def fetch(who):
            return curl(httpd, "a.test", "/", *who.write(httpd.root, "who")).code

        assert (fetch(alice), fetch(mallory)) == (200, 0)
        self.make(httpd.root / "new", "FIFO")
        os.rename(httpd.root / "new", crl)
        wait_for(lambda: fetch(alice) == 200 and "are kept" in httpd.log.text(), "the FIFO to be seen")
        assert (fetch(alice), fetch(mallory)) == (200, 0)

    @pytest.mark.parametrize("directive", ["SSLCertificateFile", "SSLCertificateKeyFile", "SSLCACertificateFile"])
    def test_08_by_mod_ssls_directives(self, httpd, own, directive):
        self.make(httpd.root / "special", "FIFO")
        own()
        files = {"SSLCertificateFile": "own.pem", "SSLCertificateKeyFile": "own.key", "SSLCACertificateFile": "ca.pem"}
        files[directive] = "special"
        lines = ["SSLEngine on", "SSLVerifyClient optional", *(f"{name} {file}" for name, file in files.items())]
        taken, text = diagnose(httpd, httpd.vhost("a.test", *lines, cert=False), records=["ssl"])
        assert not taken and "special: cannot be read: it is a FIFO" in text and "SSLC" in text


class TestPassPhrases:
    """Programs that never answer."""

    @pytest.mark.parametrize("kind", ["exec:", "|"])
    def test_01_a_limit(self, httpd, own, kind):
        program = httpd.root / "ask"
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o700)
        key = key_pem(own.issued.key, password=b"secret")
        own(key=key)
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


class Daemon:
    """httpd as administrators start it: `-k start`, which comes back while httpd runs."""

    def __init__(self, httpd):
        self.command = [httpd.installation.program, "-f", httpd.conf_file]
        self.pid_file = httpd.root / "pid"

    def run(self, action):
        """The exit status and what the terminal has got by the time that everybody has let go of it."""
        run = subprocess.run([*self.command, "-k", action], stderr=subprocess.PIPE, text=True, timeout=30)
        return run.returncode, run.stderr

    def stop(self):
        if self.pid_file.exists():
            self.run("stop")
            wait_for(lambda: not self.pid_file.exists(), "httpd to stop")


@pytest.fixture
def daemon(httpd):
    daemon = Daemon(httpd)
    yield daemon
    daemon.stop()


class TestTerminal:
    MISTAKES = [
        ("TLSProtocol TLSv9", "TLSv9"),
        ("TLSCiphersPrefer NO_SUCH_CIPHER", "NO_SUCH_CIPHER"),
        ("TLSSessionCache nosuch:args", "TLSSessionCache nosuch: there is no provider"),
        ("TLSSessionCache shmcb:/run/x(1)", "TLSSessionCache shmcb"),
        ("TLSCertificate nowhere.pem", "nowhere.pem: no such file"),
        ("TLSClientCertificate required\nTLSClientCA nowhere.pem", "nowhere.pem: no such file"),
    ]

    @pytest.mark.parametrize("line,says", MISTAKES, ids=[line.replace("\n", " ") for line, _ in MISTAKES])
    def test_01_each_mistake_once(self, httpd, own, daemon, line, says):
        httpd.configure(f"TLSEngine {httpd.port}", line, own())
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count(says) == 1 and terminal.count("tls: ") == 1, terminal
        assert says in httpd.configtest()[1]
        httpd.log.expect(re.escape(says))
        httpd.log.allow("the configuration has errors")

    def test_02_all_of_them(self, httpd, own, daemon):
        httpd.configure(f"TLSEngine {httpd.port}", *(line for line, _ in self.MISTAKES[:2]), own())
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count("tls: ") == 2, terminal
        httpd.log.expect("TLSv9")
        httpd.log.expect("NO_SUCH_CIPHER")
        httpd.log.allow("the configuration has errors")

    @pytest.mark.parametrize("log", ["", 'ErrorLog "|$cat >> error_log"'], ids=["file", "program"])
    def test_03_a_good_start_says_nothing(self, httpd, own, daemon, log):
        """Warnings are for the log; and neither httpd nor a program that logs are piped to holds the terminal."""
        log = log.replace("error_log", str(httpd.log.path))
        httpd.configure(f"TLSEngine {httpd.port}", log, own("ServerAlias b.test"))
        httpd.log.expect("b.test is not covered")
        assert daemon.run("start") == (0, "")
        wait_for(daemon.pid_file.exists, "httpd to run")
        wait_for(lambda: curl(httpd, "a.test").code == 200, "httpd to serve")

    def test_04_where_the_log_is_the_terminal(self, httpd, own, daemon):
        httpd.configure(f"TLSEngine {httpd.port}", "ErrorLog /dev/stderr", "TLSProtocol TLSv9", own())
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count("TLSv9") == 1, terminal

    def test_05_not_at_reloads(self, httpd, own):
        httpd.start(f"TLSEngine {httpd.port}", own())
        process = httpd._process
        httpd.configure(f"TLSEngine {httpd.port}", "TLSProtocol TLSv9", own())
        process.send_signal(10)
        assert process.wait(30) != 0
        assert "TLSv9" not in process.stdout.read().decode()
        httpd.log.expect("TLSv9")
        httpd.log.allow("the configuration has errors|AH00020|AH0049")

    def test_06_odd_characters_are_escaped(self, httpd, own, daemon):
        httpd.configure(f"TLSEngine {httpd.port}", 'TLSProtocol "v\x1b[31mü"', own())
        _, terminal = daemon.run("start")
        assert r"v\x1b[31m\xc3\xbc" in terminal
        httpd.log.expect("TLSProtocol takes")
        httpd.log.allow("the configuration has errors")

    def test_07_by_mod_ssls_directives(self, httpd, own, daemon):
        own()
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile nowhere.key"]
        httpd.configure(httpd.vhost("a.test", *lines, cert=False), records=["ssl"])
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count("nowhere.key: no such file") == 1
        httpd.log.expect("nowhere.key: no such file")
        httpd.log.allow("the configuration has errors")


class TestPlainHosts:
    """Certificates where no connection can be TLS."""

    def said(self, httpd, *lines, **options):
        taken, text = diagnose(httpd, *lines, **options)
        assert taken, text
        return [line for line in text.splitlines() if "TLSCertificate has no effect" in line or "not listen" in line]

    def test_01_no_engine_at_the_hosts_port(self, httpd):
        lines = [f"TLSEngine {httpd.port}", httpd.vhost("a.test"), httpd.vhost("b.test", port=httpd.plain_port)]
        (line,) = self.said(httpd, *lines)
        assert re.search(
            rf"httpd.conf:\d+: TLSCertificate has no effect: virtual host b.test \(.*httpd.conf:\d+\) is at port "
            rf"{httpd.plain_port}, where no TLSEngine is, so requests are answered in plain HTTP: add `TLSEngine "
            rf"{httpd.plain_port}`, or remove",
            line,
        ), line
        httpd.start()
        httpd.log.expect("TLSCertificate has no effect: virtual host b.test")

    def test_02_nor_listen(self, httpd, ports):
        port = ports.take()
        (line,) = self.said(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test"), httpd.vhost("b.test", port=port))
        assert f"add `Listen {port}` and `TLSEngine {port}`" in line

    def test_03_no_engine_at_all(self, httpd):
        (line,) = self.said(httpd, httpd.vhost("a.test"))
        assert f"at port {httpd.port}, where no TLSEngine is" in line

    def test_04_in_the_base_server(self, httpd, authority):
        cert = authority.server("localhost").write(httpd.root, "base")
        (line,) = self.said(httpd, f"TLSCertificate {cert}")
        assert "the base server (localhost) is at" in line and str(httpd.plain_port) in line

    def test_05_another_address(self, httpd):
        lines = [f"TLSEngine 127.0.0.2:{httpd.port}", httpd.vhost("a.test", address="127.0.0.1")]
        (line,) = self.said(httpd, *lines)
        assert f"is at 127.0.0.1:{httpd.port}" in line and f"`TLSEngine 127.0.0.1:{httpd.port}`" in line

    def test_06_one_line_for_many(self, httpd, authority):
        cert = authority.server("*.many.test").write(httpd.root, "many")
        hosts = [httpd.vhost(f"h{i}.many.test", cert=cert) for i in range(100)]
        (line,) = self.said(httpd, *hosts)
        assert re.search(r"virtual host h\d+.many.test \(.*\) and 99 others are at port", line)

    def test_07_engine_without_listen(self, httpd, ports):
        port = ports.take()
        lines = [f"TLSEngine {httpd.port}", f"TLSEngine {port}", httpd.vhost("a.test")]
        (line,) = self.said(httpd, *lines)
        assert f"TLSEngine {port}: httpd does not listen there" in line and f"`Listen {port}`" in line
        (line,) = self.said(httpd, f"TLSEngine {httpd.port}", f"TLSEngine [::1]:{port}", httpd.vhost("a.test"))
        assert f"`Listen [::1]:{port}`" in line

    def test_08_what_is_legal_is_silent(self, httpd, authority, ports):
        cert = authority.server("localhost", "a.test").write(httpd.root, "base")
        inherits = httpd.vhost("a.test", cert=False)
        engine = f"TLSEngine {httpd.port}"
        both = f"*:{httpd.plain_port} *"
        for lines in [
            # Inherited, also by hosts in plain HTTP.
            [engine, f"TLSCertificate {cert}", inherits, httpd.vhost("b.test", cert=False, port=httpd.plain_port)],
            [engine, f"TLSCertificate {cert}"],
            # One host at two ports, at all ports, and by default.
            [engine, httpd.vhost("a.test", address=both)],
            [engine, httpd.vhost("a.test", port="*")],
            [engine, httpd.vhost("a.test", address="_default_", port="*")],
            [engine, httpd.vhost("a.test", address="_default_")],
            [f"TLSEngine 127.0.0.1:{httpd.port}", httpd.vhost("a.test")],
            [f"TLSEngine [::1]:{httpd.port}", httpd.vhost("a.test", address="[::1]")],
        ]:
            assert self.said(httpd, *lines) == [], lines

    def test_09_mod_ssls_directives(self, httpd, own):
        """mod_ssl says nothing of SSLEngine off, and does not care where the certificate is used."""
        own()
        files = ["SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        for engine in (["SSLEngine off"], []):
            assert self.said(httpd, httpd.vhost("a.test", *engine, *files, cert=False), records=["ssl"]) == []
        host = httpd.vhost("a.test", "SSLEngine off")
        assert self.said(httpd, host, records=["tls", "ssl"]) == []

    def test_10_beside_mod_ssl(self, httpd):
        """It may serve the host: that is not for us to say."""
        (line,) = self.said(httpd, httpd.vhost("a.test"), records=["tls", "mod_ssl"])
        assert "this module does not serve TLS there" in line and "plain HTTP" not in line

    def test_11_mistakes_in_such_hosts_are_errors(self, httpd, own):
        taken, text = diagnose(httpd, own(key=b"nonsense"))
        assert not taken and "own.key: no private key in this file" in text
        httpd.configure(own(key=b"nonsense"))
        assert httpd.run().wait(30) != 0
        httpd.log.expect("own.key: no private key in this file")
        httpd.log.allow("the configuration has errors|TLSCertificate has no effect")


def request_for(key):
    """A CSR."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("a.test"))
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def public(key):
    return key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)


def openssh(key):
    return key.private_bytes(PEM, PrivateFormat.OpenSSH, NoEncryption())


# For each kind of file that is no certificate: how to make it of an identity, and what is said.
NO_CERTIFICATE = {
    "empty": (lambda own: b"", "no certificate in this file: it is empty"),
    "csr": (lambda own: request_for(own.key), r"signing request \(CSR\).* name the file that the CA has sent back"),
    "key": (lambda own: key_pem(own.key), "it has a private key: name the file of the certificate first"),
    "pkcs7": (
        lambda own: pkcs7.serialize_certificates([own.cert], PEM),
        "it is PKCS#7: `openssl pkcs7 -print_certs -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
    "pkcs7-der": (
        lambda own: pkcs7.serialize_certificates([own.cert], Encoding.DER),
        "`openssl pkcs7 -inform der -print_certs -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
    "der": (
        lambda own: own.cert.public_bytes(Encoding.DER),
        "`openssl x509 -inform der -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
    "utf-16": (
        lambda own: own.chain_pem.decode().encode("utf-16"),
        "this is UTF-16 text.*`iconv -f UTF-16 -t ASCII ROOT/own.pem > ROOT/own.pem.pem`",
    ),
    "indented": (lambda own: b"  " + own.cert_pem, "left margin"),
    "cut-off": (lambda own: own.cert_pem[:-40], r'no matching "-----END ...-----" line: .* cut off'),
    "cut-off-early": (lambda own: own.cert_pem[:300], "cut off"),
    "trusted": (
        lambda own: own.cert_pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        "`openssl x509 -in ROOT/own.pem -out ROOT/own.pem.pem`",
    ),
}

NO_KEY = {
    "empty": (lambda own: b"", "no private key in this file: it is empty"),
    "certificate": (lambda own: own.cert_pem, "it has a certificate: name the file of its private key"),
    "csr": (lambda own: request_for(own.key), r"signing request \(CSR\): name the file of the private key"),
    "public": (lambda own: public(own.key), "it is a public key"),
    "openssh": (lambda own: openssh(own.key), "`ssh-keygen -p -m PEM -f ROOT/own.key`"),
    "der": (
        lambda own: own.key.private_bytes(Encoding.DER, PKCS8, NoEncryption()),
        "`openssl pkey -inform der -in ROOT/own.key -out ROOT/own.key.pem`",
    ),
    "utf-16": (lambda own: key_pem(own.key).decode().encode("utf-16-le"), "this is UTF-16 text"),
    "cut-off": (lambda own: key_pem(own.key)[:-20], "cut off"),
    "rsa-1024": (
        lambda own: key_pem(rsa.generate_private_key(65537, 1024)),
        "cannot be used: it is an RSA key of 1024 bits, which is too short.*`openssl genpkey",
    ),
    "secp256k1": (
        lambda own: key_pem(ec.generate_private_key(ec.SECP256K1())),
        "an ECDSA key on the curve secp256k1, which TLS clients do not know",
    ),
    "brainpool": (
        lambda own: key_pem(ec.generate_private_key(ec.BrainpoolP256R1())),
        "an ECDSA key on the curve brainpoolP256r1",
    ),
    "ed448": (lambda own: key_pem(ed448.Ed448PrivateKey.generate()), "it is an Ed448 key"),
    "dsa": (lambda own: key_pem(dsa.generate_private_key(1024)), "it is a DSA key"),
}


def expected(httpd, pattern):
    return pattern.replace("ROOT", str(httpd.root))


class TestFiles:
    @pytest.mark.parametrize("kind", NO_CERTIFICATE)
    def test_01_no_certificate(self, httpd, own, kind):
        make, says = NO_CERTIFICATE[kind]
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own(certificate=make(own.issued)))
        assert not taken
        assert re.search(rf"httpd.conf:\d+: TLSCertificate .*own.pem: .*{expected(httpd, says)}", text), text
        assert "unexpected error" not in text and r"\x" not in text

    @pytest.mark.parametrize("kind", NO_KEY)
    def test_02_no_key(self, httpd, own, kind):
        make, says = NO_KEY[kind]
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own(key=make(own.issued)))
        assert not taken
        assert re.search(rf"httpd.conf:\d+: TLSCertificate .*own.key: .*{expected(httpd, says)}", text), text
        assert "unexpected error" not in text and r"\x" not in text

    @pytest.mark.parametrize("argument", ["own.pem", "own.pem own.pem"])
    def test_03_pkcs12(self, httpd, own, argument):
        """The advice works as it stands."""
        issued = own.issued
        archive = pkcs12.serialize_key_and_certificates(
            b"a", issued.key, issued.cert, issued.chain, BestAvailableEncryption(b"secret")
        )
        host = own(certificate=archive, arguments=argument)
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        assert not taken and "this is PKCS#12" in text
        (command,) = set(re.findall("`(openssl pkcs12 [^`]*)`", text))
        subprocess.run([*shlex.split(command), "-passin", "pass:secret"], check=True, capture_output=True)
        httpd.start(f"TLSEngine {httpd.port}", own(arguments="own.pem.pem"))
        assert curl(httpd, "a.test").text == "hello"

    @pytest.mark.parametrize("kind", ["pkcs7", "pkcs7-der", "der", "utf-16"])
    def test_04_advice_works(self, httpd, own, kind):
        make, _ = NO_CERTIFICATE[kind]
        _, text = diagnose(httpd, f"TLSEngine {httpd.port}", own(certificate=make(own.issued)))
        (command,) = set(re.findall("`((?:openssl|iconv) [^`]*)`", text))
        subprocess.run(command, shell=True, check=True, capture_output=True)
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own(arguments="own.pem.pem own.key"))
        assert taken, text

    def test_05_utf8_with_a_mark(self, httpd, own):
        """It is taken, wherever the mark is: in joined files it may be before any block."""
        mark, issued = b"\xef\xbb\xbf", own.issued
        pems = [issued.cert_pem, *(cert.public_bytes(PEM) for cert in issued.chain)]
        host = own(certificate=b"".join(mark + pem for pem in pems), key=mark + key_pem(issued.key))
        httpd.start(f"TLSEngine {httpd.port}", host)
        response = curl(httpd, "a.test")
        assert response.text == "hello"
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        assert taken and "own." not in text

    def test_06_swapped(self, httpd, own):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own(arguments="own.key own.pem"))
        says = f"{httpd.root}/own.key is the file of a private key, and {httpd.root}/own.pem that of its certificate"
        assert not taken and says in text and "exchange the two names" in text
        lines = ["SSLEngine on", "SSLCertificateFile own.key", "SSLCertificateKeyFile own.pem"]
        taken, text = diagnose(httpd, httpd.vhost("a.test", *lines, cert=False), records=["ssl"])
        assert not taken and says in text and "SSLCertificateFile" in text

    def test_07_a_third_argument(self, httpd, own):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own(arguments="own.pem own.key chain.pem"))
        assert not taken
        assert re.search(r"httpd.conf:\d+: TLSCertificate takes .* not 3 files: .*behind the certificate", text)
        assert "`cat <issuers> >> own.pem`" in text

    def test_08_a_ca_as_second_certificate(self, httpd, own):
        issued = own.issued
        write(httpd.root / "sub.pem", issued.chain[0].public_bytes(PEM))
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", own("TLSCertificate sub.pem"))
        assert not taken and "sub.pem: no private key in this file: it has the certificate of a CA (CN=Test" in text
        assert f"`cat {httpd.root}/sub.pem >> " in text and "TLSClientCA" in text

    def test_09_messages_are_ascii(self):
        """httpd writes other characters as numbers into its log."""
        root = Path(__file__).resolve().parents[1]
        sources = [*root.glob("rust-backend/core/src/**/*.rs"), *root.glob("rust-backend/ffi/src/**/*.rs")]
        sources += root.glob("module/*.[ch]")
        assert len(sources) > 50
        for source in sources:
            code = source.read_text().split("#[cfg(test)]\nmod tests")[0]
            code = re.sub(r"/\*.*?\*/", "", code, flags=re.S)
            for line in code.splitlines():
                assert re.sub(r"^\s*//.*", "", line).isascii(), f"{source}: {line}"


class TestWarnings:
    """What is odd, and used all the same."""

    def said(self, httpd, *lines, **options):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, **options)
        assert taken, text
        return [line for line in text.splitlines() if ":warn]" in line]

    def test_01_nothing(self, httpd, own):
        assert self.said(httpd, own()) == []

    def test_02_an_unrelated_certificate(self, httpd, own, authority):
        other = authority.server("b.test", number=1)
        (line,) = self.said(httpd, own(certificate=own.issued.cert_pem + other.chain_pem))
        says = r"own.pem: certificate 2 \(CN=b.test\) has not issued the one before it \(CN=a.test\)"
        assert re.search(rf"httpd.conf:\d+: .*{says}", line)
        chain = own.issued.chain_pem
        (line,) = self.said(httpd, own(certificate=chain + other.cert_pem))
        assert re.search(r"certificate 3 \(CN=b.test\) has not issued the one before it \(CN=Test Intermediate\)", line)
        # The root belongs there, though nobody needs it.
        assert self.said(httpd, own(certificate=chain + authority.root_pem)) == []
        httpd.start(f"TLSEngine {httpd.port}", own(certificate=chain + other.cert_pem))
        httpd.log.expect("has not issued the one before it")
        # A reload, which reads nothing anew, says it again.
        before = httpd.log.text().count("has not issued")
        httpd.graceful()
        assert httpd.log.text().count("has not issued") == before + 1

    def test_03_no_alternative_name(self, httpd, own):
        key = new_key()
        host = own(certificate=self_signed("a.test", key=key).cert.public_bytes(PEM), key=key_pem(key))
        (line,) = self.said(httpd, host)
        assert "own.pem: the certificate has no subjectAltName" in line and "-addext subjectAltName=DNS:" in line

    def test_04_a_ca_as_server(self, httpd, own):
        says = "own.pem: the first certificate is a CA's (basicConstraints CA:TRUE)"
        key = new_key()
        lines = self.said(
            httpd, own(certificate=self_signed("CA", ca=True, key=key).cert.public_bytes(PEM), key=key_pem(key))
        )
        assert sum(says in line for line in lines) == 1
        # What `openssl req -x509` makes for a server.
        cert = self_signed("a.test", ca=True, key=key, names=["a.test"]).cert
        assert self.said(httpd, own(certificate=cert.public_bytes(PEM), key=key_pem(key))) == []

    @pytest.mark.parametrize(
        "alias,names,covered",
        [
            ("*.w.test", ["a.test"], False),
            ("*.w.test", ["a.test", "www.w.test"], False),
            ("*.w.test", ["a.test", "*.w.test"], True),
            ("www?.a.test", ["a.test", "*.a.test"], True),
            ("www?.a.test", ["a.test", "www1.a.test"], True),
            ("www?.a.test", ["a.test"], False),
            ("*", ["a.test"], True),
        ],
    )
    def test_05_aliases_with_wildcards(self, httpd, authority, alias, names, covered):
        cert = authority.server(*names).write(httpd.root, "wild")
        write(httpd.root / "wild.key", (httpd.root / "wild.key").read_bytes())
        lines = self.said(httpd, httpd.vhost("a.test", f"ServerAlias {alias}", cert=cert))
        says = rf"httpd.conf:\d+: {re.escape(alias)} is not covered by .*wild.pem"
        assert not lines if covered else re.search(says, *lines)

    @pytest.mark.parametrize(
        "mode,says",
        [(0o600, None), (0o640, None), (0o644, "read it (mode 0644)"), (0o666, "read and replace it (mode 0666)")],
    )
    def test_06_keys_that_others_may_read(self, httpd, own, mode, says):
        host = own()
        httpd.root.joinpath("own.key").chmod(mode)
        lines = self.said(httpd, host)
        assert not lines if says is None else says in lines[0] and f"`chmod o= {httpd.root}/own.key`" in lines[0]
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        lines = self.said(httpd, httpd.vhost("b.test", *lines, cert=False), records=["tls", "ssl"])
        assert (says in "".join(lines)) if says else not any("own.key" in line for line in lines)

    def test_07_a_mode_that_changes_is_seen(self, httpd, own):
        """The file itself does not change."""
        host = own()
        httpd.root.joinpath("own.key").chmod(0o604)
        httpd.start(f"TLSEngine {httpd.port}", host)
        says = "own.key: everybody on this machine may read it"
        assert httpd.log.text().count(says) == 1
        httpd.root.joinpath("own.key").chmod(0o600)
        httpd.graceful()
        assert httpd.log.text().count(says) == 1

    def test_08_seeds_and_keys_for_backends(self, httpd, own, authority):
        seed = httpd.root / "seed"
        seed.write_bytes(os.urandom(48))
        seed.chmod(0o644)
        (line,) = self.said(httpd, "TLSSessionTicketKeyFile seed", own())
        assert "TLSSessionTicketKeyFile" in line and "seed: everybody on this machine may read it" in line
        machine = authority.server("machine", number=1).write(httpd.root, "machine", combined=True)
        httpd.root.joinpath("machine.pem").chmod(0o644)
        for lines in (
            ["TLSProxyEngine on", f"TLSProxyMachineCertificate {machine}"],
            ["SSLProxyEngine on", f"SSLProxyMachineCertificateFile {machine}", "SSLProxyVerify require"],
        ):
            lines = self.said(httpd, *lines, "TLSProxyCA ca.pem", own(), modules=["proxy"], records=["tls", "ssl"])
            assert [line for line in lines if "machine.pem: everybody on this machine may read it" in line]

    def test_09_names_that_are_not_ascii(self, httpd, own):
        lines = self.said(httpd, own("ServerAlias bücher.test"))
        assert len(lines) == 1 and "ServerAlias has letters that are not ASCII" in lines[0]
        assert "write ServerAlias xn--bcher-kva.test" in lines[0]
        host = own().replace("ServerName a.test", "ServerName пример.test")
        (line,) = self.said(httpd, host)
        assert re.search(r"httpd.conf:\d+: ServerName has .* write ServerName xn--e1afmkfd.test", line)
        host = own().replace("ServerName a.test", "ServerName u\u0308.test")
        (line,) = self.said(httpd, host)
        assert "A-label" in line and "idn2" in line

    def test_10_versions_that_do_not_exist(self, httpd, own):
        (line,) = self.said(httpd, "TLSProtocol TLSv1.2 TLSv0x0305", own())
        assert re.search(r"httpd.conf:\d+: TLSProtocol: TLSv0x0305: .*newest version.*remove it", line)
        lines = ["TLSProxyEngine on", "TLSProxyProtocol TLSv1.3 TLSv0x0305+", "TLSProxyCA ca.pem"]
        (line,) = self.said(httpd, *lines, own(), modules=["proxy"])
        assert "TLSProxyProtocol: TLSv0x0305+: " in line

    @pytest.mark.parametrize("place", ["{}", "<Location /x>\n{}\n</Location>"], ids=["host", "location"])
    def test_11_variables_that_do_not_exist(self, httpd, own, place):
        host = own(place.format("TLSUserName SSL_CLIENT_S_DN_NC"))
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        says = 'UserName takes the name of a variable, and none is called "SSL_CLIENT_S_DN_NC": did you mean SSL_C'
        assert not taken and f"TLS{says}" in text and re.search(r"httpd.conf:\d+: TLSUserName", text)
        # mod_ssl takes any name.
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        lines.append(place.format("SSLUserName SSL_CLIENT_S_DN_NC"))
        lines = self.said(httpd, httpd.vhost("a.test", *lines, cert=False), records=["tls", "ssl"])
        assert any(f"SSL{says}" in line for line in lines)
        for name in ("SSL_CLIENT_S_DN_CN", "SSL_CLIENT_SAN_Email_0", "SSL_CLIENT_S_DN_2.5.4.97_1_RAW"):
            assert self.said(httpd, own(place.format(f"TLSUserName {name}"))) == []

    def test_12_one_file_of_many_hosts(self, httpd, authority):
        cert = authority.server("*.many.test").write(httpd.root, "many")
        httpd.root.joinpath("many.key").chmod(0o644)
        assert len(self.said(httpd, *(httpd.vhost(f"h{i}.many.test", cert=cert) for i in range(20)))) == 1

    def test_13_hosts_of_mod_md(self, httpd):
        """A test cannot know yet whether mod_md has a certificate for the host: a start can."""
        host = f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\n</VirtualHost>"
        lines = ["MDomain a.test", "MDCertificateAgreement accepted", host]
        taken, text = diagnose(httpd, *lines, modules=["watchdog", "md"], records=["ssl"])
        assert taken, text
        taken, text = diagnose(httpd, host, records=["ssl"])
        assert not taken and "has SSLEngine on and no certificate" in text


class TestDefaults:
    """Words that httpd's former mod_tls took."""

    def test_01_default(self, httpd, own):
        lines = [
            "TLSCiphersPrefer default",
            "TLSCiphersSuppress Default",
            "TLSProxyEngine on",
            "TLSProxyCA default",
            "TLSProxyCiphersPrefer default",
            "TLSProxyCiphersSuppress default",
            "TLSProxyProtocol default",
        ]
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, own(), modules=["proxy"])
        assert taken, text
        assert "warn" not in text and "error" not in text

    def test_02_it_sets_aside_what_the_server_says(self, httpd, own):
        suites = "TLSCiphersSuppress TLS_AES_256_GCM_SHA384"
        for lines, has in [([], False), (["TLSCiphersSuppress default"], True)]:
            httpd.configure(f"TLSEngine {httpd.port}", suites, own(*lines))
            _, text = httpd.configtest("DUMP_TLS")
            host = text[text.index("Virtual host") :]
            assert ("TLS_AES_256_GCM_SHA384" in host) == has

    def test_03_not_beside_names(self, httpd, own):
        lines = ["TLSCiphersPrefer default TLS_AES_256_GCM_SHA384"]
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, own())
        assert not taken and 'TLSCiphersPrefer unknown cipher suite "default"' in text

    @pytest.mark.parametrize("prefix", ["TLS", "TLSProxy"])
    def test_04_numbers_that_nobody_knows(self, httpd, own, prefix):
        engine = [f"TLSEngine {httpd.port}", "TLSProxyEngine on", "TLSProxyCA ca.pem"]
        prefer = f"{prefix}CiphersPrefer TLS_CIPHER_0xFAFA:TLS_AES_128_GCM_SHA256"
        taken, text = diagnose(httpd, *engine, prefer, own(), modules=["proxy"])
        assert taken and text.count(f"{prefix}CiphersPrefer: no cipher suite with the number TLS_CIPHER_0xFAFA") == 1
        assert re.search(r"httpd.conf:\d+: TLS", text)
        taken, text = diagnose(httpd, *engine, f"{prefix}CiphersSuppress TLS_CIPHER_0xFAFA", own(), modules=["proxy"])
        assert taken and "FAFA" not in text
        taken, text = diagnose(httpd, *engine, f"{prefix}CiphersPrefer TLS_CIPHER_0xFAF", own(), modules=["proxy"])
        assert not taken and "TLS_CIPHER_0xFAF" in text and "four hexadecimal digits" in text
