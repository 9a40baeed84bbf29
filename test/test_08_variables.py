# SPDX-License-Identifier: Apache-2.0
"""SSL_* variables in all places that can use them."""

import re
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from harness.clients import MemoryClient, connect, context, curl, raw_connection, read_all, request, s_client
from harness.httpd import CLASSIC_GROUP, wait_for
from harness.ja4 import ja4

CGI = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv\n"


@pytest.fixture
def env(httpd):
    def start(*lines, host_lines=(), cert=None, modules=()):
        directory = httpd.root / "cgi-bin"
        directory.mkdir()
        directory.chmod(0o755)
        script = directory / "env"
        script.write_text(CGI)
        script.chmod(0o755)
        httpd.start(
            f"TLSEngine {httpd.port}",
            "Protocols h2 http/1.1",
            f"ScriptSock {httpd.root}/cgisock",
            f"ScriptAlias /cgi-bin/ {directory}/",
            f"<Directory {directory}>",
            "Require all granted",
            *lines,
            "</Directory>",
            httpd.vhost("a.test", *host_lines, cert=cert),
            modules=["cgid", *modules],
        )

        def fetch(*args):
            text = curl(httpd, "a.test", "/cgi-bin/env", *args).text
            pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
            return {name: value for name, value in pairs if name.startswith(("SSL_", "HTTPS"))}

        return fetch

    return start


class TestEnvironment:
    def test_01_always(self, env):
        found = env()()
        assert found == {
            "HTTPS": "on",
            "SSL_TLS_SNI": "a.test",
            "SSL_PROTOCOL": "TLSv1.3",
            "SSL_CIPHER": "TLS_AES_256_GCM_SHA384",
        }

    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_02_std_env_vars(self, env, http):
        found = env("TLSOptions +StdEnvVars")(http)
        for name, value in {
            "SSL_CIPHER_USEKEYSIZE": "256",
            "SSL_CIPHER_ALGKEYSIZE": "256",
            "SSL_CIPHER_EXPORT": "false",
            "SSL_COMPRESS_METHOD": "NULL",
            "SSL_SECURE_RENEG": "false",
            "SSL_SESSION_RESUMED": "Initial",
            "SSL_CLIENT_VERIFY": "NONE",
            "SSL_KEX": CLASSIC_GROUP,
            "SSL_SERVER_S_DN": "CN=a.test",
            "SSL_SERVER_S_DN_CN": "a.test",
            "SSL_SERVER_I_DN_CN": "Test Intermediate",
            "SSL_SERVER_SAN_DNS_0": "a.test",
            "SSL_SERVER_M_VERSION": "3",
            "SSL_SERVER_A_KEY": "id-ecPublicKey",
            "SSL_SERVER_A_SIG": "ecdsa-with-SHA256",
        }.items():
            assert found.get(name) == value, name
        assert found["SSL_VERSION_INTERFACE"].startswith("mod_tls/")
        assert found["SSL_VERSION_LIBRARY"].startswith("rustls/")
        assert "SSL_SERVER_CERT" not in found

    def test_03_export_cert_data(self, env, httpd):
        env("TLSOptions +ExportCertData")
        text = curl(httpd, "a.test", "/cgi-bin/env").text
        begin = text.index("SSL_SERVER_CERT=-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----", begin)
        pem = text[begin + len("SSL_SERVER_CERT=") : end] + "-----END CERTIFICATE-----\n"
        assert x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string() == "CN=a.test"

    def test_04_options_merge(self, env, httpd):
        """The directory's options add to the virtual host's. .htaccess takes precedence."""
        fetch = env("TLSOptions +ExportCertData", "AllowOverride All", host_lines=["TLSOptions +StdEnvVars"])
        assert {"SSL_SERVER_S_DN", "SSL_SERVER_CERT"} <= fetch().keys()
        httpd.root.joinpath("cgi-bin/.htaccess").write_text("TLSOptions -StdEnvVars\n")
        assert "SSL_SERVER_S_DN" not in fetch()
        httpd.root.joinpath("cgi-bin/.htaccess").write_text("TLSOptions Defaults\n")
        assert "SSL_SERVER_CERT" not in fetch()

    def test_05_wrong_option_in_htaccess(self, env, httpd):
        env("AllowOverride All")
        httpd.root.joinpath("cgi-bin/.htaccess").write_text("TLSOptions +Nonsense\n")
        assert curl(httpd, "a.test", "/cgi-bin/env").code == 500
        httpd.log.expect(r'"\+Nonsense" is no option')

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_06_versions(self, env, version):
        found = env("TLSOptions +StdEnvVars")(f"--tlsv{version}", "--tls-max", version)
        assert found["SSL_PROTOCOL"] == f"TLSv{version}"
        assert found["SSL_CIPHER"].startswith("TLS_")


class TestElsewhere:
    def test_01_logs(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            'LogFormat "%{SSL_CIPHER}x|%{version}c|%{cipher}c|%{SSL_SERVER_S_DN_CN}x|%{SSL_NONE}x" vars',
            f"CustomLog {httpd.root}/vars_log vars",
            httpd.vhost("a.test"),
        )
        curl(httpd, "a.test", "/", "--tlsv1.3")
        log = httpd.root / "vars_log"
        wait_for(lambda: log.exists() and log.read_text(), "the log line")
        assert log.read_text() == "TLS_AES_256_GCM_SHA384|TLSv1.3|TLS_AES_256_GCM_SHA384|a.test|-\n"

    def test_02_headers(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", 'Header set X-A "%{SSL_PROTOCOL}s %{SSL_TLS_SNI}s %{SSL_CLIENT_S_DN}s"'),
        )
        assert curl(httpd, "a.test").headers["x-a"] == "TLSv1.3 a.test (null)"

    def test_03_rewrite(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            "RewriteEngine on",
            "RewriteCond %{HTTPS} =off",
            "RewriteRule ^ https://a.test/ [R=302,L]",
            httpd.vhost(
                "a.test",
                "RewriteEngine on",
                "RewriteCond %{SSL:SSL_PROTOCOL} =TLSv1.3",
                "RewriteCond %{HTTPS} =on",
                "RewriteRule ^/secret$ /index.html [L]",
            ),
        )
        assert curl(httpd, "a.test", "/secret").text == "hello"
        run = subprocess.run(["curl", "-si", f"http://127.0.0.1:{httpd.plain_port}/"], capture_output=True, text=True)
        assert "302" in run.stdout

    def test_04_require(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            '<Location "/ssl">\nRequire ssl\n</Location>',
            "<Location \"/expr\">\nRequire expr %{SSL_PROTOCOL} == 'TLSv1.3'\n</Location>",
            "<Location \"/function\">\nRequire expr %{SSL:SSL_PROTOCOL} == 'TLSv1.3'\n</Location>",
            "<Location \"/never\">\nRequire expr %{SSL_PROTOCOL} == 'TLSv1.2'\n</Location>",
            httpd.vhost("a.test"),
        )
        assert curl(httpd, "a.test", "/ssl").code == 404
        assert curl(httpd, "a.test", "/expr").code == 404
        assert curl(httpd, "a.test", "/function").code == 404
        assert curl(httpd, "a.test", "/never").code == 403
        run = subprocess.run(
            ["curl", "-si", f"http://127.0.0.1:{httpd.plain_port}/ssl"], capture_output=True, text=True
        )
        assert " 403 " in run.stdout
        httpd.log.expect("AH01630")

    def test_05_redirects_are_https(self, httpd):
        httpd.docs.joinpath("dir").mkdir()
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
        assert curl(httpd, "a.test", "/dir").headers["location"] == f"https://a.test:{httpd.port}/dir/"

    def test_06_include(self, httpd):
        httpd.docs.joinpath("page.shtml").write_text('<!--#echo var="SSL_PROTOCOL" -->')
        httpd.start(
            f"TLSEngine {httpd.port}",
            "<Directory />\nOptions +Includes\nSetOutputFilter INCLUDES\n</Directory>",
            httpd.vhost("a.test"),
            modules=["include", "filter"],
        )
        assert curl(httpd, "a.test", "/page.shtml").text == "TLSv1.3"

    def test_09_lua(self, httpd):
        script = httpd.root / "vars.lua"
        script.write_text(
            'function handle(r)\n r:puts(r:ssl_var_lookup("SSL_PROTOCOL") .. tostring(r.is_https))\n'
            " return apache2.OK\nend\n"
        )
        httpd.start(
            f"TLSEngine {httpd.port}", f"LuaMapHandler /lua {script} handle", httpd.vhost("a.test"), modules=["lua"]
        )
        assert curl(httpd, "a.test", "/lua").text == "TLSv1.3true"

    def test_07_session_id_of_tls12(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", 'Header set X-Id "%{SSL_SESSION_ID}s"'))
        ctx = context(httpd, ssl.TLSVersion.TLSv1_2)
        ctx.options |= ssl.OP_NO_TICKET
        with connect(httpd, "a.test", ctx=ctx) as tls:
            tls.sendall(request("a.test"))
            response = read_all(tls)
            assert f"X-Id: {tls.session.id.hex().upper()}".encode() in response

    def test_08_status(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            "<Location /status>\nSetHandler server-status\n</Location>",
            httpd.vhost("a.test"),
        )
        curl(httpd, "a.test")
        text = curl(httpd, "a.test", "/status?auto").text
        counters = dict(line.split(": ") for line in text.splitlines() if line.startswith("TLS"))
        assert int(counters["TLSFullHandshakes"]) == 2
        assert counters["TLSInternalErrors"] == "0"
        assert "FullHandshakes: 3" in curl(httpd, "a.test", "/status").text


NAMES = ["JA4", "CLIENT_OFFER", "CLIENT_ECH", "CLIENT_GREASE", "SIGNATURE_SCHEME", "KEX", "HANDSHAKE_MS"]


class TestOffer:
    """What the client has offered, and what was chosen."""

    @pytest.fixture
    def values(self, httpd, authority):
        """Starts a.test. Returns a function that gives the variables for a client with a context."""
        certs = [authority.server("a.test", kind=kind).write(httpd.root, kind) for kind in ("p256", "rsa2048")]
        lines = [*(f"TLSCertificate {cert}" for cert in certs), *(f'Header set X-{x} "%{{SSL_{x}}}s"' for x in NAMES)]
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines, cert=False))

        def ask(ctx):
            client = MemoryClient(httpd, "a.test", ctx)
            hello = client.hello()
            with raw_connection(httpd) as sock:
                sock.sendall(hello)
                client.incoming.write(sock.recv(65536))
                client.handshake(sock)
                client.tls.write(request("a.test"))
                sock.sendall(client.outgoing.read())
                client.incoming.write(read_all(sock))
                text = client.tls.read(65536).decode()
            found = dict(line.split(": ", 1) for line in text.split("\r\n") if line.startswith("X-"))
            return hello, {name: found[f"X-{name}"] for name in NAMES}

        return ask

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("alpn", [None, ["http/1.1"]])
    def test_01_ja4(self, httpd, values, version, alpn):
        hello, found = values(context(httpd, version, alpn))
        assert found["JA4"] == ja4(hello)

    def test_02_ja4_of_curl(self, httpd, values):
        """curl offers h2 first; one client always has one fingerprint."""
        found = {curl(httpd, "a.test").headers["x-ja4"] for _ in range(3)}
        assert len(found) == 1 and re.fullmatch("t13d[0-9]{4}h2_[0-9a-f]{12}_[0-9a-f]{12}", found.pop())

    def test_03_chosen(self, httpd, values):
        _, found = values(context(httpd))
        assert found["SIGNATURE_SCHEME"] == "ecdsa_secp256r1_sha256"
        assert found["KEX"] == CLASSIC_GROUP
        assert found["CLIENT_OFFER"].startswith("versions=TLSv1.3,TLSv1.2 groups=x25519,")
        assert "suites=TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256," in found["CLIENT_OFFER"]
        assert (found["CLIENT_ECH"], found["CLIENT_GREASE"]) == ("0", "0")
        assert 0 <= int(found["HANDSHAKE_MS"]) < 10_000

    @pytest.mark.parametrize(
        "version,scheme",
        [(ssl.TLSVersion.TLSv1_2, "rsa_pss_rsae_sha512"), (ssl.TLSVersion.TLSv1_3, "rsa_pss_rsae_sha512")],
    )
    def test_04_scheme_of_rsa(self, httpd, values, version, scheme):
        """What OpenSSL says about the server's signature, and the variable."""
        flag = "-tls1_2" if version == ssl.TLSVersion.TLSv1_2 else "-tls1_3"
        sigalgs = "rsa_pss_rsae_sha256:rsa_pss_rsae_sha512:rsa_pkcs1_sha256"
        session = s_client(httpd, flag, "-sigalgs", sigalgs, name="a.test", send=request("a.test"))
        assert f"X-SIGNATURE_SCHEME: {scheme}" in session.output
        assert "Peer signing digest: SHA512" in session.output
        assert "Peer signature type: RSA-PSS" in session.output

    def test_05_resumed(self, httpd, values):
        """A resumed session has no signature."""
        ctx = context(httpd, ssl.TLSVersion.TLSv1_2)
        with connect(httpd, "a.test", ctx=ctx) as tls:
            session = tls.session
        with connect(httpd, "a.test", ctx=ctx, session=session) as tls:
            tls.sendall(request("a.test"))
            text = read_all(tls).decode()
            assert tls.session_reused
        assert "X-SIGNATURE_SCHEME: (null)" in text and "X-JA4: t12d" in text


class TestCertificateText:
    """The text of names is the same as with mod_ssl for the same certificate."""

    def test_01_names(self, env, httpd, authority):
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Zoë, "Söhne" + Co'),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
                x509.NameAttribute(NameOID.COMMON_NAME, "a.test"),
                x509.NameAttribute(NameOID.EMAIL_ADDRESS, "root@a.test"),
            ]
        )
        cert = authority.server("a.test", subject=subject).write(httpd.root, "named")
        found = env("TLSOptions +StdEnvVars", cert=cert)()
        assert found["SSL_SERVER_S_DN"] == (
            'emailAddress=root@a.test,CN=a.test,OU=two,OU=one,O=Zoë\\, \\"Söhne\\" \\+ Co,C=DE'
        )
        assert found["SSL_SERVER_S_DN_OU"] == "one"
        assert found["SSL_SERVER_S_DN_OU_1"] == "two"
        assert found["SSL_SERVER_S_DN_Email"] == "root@a.test"
        assert found["SSL_SERVER_S_DN_O"] == 'Zoë, "Söhne" + Co'

    @pytest.mark.parametrize("kind", ["p256", "rsa2048"])
    def test_02_same_as_mod_ssl(self, env, httpd, authority, installation, ports, kind):
        """Both modules, each on its port. All variables of one certificate are compared."""
        if not installation.has_module("ssl"):
            pytest.fail("mod_ssl is needed to compare with: install it")
        cert = authority.server("a.test", "b.test", kind=kind).write(httpd.root, "both")
        cert_file, key_file = cert.split()
        other = ports.take()
        fetch = env(
            "TLSOptions +StdEnvVars +ExportCertData",
            "SSLOptions +StdEnvVars +ExportCertData",
            host_lines=[],
            cert=cert,
            modules=["ssl"],
        )
        httpd.stop()
        httpd.log.begin()
        conf = httpd.conf_file.read_text()
        conf += f"Listen {other}\n<VirtualHost *:{other}>\nServerName a.test\nSSLEngine on\n"
        conf += f"SSLCertificateFile {cert_file}\nSSLCertificateKeyFile {key_file}\n</VirtualHost>\n"
        httpd.conf_file.write_text(conf)
        httpd.start()
        ours = fetch()
        text = curl(httpd, "a.test", "/cgi-bin/env", port=other).text
        theirs = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("SSL_SERVER_"))
        assert theirs
        differing = {n: (ours.get(n), v) for n, v in theirs.items() if ours.get(n) != v}
        assert not differing
        extra = {n for n in ours if n.startswith("SSL_SERVER_")} - theirs.keys()
        assert extra <= {"SSL_SERVER_V_REMAIN"}
