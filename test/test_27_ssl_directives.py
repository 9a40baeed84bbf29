# SPDX-License-Identifier: Apache-2.0
"""mod_ssl's directives: each is honoured, has no effect, or is refused, and what it is, is said."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

from harness.certs import TRADITIONAL, key_pem
from harness.clients import curl, s_client
from harness.httpd import CRYPTO, HAS_POST_QUANTUM, wait_for
from harness.people import PeopleCa


class Ssl:
    """An httpd with the record that stands for mod_ssl."""

    def __init__(self, httpd):
        self.httpd, self.root = httpd, httpd.root

    def certificate(self, name, kind="p256", key=None, form=None, password=None):
        issued = self.httpd.authority.server(name, kind=kind)
        cert, key_file = self.root / f"{name}-{kind}.crt", self.root / f"{name}-{kind}.key"
        cert.write_bytes(issued.chain_pem)
        options = {"form": form} if form else {}
        key_file.write_bytes(key_pem(key or issued.key, password=password, **options))
        key_file.chmod(0o600)
        return [f"SSLCertificateFile {cert}", f"SSLCertificateKeyFile {key_file}"]

    def vhost(self, name, *lines, certificate=None):
        lines = [f"ServerName {name}", "SSLEngine on", *(certificate or self.certificate(name)), *lines]
        return "\n".join([f"<VirtualHost *:{self.httpd.port}>", *lines, "</VirtualHost>"])

    def configure(self, *lines, records=("ssl",), **options):
        self.httpd.configure(*lines, records=records, **options)

    def start(self, *lines, records=("ssl",), **options):
        return self.httpd.start(*lines, records=records, **options)

    def problems(self, *lines):
        """What httpd -t says is wrong."""
        self.configure(*lines)
        code, output = self.httpd.configtest()
        assert code != 0, output
        return output


@pytest.fixture
def ssl(httpd):
    return Ssl(httpd)


def directives_of(httpd, test_module, record):
    """The directives that a record has, with their contexts, as httpd knows them."""
    httpd.configure(test_module, records=[record])
    _, output = httpd.configtest("DUMP_TEST_DIRECTIVES")
    return dict(re.findall(r"^(SSL\w+) (\d+)$", output, re.M))


class TestTable:
    def test_00_same_directives_as_mod_ssl(self, httpd, test_module):
        ours, theirs = (directives_of(httpd, test_module, record) for record in ("ssl", "mod_ssl"))
        assert len(theirs) > 60 and ours == theirs

    def test_01_each_has_a_test(self):
        """Every directive of the documentation is in some test, or in an example that a test starts."""
        here = Path(__file__).parent
        documented = re.findall(r"^\| (SSL\w+) ", (here.parent / "docs/moving-from-mod_ssl.md").read_text(), re.M)
        files = [*here.glob("test_2[678]_*.py"), *(here.parent / "conf-examples/from-mod_ssl").rglob("*.conf")]
        tested = set(re.findall(r"\bSSL\w+", "".join(file.read_text() for file in files)))
        assert len(documented) > 60 and set(documented) <= tested, set(documented) - tested

    def test_02_if_module(self, ssl, httpd):
        lines = ["<IfModule mod_ssl.c>", "<IfModule ssl_module>", "<IfModule !tls_module>", ssl.vhost("a.test")]
        ssl.start(*lines, "</IfModule>", "</IfModule>", "</IfModule>")
        assert curl(httpd, "a.test").code == 200

    @pytest.mark.parametrize("records", [("tls", "ssl"), ("ssl", "tls")])
    def test_03_both_records(self, ssl, httpd, ports, records):
        """Hosts of both kinds, in any order of loading; each with its own names of ciphers."""
        port = ports.take()
        other = httpd.vhost("b.test", 'Header set X-Cipher "%{SSL_CIPHER}s"', port=port)
        mine = ssl.vhost("a.test", 'Header set X-Cipher "%{SSL_CIPHER}s"')
        ssl.start(f"Listen {port}\nTLSEngine {port}", mine, other, records=records)
        tls12 = ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]
        assert curl(httpd, "a.test", "/", *tls12).headers["x-cipher"] == "ECDHE-ECDSA-AES128-GCM-SHA256"
        found = curl(httpd, "b.test", "/", *tls12, port=port).headers["x-cipher"]
        assert found == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200
        assert curl(httpd, "b.test", port=port).code == 200

    @pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
    def test_04_restarts(self, ssl, httpd, mpm):
        httpd.log.allow("AH10034")
        ssl.start("SSLSessionCache shmcb:ssl_scache(512000)\nMutex file:. ssl-cache", ssl.vhost("a.test"), mpm=mpm)
        for _ in range(3):
            httpd.graceful()
            assert curl(httpd, "a.test").code == 200

    @pytest.mark.parametrize("records", [("tls", "mod_ssl"), ("mod_ssl", "tls")])
    def test_05_beside_mod_ssl(self, ssl, httpd, ports, records):
        """Ours and the real one, in any order, also after they were loaded again."""
        port = ports.take()
        other = httpd.vhost("b.test", 'Header set X-Library "%{SSL_VERSION_LIBRARY}s"', port=port)
        theirs = ssl.vhost("a.test", 'Header set X-Library "%{SSL_VERSION_LIBRARY}s"')
        httpd.log.allow("AH02217|AH01909|AH01906")
        ssl.start(f"Listen {port}\nTLSEngine {port}", theirs, other, records=records)
        for _ in range(3):
            assert "OpenSSL" in curl(httpd, "a.test").headers["x-library"]
            assert "rustls" in curl(httpd, "b.test", port=port).headers["x-library"]
            httpd.graceful()


WITHOUT_EFFECT = [
    "SSLRandomSeed startup builtin",
    "SSLRandomSeed connect file:/dev/urandom 512",
    "SSLCryptoDevice builtin",
    "SSLCompression off",
    "SSLInsecureRenegotiation off",
    "SSLStaplingCache shmcb:stapling(128000)",
    "SSLStaplingErrorCacheTimeout 600",
    "SSLStaplingFakeTryLater on",
    "SSLStaplingForceURL http://ocsp.example/",
    "SSLStaplingResponderTimeout 5",
    "SSLStaplingResponseMaxAge 100",
    "SSLStaplingResponseTimeSkew 300",
    "SSLStaplingReturnResponderErrors off",
    "SSLStaplingStandardCacheTimeout 3600",
    "SSLOCSPDefaultResponder http://ocsp.example/",
    "SSLOCSPNoVerify off",
    "SSLOCSPOverrideResponder off",
    "SSLOCSPProxyURL http://proxy.example/",
    "SSLOCSPResponderCertificateFile responder.pem",
    "SSLOCSPResponderTimeout 10",
    "SSLOCSPResponseMaxAge -1",
    "SSLOCSPResponseTimeSkew 300",
    "SSLOCSPUseRequestNonce on",
    "SSLOpenSSLConfCmd DHParameters /dev/null",
    "SSLOpenSSLConfCmd Options -ClientRenegotiation",
    "SSLUseStapling on",
    "<Location />\nSSLRenegBufferSize 100000\n</Location>",
]

REFUSED = [
    ("SSLCompression on", "makes secrets guessable"),
    ("SSLInsecureRenegotiation on", "CVE-2009-3555"),
    ("SSLCryptoDevice pkcs11", "take the key from a file"),
    ("SSLSRPVerifierFile /x", "use client certificates"),
    ("SSLSRPUnknownUserSeed x", "use client certificates"),
    ("SSLOCSPEnable on", "use revocation lists"),
    ("SSLOCSPEnable leaf", "use revocation lists"),
    ("SSLLog logs/ssl", "use ErrorLog"),
    ("SSLLogLevel warn", "use ErrorLog"),
    ("SSLEngine optional", "give plain HTTP a port of its own"),
    ("SSLCertificateKeyFile pkcs11:token=x", "keys in hardware"),
    ("SSLProtocol all -TLSv1.2 -TLSv1.3", "add TLSv1.2 and TLSv1.3"),
    ("SSLProtocol SSLv4", "SSLProtocol takes all, SSLv3"),
    ("SSLProtocol -all +TLSv1.2\nSSLCipherSuite AES128-SHA", "leaves no suite of TLSv1.2"),
    ("SSLCipherSuite RC4:3DES", "leaves no suite of TLSv1.2"),
    ("SSLCipherSuite TLSv1.3 nonsense", "leaves no suite of TLSv1.3"),
    ("SSLCipherSuite TLSv1.2 HIGH", 'none for "TLSv1.2"'),
    ("SSLCipherSuite HIGH:@NONSENSE", "neither @STRENGTH nor"),
    ("SSLOpenSSLConfCmd VerifyMode Peer", "this is not OpenSSL"),
    ("SSLOpenSSLConfCmd Groups P-999", "no group that is known"),
    ("SSLOpenSSLConfCmd MinProtocol TLSv1.3\nSSLOpenSSLConfCmd MaxProtocol TLSv1.2", "leave no version"),
    ("SSLVHostSNIPolicy often", "takes strict, secure, authonly or insecure"),
    ("SSLVerifyClient perhaps", "takes none, optional, require or optional_no_ca"),
    ("SSLVerifyClient required", "takes none, optional, require or optional_no_ca"),
    ("SSLVerifyDepth deep", "takes the number of CAs"),
    ("SSLCARevocationCheck all", "takes leaf, chain or none"),
    ("SSLSessionTickets maybe", 'takes "on" or "off"'),
    ("SSLSessionTicketKeyFile /dev/null", "/dev/null: cannot be read: it is a device"),
    ("SSLHonorCipherOrder", "takes at least one argument"),
    ("SSLPassPhraseDialog ask", "takes builtin, exec:/path/to/program"),
    ("SSLPassPhraseDialog exec:/nothing/there", "/nothing/there is no program"),
    ("SSLProxyVerify sometimes", "takes none, optional, require or optional_no_ca"),
    ("SSLCertificateFile /nothing/there", "SSLCertificateFile /nothing/there: no such file"),
    ("<Location />\nSSLCACertificateFile ca.pem\n</Location>", "nothing is renegotiated"),
    ("<Location />\nSSLVerifyDepth x\n</Location>", "takes the number of CAs"),
    ("<Location />\nSSLCipherSuite @x\n</Location>", "neither @STRENGTH nor"),
    ("<Location />\nSSLRequire %{X\n</Location>", "SSLRequire"),
]


class TestClasses:
    def test_01_without_effect(self, ssl, httpd):
        ssl.start(*WITHOUT_EFFECT, ssl.vhost("a.test"))
        assert curl(httpd, "a.test").code == 200
        text = httpd.log.text()
        assert len(re.findall(r"directives do not do what they do with mod_ssl", text)) == 1
        assert f"{len(WITHOUT_EFFECT)} directives do not" in text
        names = {line.split("\n")[-2 if "\n" in line else 0].split()[0] for line in WITHOUT_EFFECT}
        assert all(name in text for name in names)

    @pytest.mark.parametrize("line,why", REFUSED)
    def test_02_refused(self, ssl, httpd, line, why):
        base = [
            part for part in ("SSLPassPhraseDialog", "SSLCryptoDevice", "SSLVHostSNIPolicy") if line.startswith(part)
        ]
        host = ssl.vhost("a.test", *([] if base else [line]))
        output = ssl.problems(*([line] if base else []), host)
        assert why in output and "httpd.conf" in output, output
        assert not re.search(r"\S {3,}\S", output), output
        # Nobody who has mod_ssl's directives is told of ours.
        assert not re.search(r"\bTLS[A-Z][a-z]", output), output

    @pytest.mark.parametrize(
        "line",
        ["SSLPassPhraseDialog builtin", "SSLSessionCache none", "SSLRandomSeed startup builtin", "SSLFIPS off"],
    )
    def test_03_not_in_virtual_hosts(self, ssl, line):
        assert "outside of <VirtualHost>" in ssl.problems(ssl.vhost("a.test", line))

    def test_04_everything_is_fine(self, ssl, httpd):
        lines = ["SSLProtocol -all +TLSv1.2 +TLSv1.3", "SSLCipherSuite HIGH:!aNULL", "SSLHonorCipherOrder off"]
        lines += ["SSLSessionTickets off", "SSLOptions +StdEnvVars", "SSLStrictSNIVHostCheck off", "SSLOCSPEnable off"]
        ssl.configure(*lines, ssl.vhost("a.test"))
        code, output = httpd.configtest("DUMP_SSL_COMPAT")
        assert code == 0 and "do not do here what they do with mod_ssl:\n  none\n" in output
        httpd.run()
        wait_for(lambda: "resuming normal operations" in httpd.log.text(), "httpd")
        assert "do not do what they do" not in httpd.log.text()

    def test_05_dump_compat(self, ssl, httpd):
        lines = ["SSLProtocol all -SSLv3", "SSLRandomSeed startup builtin", "SSLCompression on"]
        inner = ["<Location />", "SSLVerifyClient require", "SSLCipherSuite AES128", "SSLOptions +OptRenegotiate"]
        inner += ["</Location>", f"SSLCACertificateFile {httpd.ca_file}", "SSLSessionCacheTimeout 10000000"]
        host = ssl.vhost("a.test", "SSLUseStapling on", "SSLOpenSSLConfCmd Groups X448:X25519", *inner)
        ssl.configure(*lines, host)
        code, output = httpd.configtest("DUMP_SSL_COMPAT")
        assert code != 0
        lines = enumerate(httpd.conf_file.read_text().split("\n"), 1)
        numbers = {line.split()[0]: at for at, line in lines if line}
        for directive, what in {
            "SSLProtocol": "TLSv1, TLSv1.1 are not spoken",
            "SSLRandomSeed": "has no effect: the system's random numbers",
            "SSLUseStapling": "load mod_md, and say MDStapling on",
            "SSLOpenSSLConfCmd": "X448 is not spoken here",
            "SSLVerifyClient": "in a section: the handshake of the whole virtual host asks",
            "SSLCipherSuite": "in a section renegotiates nothing",
            "SSLOptions": "OptRenegotiate has no effect",
            "SSLSessionCacheTimeout": "10000000 counts as 604800",
        }.items():
            assert re.search(f"  {httpd.conf_file}:{numbers[directive]}: {directive}.*{what}", output), output
        assert re.search(f"refused: {httpd.conf_file}:{numbers['SSLCompression']}: SSLCompression on", output)

    def test_06_dump_certs(self, ssl, httpd):
        lines = [ssl.vhost("a.test", *ssl.certificate("a.test", "rsa2048")), ssl.vhost("b.test")]
        outputs = []
        for record in ("ssl", "mod_ssl"):
            ssl.configure(*lines, records=[record])
            code, output = httpd.configtest("DUMP_CERTS")
            assert code == 0
            outputs.append(output[output.index("Server certificates:") :].replace("Syntax OK\n", ""))
        assert outputs[0] == outputs[1] and outputs[0].count("\n") == 4

    def test_07_no_certificate(self, ssl):
        host = f"<VirtualHost *:{ssl.httpd.port}>\nServerName a.test\nSSLEngine on\n</VirtualHost>"
        assert "give it SSLCertificateFile and SSLCertificateKeyFile" in ssl.problems(host)

    def test_08_log_level(self, ssl, httpd):
        ssl.start(ssl.vhost("a.test"), log_level="warn ssl:info")
        assert curl(httpd, "unknown.test", "/", "--tls-max", "1.1").exit
        wait_for(lambda: "[ssl:info]" in httpd.log.text(), "a message")


class TestCertificates:
    @pytest.mark.parametrize("order", ["pairs", "files first", "ecdsa last"])
    def test_01_several(self, ssl, httpd, order):
        rsa, ecdsa = ssl.certificate("a.test", "rsa2048"), ssl.certificate("a.test", "p256")
        lines = {
            "pairs": [*ecdsa, *rsa],
            "files first": [rsa[0], ecdsa[0], rsa[1], ecdsa[1]],
            "ecdsa last": [*rsa, *ecdsa],
        }
        ssl.start(ssl.vhost("a.test", certificate=lines[order]))
        assert "rsa" in s_client(httpd, "-sigalgs", "RSA-PSS+SHA256", name="a.test").output.lower()
        assert "Peer signature type: ECDSA" in s_client(httpd, name="a.test").output

    def test_02_last_of_a_kind(self, ssl, httpd):
        """Of two certificates with the same kind of key the last one counts."""
        ssl.start(ssl.vhost("a.test", certificate=[*ssl.certificate("old.test"), *ssl.certificate("a.test")]))
        assert curl(httpd, "a.test").code == 200

    def test_03_chain_file(self, ssl, httpd, authority):
        issued = authority.server("a.test")
        (ssl.root / "leaf.crt").write_bytes(issued.cert_pem)
        (ssl.root / "leaf.key").write_bytes(key_pem(issued.key))
        (ssl.root / "chain.crt").write_bytes(issued.chain_pem)
        files = ["SSLCertificateFile leaf.crt", "SSLCertificateKeyFile leaf.key", "SSLCertificateChainFile chain.crt"]
        ssl.start(ssl.vhost("a.test", certificate=files))
        assert curl(httpd, "a.test").code == 200
        assert s_client(httpd, "-showcerts", name="a.test").output.count("BEGIN CERTIFICATE") == 2

    def test_04_inherited(self, ssl, httpd):
        """What the base server has, hosts have that say nothing else."""
        httpd.log.allow("is not covered by")
        own = f"<VirtualHost *:{httpd.port}>\nServerName a.test\n</VirtualHost>"
        ssl.start("SSLEngine on", *ssl.certificate("a.test"), own, ssl.vhost("b.test"))
        assert curl(httpd, "a.test").code == curl(httpd, "b.test").code == 200

    def test_05_key_in_the_certificates_file(self, ssl, httpd, authority):
        authority.server("a.test").write(ssl.root, "both", combined=True)
        ssl.start(ssl.vhost("a.test", certificate=["SSLCertificateFile both.pem"]))
        assert curl(httpd, "a.test").code == 200


class TestPassPhrases:
    @pytest.fixture
    def dialog(self, ssl):
        """A program that writes down what it is asked, and answers."""

        def make(answer="secret", name="ask"):
            program = ssl.root / name
            program.write_text(f'#!/bin/sh\necho "$@" >> {ssl.root}/asked\n{answer}\n')
            program.chmod(program.stat().st_mode | stat.S_IEXEC)
            return program

        return make

    @staticmethod
    def asked(ssl):
        file = ssl.root / "asked"
        return file.read_text().splitlines() if file.exists() else []

    @pytest.mark.parametrize("kind", ["p256", "rsa2048"])
    @pytest.mark.parametrize("form", [None, TRADITIONAL], ids=["pkcs8", "traditional"])
    def test_01_exec(self, ssl, httpd, dialog, kind, form):
        """Asked once for each pass phrase at start, and no more when reloading."""
        first = ssl.certificate("a.test", kind, form=form, password=b"secret")
        second = ssl.certificate("b.test", kind, form=form, password=b"secret")
        third = ssl.certificate("c.test", kind, form=form, password=b"other")
        program = dialog('case "$1" in c.test:*) echo other;; *) echo secret;; esac')
        hosts = [
            ssl.vhost(f"{name}.test", certificate=c) for name, c in zip("abc", (first, second, third), strict=True)
        ]
        ssl.start(f"SSLPassPhraseDialog exec:{program}", *hosts)
        assert sorted(self.asked(ssl))[-1] == "c.test:443 RSA" and len(self.asked(ssl)) == 2
        httpd.graceful()
        for name in "abc":
            assert curl(httpd, f"{name}.test").code == 200
        assert len(self.asked(ssl)) == 2
        # A key that is new, with a pass phrase that is known.
        ssl.certificate("a.test", kind, form=form, password=b"other")
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200 and len(self.asked(ssl)) == 2

    @pytest.mark.parametrize("cipher", ["-aes128", "-aes192", "-aes256", "-des3"])
    def test_02_openssls_older_form(self, ssl, httpd, dialog, cipher):
        lines = ssl.certificate("a.test")
        key = lines[1].split()[1]
        make = ["openssl", "ec", "-in", key, cipher, "-passout", "pass:secret", "-out", f"{key}.enc"]
        subprocess.run(make, check=True, capture_output=True)
        certificate = [lines[0], f"{lines[1]}.enc"]
        ssl.start(f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl.vhost("a.test", certificate=certificate))
        assert curl(httpd, "a.test").code == 200

    @pytest.mark.parametrize("options", ["-v2 aes-128-cbc", "-v2 des3", "-v2 aes256 -v2prf hmacWithSHA1", "-scrypt"])
    def test_03_pkcs8(self, ssl, httpd, dialog, options):
        lines = ssl.certificate("a.test")
        key = lines[1].split()[1]
        make = [
            "openssl",
            "pkcs8",
            "-topk8",
            "-in",
            key,
            *options.split(),
            "-passout",
            "pass:secret",
            "-out",
            f"{key}.enc",
        ]
        subprocess.run(make, check=True, capture_output=True)
        certificate = [lines[0], f"{lines[1]}.enc"]
        ssl.start(f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl.vhost("a.test", certificate=certificate))
        assert curl(httpd, "a.test").code == 200

    def test_04_pipe(self, ssl, httpd, dialog):
        """A program that is asked again if it is wrong."""
        program = dialog(
            'while read -r line; do case "$line" in Enter*) n=x$n; '
            'if [ "$n" = x ]; then echo wrong; else echo secret; fi;; esac; done'
        )
        certificate = ssl.certificate("a.test", password=b"secret")
        ssl.start(f'SSLPassPhraseDialog "|{program} an-argument"', ssl.vhost("a.test", certificate=certificate))
        assert curl(httpd, "a.test").code == 200
        assert self.asked(ssl) == ["an-argument"]

    @pytest.mark.parametrize(
        "answer,why",
        [
            ("echo wrong", "the pass phrase is wrong"),
            ("true", "the program has printed no pass phrase"),
            ("exit 1", "the program has printed no pass phrase"),
        ],
    )
    @pytest.mark.parametrize("kind", ["exec:", "|"])
    def test_05_wrong(self, ssl, httpd, dialog, kind, answer, why):
        program = dialog(
            answer if kind == "exec:" or "wrong" not in answer else "while read -r line; do echo wrong; done"
        )
        certificate = ssl.certificate("a.test", password=b"secret")
        ssl.configure(f"SSLPassPhraseDialog {kind}{program}", ssl.vhost("a.test", certificate=certificate))
        httpd.log.expect(why)
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0
        assert httpd._process.returncode > 0
        assert f"{certificate[1].split()[1]}: the private key is encrypted" in httpd.log.text()

    def test_06_no_terminal(self, ssl, httpd):
        ssl.configure(ssl.vhost("a.test", certificate=ssl.certificate("a.test", password=b"secret")))
        httpd.log.expect("there is no terminal")
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0

    def test_07_config_test_asks_nobody(self, ssl, httpd, dialog):
        certificate = ssl.certificate("a.test", password=b"secret")
        ssl.configure(f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl.vhost("a.test", certificate=certificate))
        assert httpd.configtest()[0] == 0 and self.asked(ssl) == []

    def test_08_unsupported(self, ssl, httpd, dialog):
        lines = ssl.certificate("a.test")
        key = lines[1].split()[1]
        make = [
            "openssl",
            "pkcs8",
            "-topk8",
            "-in",
            key,
            "-v1",
            "PBE-SHA1-3DES",
            "-passout",
            "pass:x",
            "-out",
            f"{key}.enc",
        ]
        subprocess.run(make, check=True, capture_output=True)
        certificate = [lines[0], f"{lines[1]}.enc"]
        ssl.configure(f"SSLPassPhraseDialog exec:{dialog('echo x')}", ssl.vhost("a.test", certificate=certificate))
        httpd.log.expect("openssl pkcs8 -topk8 -v2")
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0

    def test_09_terminal(self, ssl, httpd, dialog):
        """Somebody types, at a terminal of this test's own, and is wrong the first time."""
        ssl.configure(ssl.vhost("a.test", certificate=ssl.certificate("a.test", password=b"secret")))
        command = f"{httpd.installation.program} -f {httpd.conf_file} -DFOREGROUND"
        answers = f'(sleep 1; echo wrong; sleep 1; echo secret; sleep 2) | script -qec "{command}" /dev/null'
        with subprocess.Popen(answers, shell=True, stdout=subprocess.PIPE, start_new_session=True) as process:
            wait_for(lambda: "resuming normal operations" in httpd.log.text(), "httpd")
            assert curl(httpd, "a.test").code == 200
            subprocess.run(["kill", httpd.root.joinpath("pid").read_text().strip()], check=True)
            output = process.communicate(timeout=30)[0].decode()
        assert output.count("Enter pass phrase:") == 2 and "secret" not in httpd.log.text()


class TestOthers:
    def test_01_certificates_of_other_modules(self, ssl, httpd, authority, test_module):
        """mod_md has them for hosts that name none."""
        files = authority.server("a.test").write(ssl.root, "supplied")
        host = f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nTestCertificate {files}\n</VirtualHost>"
        ssl.start(test_module, "SSLUseStapling on", host)
        assert curl(httpd, "a.test").code == 200
        assert "do not do what they do" not in httpd.log.text()

    def test_02_stopgaps(self, ssl, httpd, authority, test_module):
        """And until it has them, requests are answered with 503."""
        files = authority.server("a.test").write(ssl.root, "stopgap")
        host = f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nTestStopgap {files}\n</VirtualHost>"
        ssl.start(test_module, host)
        assert curl(httpd, "a.test").code == 503

    def test_03_rewrite_and_scheme(self, ssl, httpd):
        """What mod_rewrite and mod_headers make of it."""
        rules = ["RewriteEngine on", "RewriteCond %{HTTPS} =on", "RewriteCond %{SSL:SSL_PROTOCOL} =TLSv1.3"]
        rules += ["RewriteRule ^/seen$ https://other.test/ [R=301,L]", 'Header set X-Scheme "expr=%{REQUEST_SCHEME}"']
        ssl.start(ssl.vhost("a.test", *rules))
        assert curl(httpd, "a.test", "/seen").headers["location"] == "https://other.test/"
        assert curl(httpd, "a.test").headers["x-scheme"] == "https"

    def test_04_http2(self, ssl, httpd):
        ssl.start(ssl.vhost("a.test", "Protocols h2 http/1.1", 'Header set X-Cipher "%{SSL_CIPHER}s"'))
        response = curl(httpd, "a.test", "/", "--http2", "--tls-max", "1.2")
        assert response.version == "2" and response.headers["x-cipher"].startswith("ECDHE-ECDSA-")

    def test_05_status(self, ssl, httpd):
        ssl.start("<Location /status>\nSetHandler server-status\n</Location>", ssl.vhost("a.test"))
        assert "mod_tls" in curl(httpd, "a.test", "/status").text


class TestSessions:
    @pytest.mark.parametrize("size", [48, 80])
    def test_01_ticket_key_file(self, ssl, httpd, size):
        (ssl.root / "tickets").write_bytes(bytes(range(size)))
        ssl.start(ssl.vhost("a.test", "SSLSessionTicketKeyFile tickets"), ssl.vhost("b.test"))
        for name in ("a.test", "b.test"):
            file = ssl.root / f"{name}.sess"
            s_client(httpd, "-sess_out", str(file), name=name, send=b"GET / HTTP/1.0\r\n\r\n")
            assert s_client(httpd, "-sess_in", str(file), name=name).reused
        other = s_client(httpd, "-sess_in", str(ssl.root / "a.test.sess"), name="b.test")
        assert not other.reused

    def test_02_lifetime(self, ssl, httpd):
        ssl.start(ssl.vhost("a.test"), ssl.vhost("b.test", "SSLSessionCacheTimeout 1000"))
        for name, lifetime in {"a.test": 300, "b.test": 1000}.items():
            output = s_client(httpd, name=name, send=b"GET / HTTP/1.0\r\n\r\n").output
            assert f"TLS session ticket lifetime hint: {lifetime} (seconds)" in output


class TestSni:
    def test_01_unknown_names(self, ssl, httpd):
        """They get the first host, as everybody did before SNI."""
        ssl.start(ssl.vhost("a.test"), ssl.vhost("b.test"))
        assert curl(httpd, "unknown.test", "/", "-k").code == 200
        assert s_client(httpd, name="unknown.test").subject == "CN = a.test"

    def test_02_listen_says_https(self, ssl, httpd, ports):
        port = ports.take()
        host = ssl.vhost("a.test").replace("SSLEngine on", "").replace(f":{httpd.port}>", f":{port}>")
        ssl.start(f"Listen {port} https", host)
        assert curl(httpd, "a.test", port=port).code == 200
        ssl.configure(f"Listen {port} https", host.replace(".crt", ".missing"))
        assert "no such file" in httpd.configtest()[1]


class TestSuites:
    LISTS = [
        "HIGH:!aNULL",
        "EECDH+AESGCM:EDH+AESGCM:AES256+EECDH",
        "ALL:!ADH:RC4+RSA:+HIGH:+MEDIUM:+LOW:+SSLv2:+EXP:+eNULL",
        "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:HIGH:!aNULL:!MD5",
        "DEFAULT:!AES128",
        "AES128:AES256:@STRENGTH",
        "ALL:-ECDSA:+AES256:ALL",
        "kEECDH+aRSA:CHACHA20",
        "ECDHE+AES:-AES256:+AES128:ALL:!CHACHA20",
        "FIPS:@STRENGTH:@SECLEVEL=2",
    ]

    @pytest.mark.skipif(CRYPTO == "fips", reason="there is no ChaCha20")
    @pytest.mark.parametrize("text", LISTS)
    def test_01_as_openssl(self, ssl, httpd, text):
        """The suites that a list comes to, in their order, by OpenSSL and by us."""
        ssl.configure(ssl.vhost("a.test", f'SSLCipherSuite "{text}"'))
        _, dump = httpd.configtest("DUMP_TLS")
        ours = re.findall(r"TLS_ECDHE_(ECDSA|RSA)_WITH_(AES_\d+|CHACHA20)", dump)
        listed = subprocess.run(
            ["openssl", "ciphers", "-tls1_2", "-s", text], capture_output=True, text=True, check=True
        )
        theirs = re.findall(r"ECDHE-(ECDSA|RSA)-(AES\d+-GCM|CHACHA20)", listed.stdout)
        assert ours == [(kind, cipher.replace("AES", "AES_").removesuffix("-GCM")) for kind, cipher in theirs]

    def test_02_unknown_words(self, ssl, httpd):
        ssl.start(ssl.vhost("a.test", "SSLCipherSuite HIGH:nonsense:!aNULL"))
        assert "no cipher suite is known by nonsense: passed over, as OpenSSL does" in httpd.log.text()

    @pytest.mark.skipif(not HAS_POST_QUANTUM, reason="there is no X25519MLKEM768")
    def test_03_post_quantum_by_default(self, ssl, rustls_client, httpd):
        ssl.start(ssl.vhost("a.test"))
        assert "hello" in rustls_client(httpd)


class TestClients:
    def test_01_no_ca(self, ssl, httpd):
        """mod_ssl starts, and no certificate is good."""
        httpd.log.expect("SSLVerifyClient needs SSLCACertificateFile")
        ssl.start(ssl.vhost("a.test", "SSLVerifyClient optional"))
        alice = PeopleCa().client("alice").write(ssl.root, "alice")
        assert curl(httpd, "a.test").code == 200
        assert curl(httpd, "a.test", "/", *alice).exit

    def test_02_crl_without_check(self, ssl, httpd):
        ca = PeopleCa()
        (ssl.root / "ca.crt").write_bytes(ca.pem)
        (ssl.root / "crl").write_bytes(ca.crl())
        lines = ["SSLVerifyClient require", "SSLCACertificateFile ca.crt", "SSLCARevocationFile crl"]
        ssl.start(ssl.vhost("a.test", *lines))
        assert "SSLCARevocationCheck none: the revocation lists of SSLCARevocationFile are not used" in httpd.log.text()
        assert "needs SSLCARevocationFile" in ssl.problems(
            ssl.vhost("a.test", *lines[:2], "SSLCARevocationCheck chain")
        )
