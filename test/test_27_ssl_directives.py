# SPDX-License-Identifier: Apache-2.0
"""mod_ssl's directives: each is implemented, has no effect or is refused, and the messages say which."""

import re
from pathlib import Path

import pytest

from harness.clients import curl
from harness.httpd import wait_for


def directives_of(httpd, test_module, record):
    """The directives of a module record, with their contexts, from httpd."""
    httpd.configure(test_module, records=[record])
    _, output = httpd.configtest("DUMP_TEST_DIRECTIVES")
    return dict(re.findall(r"^(SSL\w+) (\d+)$", output, re.M))


class TestTable:
    def test_00_same_directives_as_mod_ssl(self, httpd, test_module):
        ours, theirs = (directives_of(httpd, test_module, record) for record in ("ssl", "mod_ssl"))
        assert len(theirs) > 60 and ours == theirs

    def test_01_each_has_a_test(self):
        """Every documented directive is used in a test, or in an example that a test starts."""
        here = Path(__file__).parent
        documented = re.findall(r"^\| (SSL\w+) ", (here.parent / "docs/moving-from-mod_ssl.md").read_text(), re.M)
        files = [*here.glob("test_2[678]_*.py"), *(here.parent / "conf-examples/from-mod_ssl").rglob("*.conf")]
        tested = set(re.findall(r"\bSSL\w+", "".join(file.read_text() for file in files)))
        assert len(documented) > 60 and set(documented) <= tested, set(documented) - tested

    def test_02_if_module(self, ssl_server, httpd):
        lines = ["<IfModule mod_ssl.c>", "<IfModule ssl_module>", "<IfModule !tls_module>", ssl_server.vhost("a.test")]
        ssl_server.start(*lines, "</IfModule>", "</IfModule>", "</IfModule>")
        assert curl(httpd, "a.test").code == 200

    @pytest.mark.parametrize("records", [("tls", "ssl"), ("ssl", "tls")])
    def test_03_both_records(self, ssl_server, httpd, ports, records):
        """Virtual hosts of both records, in any order of loading. Each uses its own cipher names."""
        port = ports.take()
        other = httpd.vhost("b.test", 'Header set X-Cipher "%{SSL_CIPHER}s"', port=port)
        mine = ssl_server.vhost("a.test", 'Header set X-Cipher "%{SSL_CIPHER}s"')
        ssl_server.start(f"Listen {port}\nTLSEngine {port}", mine, other, records=records)
        tls12 = ["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"]
        assert curl(httpd, "a.test", "/", *tls12).headers["x-cipher"] == "ECDHE-ECDSA-AES128-GCM-SHA256"
        found = curl(httpd, "b.test", "/", *tls12, port=port).headers["x-cipher"]
        assert found == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200
        assert curl(httpd, "b.test", port=port).code == 200

    @pytest.mark.parametrize("mpm", ["prefork", "worker", "event"])
    def test_04_restarts(self, ssl_server, httpd, mpm):
        httpd.log.allow("AH10034")
        ssl_server.start(
            "SSLSessionCache shmcb:ssl_scache(512000)\nMutex file:. ssl-cache", ssl_server.vhost("a.test"), mpm=mpm
        )
        for _ in range(3):
            httpd.graceful()
            assert curl(httpd, "a.test").code == 200

    @pytest.mark.parametrize("records", [("tls", "mod_ssl"), ("mod_ssl", "tls")])
    def test_05_beside_mod_ssl(self, ssl_server, httpd, ports, records):
        """This module and mod_ssl, in any order of loading, also after reloads."""
        port = ports.take()
        other = httpd.vhost("b.test", 'Header set X-Library "%{SSL_VERSION_LIBRARY}s"', port=port)
        theirs = ssl_server.vhost("a.test", 'Header set X-Library "%{SSL_VERSION_LIBRARY}s"')
        httpd.log.allow("AH02217|AH01909|AH01906")
        ssl_server.start(f"Listen {port}\nTLSEngine {port}", theirs, other, records=records)
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
    "SSLStaplingFakeTryLater on",
    "SSLStaplingReturnResponderErrors off",
    "SSLOpenSSLConfCmd DHParameters /dev/null",
    "SSLOpenSSLConfCmd Options -ClientRenegotiation",
    "<Location />\nSSLRenegBufferSize 100000\n</Location>",
]

# test_62_differential_ocsp.py has what they do.
OCSP = [
    "SSLUseStapling on",
    "SSLStaplingErrorCacheTimeout 600",
    "SSLStaplingForceURL http://ocsp.example/",
    "SSLStaplingResponderTimeout 5",
    "SSLStaplingResponseMaxAge 100",
    "SSLStaplingResponseTimeSkew 300",
    "SSLStaplingStandardCacheTimeout 3600",
    "SSLOCSPEnable off",
    "SSLOCSPDefaultResponder http://ocsp.example/",
    "SSLOCSPNoVerify off",
    "SSLOCSPOverrideResponder off",
    "SSLOCSPProxyURL http://proxy.example/",
    "SSLOCSPResponderCertificateFile responder.pem",
    "SSLOCSPResponderTimeout 10",
    "SSLOCSPResponseMaxAge -1",
    "SSLOCSPResponseTimeSkew 300",
    "SSLOCSPUseRequestNonce on",
]

REFUSED = [
    ("SSLCompression on", "makes secrets guessable"),
    ("SSLInsecureRenegotiation on", "CVE-2009-3555"),
    ("SSLCryptoDevice pkcs11", "take the key from a file"),
    ("SSLSRPVerifierFile /x", "use client certificates"),
    ("SSLSRPUnknownUserSeed x", "use client certificates"),
    ("SSLOCSPEnable maybe", "takes off, leaf or chain"),
    ("SSLOCSPEnable leaf nonsense", "knows the flags"),
    ("SSLOCSPDefaultResponder ldap://ocsp.example/", "takes a URL that begins with http://"),
    ("SSLOCSPResponderTimeout soon", "takes a number of seconds"),
    ("SSLLog logs/ssl", "use ErrorLog"),
    ("SSLLogLevel warn", "use ErrorLog"),
    ("SSLEngine optional", "give plain HTTP a port of its own"),
    ("SSLCertificateKeyFile pkcs11:tokn=x", "perhaps token is meant"),
    ("SSLProtocol all -TLSv1.2 -TLSv1.3", "add TLSv1.2 and TLSv1.3"),
    ("SSLProtocol SSLv4", "SSLProtocol takes all, SSLv3"),
    ("SSLProtocol -all +TLSv1.2\nSSLCipherSuite AES128-SHA", "leaves no suite of TLSv1.2"),
    ("SSLCipherSuite RC4:3DES", "leaves no suite of TLSv1.2"),
    ("SSLCipherSuite TLSv1.3 nonsense", "leaves no suite of TLSv1.3"),
    ("SSLCipherSuite TLSv1.2 HIGH", 'none for "TLSv1.2"'),
    ("SSLCipherSuite HIGH:@NONSENSE", "neither @STRENGTH nor"),
    ("SSLOpenSSLConfCmd VerifyMode Peer", "this is not OpenSSL"),
    ("SSLOpenSSLConfCmd Groups P-999", "is not a known group"),
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
    ("SSLPassPhraseDialog exec:/nothing/there", "/nothing/there is not a program"),
    ("SSLProxyVerify sometimes", "takes none, optional, require or optional_no_ca"),
    ("SSLCertificateFile /nothing/there", "SSLCertificateFile /nothing/there: no such file"),
    ("<Location />\nSSLCACertificateFile ca.pem\n</Location>", "nothing is renegotiated"),
    ("<Location />\nSSLVerifyDepth x\n</Location>", "takes the number of CAs"),
    ("<Location />\nSSLCipherSuite @x\n</Location>", "neither @STRENGTH nor"),
    ("<Location />\nSSLRequire %{X\n</Location>", "SSLRequire"),
]


class TestClasses:
    def test_01_without_effect(self, ssl_server, httpd):
        ssl_server.start(*WITHOUT_EFFECT, ssl_server.vhost("a.test"))
        assert curl(httpd, "a.test").code == 200
        text = httpd.log.text()
        assert len(re.findall(r"directives do not do what they do with mod_ssl", text)) == 1
        assert f"{len(WITHOUT_EFFECT)} directives do not" in text
        names = {line.split("\n")[-2 if "\n" in line else 0].split()[0] for line in WITHOUT_EFFECT}
        assert all(name in text for name in names)

    @pytest.mark.parametrize("line,why", REFUSED)
    def test_02_refused(self, ssl_server, httpd, line, why):
        base = [
            part for part in ("SSLPassPhraseDialog", "SSLCryptoDevice", "SSLVHostSNIPolicy") if line.startswith(part)
        ]
        host = ssl_server.vhost("a.test", *([] if base else [line]))
        output = ssl_server.problems(*([line] if base else []), host)
        assert why in output and "httpd.conf" in output, output
        assert not re.search(r"\S {3,}\S", output), output
        # The messages do not name this module's own directives.
        assert not re.search(r"\bTLS[A-Z][a-z]", output), output

    @pytest.mark.parametrize(
        "line",
        ["SSLPassPhraseDialog builtin", "SSLSessionCache none", "SSLRandomSeed startup builtin", "SSLFIPS off"],
    )
    def test_03_not_in_virtual_hosts(self, ssl_server, line):
        assert "outside of <VirtualHost>" in ssl_server.problems(ssl_server.vhost("a.test", line))

    def test_04_everything_is_fine(self, ssl_server, httpd):
        lines = ["SSLProtocol -all +TLSv1.2 +TLSv1.3", "SSLCipherSuite HIGH:!aNULL", "SSLHonorCipherOrder off"]
        lines += ["SSLSessionTickets off", "SSLOptions +StdEnvVars", "SSLStrictSNIVHostCheck off", *OCSP]
        ssl_server.configure(*lines, ssl_server.vhost("a.test"))
        code, output = httpd.configtest("DUMP_SSL_COMPAT")
        assert code == 0 and "do not do here what they do with mod_ssl:\n  none\n" in output
        httpd.run()
        wait_for(lambda: "resuming normal operations" in httpd.log.text(), "httpd")
        assert "do not do what they do" not in httpd.log.text()

    def test_05_dump_compat(self, ssl_server, httpd):
        lines = ["SSLProtocol all -SSLv3", "SSLRandomSeed startup builtin", "SSLCompression on"]
        lines += ["SSLStaplingCache shmcb:stapling(128000)"]
        inner = ["<Location />", "SSLVerifyClient require", "SSLCipherSuite AES128", "SSLOptions +OptRenegotiate"]
        inner += ["</Location>", f"SSLCACertificateFile {httpd.ca_file}", "SSLSessionCacheTimeout 10000000"]
        host = ssl_server.vhost("a.test", "SSLUseStapling on", "SSLOpenSSLConfCmd Groups X448:X25519", *inner)
        ssl_server.configure(*lines, host)
        code, output = httpd.configtest("DUMP_SSL_COMPAT")
        assert code != 0
        lines = enumerate(httpd.conf_file.read_text().split("\n"), 1)
        numbers = {line.split()[0]: at for at, line in lines if line}
        for directive, what in {
            "SSLProtocol": "TLSv1, TLSv1.1 are not spoken",
            "SSLRandomSeed": "has no effect: the system's random numbers",
            "SSLStaplingCache": "has no effect: OCSP responses are in the memory of all processes",
            "SSLOpenSSLConfCmd": "X448 is not spoken here",
            "SSLVerifyClient": "in a section: the handshake of the whole virtual host asks",
            "SSLCipherSuite": "in a section renegotiates nothing",
            "SSLOptions": "OptRenegotiate has no effect",
            "SSLSessionCacheTimeout": "10000000 counts as 604800",
        }.items():
            assert re.search(f"  {httpd.conf_file}:{numbers[directive]}: {directive}.*{what}", output), output
        assert re.search(f"refused: {httpd.conf_file}:{numbers['SSLCompression']}: SSLCompression on", output)

    def test_06_dump_certs(self, ssl_server, httpd):
        lines = [ssl_server.vhost("a.test", *ssl_server.certificate("a.test", "rsa2048")), ssl_server.vhost("b.test")]
        outputs = []
        for record in ("ssl", "mod_ssl"):
            ssl_server.configure(*lines, records=[record])
            code, output = httpd.configtest("DUMP_CERTS")
            assert code == 0
            outputs.append(output[output.index("Server certificates:") :].replace("Syntax OK\n", ""))
        assert outputs[0] == outputs[1] and outputs[0].count("\n") == 4

    def test_07_no_certificate(self, ssl_server):
        host = f"<VirtualHost *:{ssl_server.httpd.port}>\nServerName a.test\nSSLEngine on\n</VirtualHost>"
        assert "give it SSLCertificateFile and SSLCertificateKeyFile" in ssl_server.problems(host)

    def test_08_log_level(self, ssl_server, httpd):
        ssl_server.start(ssl_server.vhost("a.test"), log_level="warn ssl:info")
        assert curl(httpd, "unknown.test", "/", "--tls-max", "1.1").exit
        wait_for(lambda: "[ssl:info]" in httpd.log.text(), "a message")
