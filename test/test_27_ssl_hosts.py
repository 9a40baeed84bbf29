# SPDX-License-Identifier: Apache-2.0
"""Virtual hosts that mod_ssl's directives configure: certificates, sessions, server names, suites, clients."""

import re
import subprocess

import pytest

from harness.certs import key_pem
from harness.client_certs import ClientCa
from harness.clients import curl, s_client
from harness.httpd import CRYPTO, HAS_POST_QUANTUM


class TestCertificates:
    @pytest.mark.parametrize("order", ["pairs", "files first", "ecdsa last"])
    def test_01_several(self, ssl_server, httpd, order):
        rsa, ecdsa = ssl_server.certificate("a.test", "rsa2048"), ssl_server.certificate("a.test", "p256")
        lines = {
            "pairs": [*ecdsa, *rsa],
            "files first": [rsa[0], ecdsa[0], rsa[1], ecdsa[1]],
            "ecdsa last": [*rsa, *ecdsa],
        }
        ssl_server.start(ssl_server.vhost("a.test", certificate=lines[order]))
        assert "rsa" in s_client(httpd, "-sigalgs", "RSA-PSS+SHA256", name="a.test").output.lower()
        assert "Peer signature type: ECDSA" in s_client(httpd, name="a.test").output

    def test_02_last_of_a_kind(self, ssl_server, httpd):
        """Of several certificates with the same kind of key the last one is used."""
        ssl_server.start(
            ssl_server.vhost(
                "a.test", certificate=[*ssl_server.certificate("old.test"), *ssl_server.certificate("a.test")]
            )
        )
        assert curl(httpd, "a.test").code == 200

    def test_03_chain_file(self, ssl_server, httpd, authority):
        issued = authority.server("a.test")
        (ssl_server.root / "leaf.crt").write_bytes(issued.cert_pem)
        (ssl_server.root / "leaf.key").write_bytes(key_pem(issued.key))
        (ssl_server.root / "chain.crt").write_bytes(issued.chain_pem)
        files = ["SSLCertificateFile leaf.crt", "SSLCertificateKeyFile leaf.key", "SSLCertificateChainFile chain.crt"]
        ssl_server.start(ssl_server.vhost("a.test", certificate=files))
        assert curl(httpd, "a.test").code == 200
        assert s_client(httpd, "-showcerts", name="a.test").output.count("BEGIN CERTIFICATE") == 2

    def test_04_inherited(self, ssl_server, httpd):
        """Virtual hosts inherit the settings of the base server unless they have their own."""
        httpd.log.allow("is not covered by")
        own = f"<VirtualHost *:{httpd.port}>\nServerName a.test\n</VirtualHost>"
        ssl_server.start("SSLEngine on", *ssl_server.certificate("a.test"), own, ssl_server.vhost("b.test"))
        assert curl(httpd, "a.test").code == curl(httpd, "b.test").code == 200

    def test_05_key_in_the_certificates_file(self, ssl_server, httpd, authority):
        authority.server("a.test").write(ssl_server.root, "both", combined=True)
        ssl_server.start(ssl_server.vhost("a.test", certificate=["SSLCertificateFile both.pem"]))
        assert curl(httpd, "a.test").code == 200


class TestOthers:
    def test_01_certificates_of_other_modules(self, ssl_server, httpd, authority, test_module):
        """mod_md supplies certificates for virtual hosts without one."""
        files = authority.server("a.test").write(ssl_server.root, "supplied")
        host = f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nTestCertificate {files}\n</VirtualHost>"
        ssl_server.start(test_module, "SSLUseStapling on", host)
        assert curl(httpd, "a.test").code == 200
        assert "do not do what they do" not in httpd.log.text()

    def test_02_stopgaps(self, ssl_server, httpd, authority, test_module):
        """With a stopgap certificate, requests are answered with 503."""
        files = authority.server("a.test").write(ssl_server.root, "stopgap")
        host = f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\nTestStopgap {files}\n</VirtualHost>"
        ssl_server.start(test_module, host)
        assert curl(httpd, "a.test").code == 503

    def test_03_rewrite_and_scheme(self, ssl_server, httpd):
        """Variables and the scheme in mod_rewrite and mod_headers."""
        rules = ["RewriteEngine on", "RewriteCond %{HTTPS} =on", "RewriteCond %{SSL:SSL_PROTOCOL} =TLSv1.3"]
        rules += ["RewriteRule ^/seen$ https://other.test/ [R=301,L]", 'Header set X-Scheme "expr=%{REQUEST_SCHEME}"']
        ssl_server.start(ssl_server.vhost("a.test", *rules))
        assert curl(httpd, "a.test", "/seen").headers["location"] == "https://other.test/"
        assert curl(httpd, "a.test").headers["x-scheme"] == "https"

    def test_04_http2(self, ssl_server, httpd):
        ssl_server.start(ssl_server.vhost("a.test", "Protocols h2 http/1.1", 'Header set X-Cipher "%{SSL_CIPHER}s"'))
        response = curl(httpd, "a.test", "/", "--http2", "--tls-max", "1.2")
        assert response.version == "2" and response.headers["x-cipher"].startswith("ECDHE-ECDSA-")

    def test_05_status(self, ssl_server, httpd):
        ssl_server.start("<Location /status>\nSetHandler server-status\n</Location>", ssl_server.vhost("a.test"))
        assert "mod_tls" in curl(httpd, "a.test", "/status").text


class TestSessions:
    @pytest.mark.parametrize("size", [48, 80])
    def test_01_ticket_key_file(self, ssl_server, httpd, size):
        (ssl_server.root / "tickets").write_bytes(bytes(range(size)))
        ssl_server.start(ssl_server.vhost("a.test", "SSLSessionTicketKeyFile tickets"), ssl_server.vhost("b.test"))
        for name in ("a.test", "b.test"):
            file = ssl_server.root / f"{name}.sess"
            s_client(httpd, "-sess_out", str(file), name=name, send=b"GET / HTTP/1.0\r\n\r\n")
            assert s_client(httpd, "-sess_in", str(file), name=name).reused
        other = s_client(httpd, "-sess_in", str(ssl_server.root / "a.test.sess"), name="b.test")
        assert not other.reused

    def test_02_lifetime(self, ssl_server, httpd):
        ssl_server.start(ssl_server.vhost("a.test"), ssl_server.vhost("b.test", "SSLSessionCacheTimeout 1000"))
        for name, lifetime in {"a.test": 300, "b.test": 1000}.items():
            output = s_client(httpd, name=name, send=b"GET / HTTP/1.0\r\n\r\n").output
            assert f"TLS session ticket lifetime hint: {lifetime} (seconds)" in output


class TestSni:
    def test_01_unknown_names(self, ssl_server, httpd):
        """Clients get the first virtual host, as clients without SNI do."""
        ssl_server.start(ssl_server.vhost("a.test"), ssl_server.vhost("b.test"))
        assert curl(httpd, "unknown.test", "/", "-k").code == 200
        assert s_client(httpd, name="unknown.test").subject == "CN = a.test"

    def test_02_listen_says_https(self, ssl_server, httpd, ports):
        port = ports.take()
        host = ssl_server.vhost("a.test").replace("SSLEngine on", "").replace(f":{httpd.port}>", f":{port}>")
        ssl_server.start(f"Listen {port} https", host)
        assert curl(httpd, "a.test", port=port).code == 200
        ssl_server.configure(f"Listen {port} https", host.replace(".crt", ".missing"))
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

    @pytest.mark.skipif(CRYPTO == "fips", reason="FIPS builds have no ChaCha20")
    @pytest.mark.parametrize("text", LISTS)
    def test_01_as_openssl(self, ssl_server, httpd, text):
        """The suites of a list, in order, are the same with OpenSSL and with this module."""
        ssl_server.configure(ssl_server.vhost("a.test", f'SSLCipherSuite "{text}"'))
        _, dump = httpd.configtest("DUMP_TLS")
        ours = re.findall(r"TLS_ECDHE_(ECDSA|RSA)_WITH_(AES_\d+|CHACHA20)", dump)
        listed = subprocess.run(
            ["openssl", "ciphers", "-tls1_2", "-s", text], capture_output=True, text=True, check=True
        )
        theirs = re.findall(r"ECDHE-(ECDSA|RSA)-(AES\d+-GCM|CHACHA20)", listed.stdout)
        assert ours == [(kind, cipher.replace("AES", "AES_").removesuffix("-GCM")) for kind, cipher in theirs]

    def test_02_unknown_words(self, ssl_server, httpd):
        ssl_server.start(ssl_server.vhost("a.test", "SSLCipherSuite HIGH:nonsense:!aNULL"))
        assert "no cipher suite is known by nonsense: passed over, as OpenSSL does" in httpd.log.text()

    @pytest.mark.skipif(not HAS_POST_QUANTUM, reason="this build has no X25519MLKEM768")
    def test_03_post_quantum_by_default(self, ssl_server, rustls_client, httpd):
        ssl_server.start(ssl_server.vhost("a.test"))
        assert "hello" in rustls_client(httpd)


class TestClients:
    def test_01_no_ca(self, ssl_server, httpd):
        """mod_ssl starts, and accepts no certificate."""
        httpd.log.expect("SSLVerifyClient needs SSLCACertificateFile")
        ssl_server.start(ssl_server.vhost("a.test", "SSLVerifyClient optional"))
        alice = ClientCa().client("alice").write(ssl_server.root, "alice")
        assert curl(httpd, "a.test").code == 200
        assert curl(httpd, "a.test", "/", *alice).exit

    def test_02_crl_without_check(self, ssl_server, httpd):
        ca = ClientCa()
        (ssl_server.root / "ca.crt").write_bytes(ca.pem)
        (ssl_server.root / "crl").write_bytes(ca.crl())
        lines = ["SSLVerifyClient require", "SSLCACertificateFile ca.crt", "SSLCARevocationFile crl"]
        ssl_server.start(ssl_server.vhost("a.test", *lines))
        assert "SSLCARevocationCheck none: the revocation lists of SSLCARevocationFile are not used" in httpd.log.text()
        assert "needs SSLCARevocationFile" in ssl_server.problems(
            ssl_server.vhost("a.test", *lines[:2], "SSLCARevocationCheck chain")
        )
