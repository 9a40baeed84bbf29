# SPDX-License-Identifier: Apache-2.0
"""Client certificates: where they are requested, which ones are accepted, and how the others are refused."""

import re
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.client_certs import SERVER, ClientCa, by_openssl, common_name, new_key, self_signed
from harness.clients import connect, context, curl, read_all, request, s_client

VERSIONS = ["1.2", "1.3"]
VERIFY = 'Header always set X-Verify "%{SSL_CLIENT_VERIFY}s %{SSL_CLIENT_S_DN}s"'


@pytest.fixture(scope="module")
def ca():
    return ClientCa()


@pytest.fixture
def ca_file(httpd, ca):
    path = httpd.root / "people.pem"
    path.write_bytes(ca.pem)
    return path


@pytest.fixture
def serve(httpd, ca_file):
    """Starts a.test with `lines` and the CA. Returns curl for it, with a client's certificate."""

    def start(*lines, base=(), mpm="event", **options):
        protocols = "http/1.1" if mpm == "prefork" else "h2 http/1.1"
        host = httpd.vhost("a.test", f"TLSClientCA {ca_file}", VERIFY, *lines)
        httpd.start(f"TLSEngine {httpd.port}", f"Protocols {protocols}", *base, host, mpm=mpm, **options)

        def fetch(who=None, path="/", *args, version="1.3"):
            cert = who.write(httpd.root, "who") if who else []
            return curl(httpd, "a.test", path, *cert, f"--tlsv{version}", "--tls-max", version, *args)

        return fetch

    return start


def alert_of(httpd, who, version="1.3"):
    """The number of the alert that openssl's client receives with this certificate."""
    files = who.write(httpd.root, "alert")[1::2] if who else []
    args = ["-cert", files[0], "-cert_chain", files[0], "-key", files[1]] if who else []
    args += ["-cipher", "DEFAULT@SECLEVEL=0"]
    session = s_client(httpd, f"-tls{version.replace('.', '_')}", *args, name="a.test", send=request("a.test"))
    return session.alert


class TestDemand:
    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    @pytest.mark.parametrize("version", VERSIONS)
    def test_01_required(self, serve, httpd, ca, version, http):
        fetch = serve("TLSClientCertificate required")
        response = fetch(ca.client("alice"), "/", http, version=version)
        assert response.code == 200
        assert response.headers["x-verify"] == "SUCCESS CN=alice"
        assert fetch(None, "/", http, version=version).exit != 0
        assert "the client presented no certificate" in httpd.log.text()

    @pytest.mark.parametrize("version", VERSIONS)
    def test_02_optional(self, serve, ca, version):
        fetch = serve("TLSClientCertificate optional")
        assert fetch(ca.client("alice"), version=version).headers["x-verify"] == "SUCCESS CN=alice"
        assert fetch(version=version).headers["x-verify"] == "NONE (null)"
        assert fetch(self_signed(), version=version).exit != 0

    @pytest.mark.parametrize("version", VERSIONS)
    def test_03_optional_no_ca(self, serve, ca, version):
        fetch = serve("TLSClientCertificate optional_no_ca")
        assert fetch(ca.client("alice"), version=version).headers["x-verify"] == "SUCCESS CN=alice"
        assert fetch(self_signed("eve"), version=version).headers["x-verify"] == "GENEROUS CN=eve"
        assert fetch(version=version).headers["x-verify"] == "NONE (null)"
        # Unknown issuers are accepted, expired certificates are not.
        assert fetch(ca.client("late", start=-10, days=5), version=version).exit != 0

    def test_04_none_prompts_nobody(self, serve, httpd, ca):
        fetch = serve("TLSClientCertificate none")
        assert fetch(ca.client("alice")).headers["x-verify"] == "NONE (null)"
        assert "No client certificate CA names sent" in s_client(httpd, name="a.test").output

    def test_05_inherited(self, httpd, ca, ca_file):
        """A virtual host inherits the settings of the base server unless it has its own."""
        httpd.start(
            f"TLSEngine {httpd.port}",
            f"TLSClientCA {ca_file}",
            "TLSClientCertificate required",
            VERIFY,
            httpd.vhost("a.test"),
            httpd.vhost("b.test", "TLSClientCertificate none"),
        )
        alice = ca.client("alice").write(httpd.root, "alice")
        assert curl(httpd, "a.test", "/", *alice).headers["x-verify"] == "SUCCESS CN=alice"
        assert curl(httpd, "a.test").exit != 0
        assert curl(httpd, "b.test").code == 200

    def test_06_hosts_do_not_share_connections(self, httpd, ca, ca_file):
        """A connection to a virtual host without client certificates cannot be used for one that requires them."""
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("open.test"),
            httpd.vhost("closed.test", f"TLSClientCA {ca_file}", "TLSClientCertificate required"),
        )
        assert curl(httpd, "closed.test", connect="open.test").code == 421
        alice = ca.client("alice").write(httpd.root, "alice")
        assert curl(httpd, "open.test", "/", *alice, connect="closed.test").code == 421

    def test_07_names_sent(self, serve, httpd, ca):
        serve("TLSClientCertificate optional")
        assert "Acceptable client certificate CA names\nCN = People CA" in s_client(httpd, name="a.test").output

    def test_08_other_names(self, serve, httpd, ca):
        others = httpd.root / "others.pem"
        others.write_bytes(ClientCa("Other CA").pem)
        serve("TLSClientCertificate optional", f"TLSClientCANames {others}")
        output = s_client(httpd, name="a.test").output
        assert "CN = Other CA" in output and "People CA" not in output

    def test_09_no_names(self, serve, httpd, ca):
        fetch = serve("TLSClientCertificate required", "TLSClientCANames none")
        assert "No client certificate CA names sent" in s_client(httpd, name="a.test").output
        assert fetch(ca.client("alice")).code == 200

    def test_10_directory_of_cas(self, httpd, ca):
        """Any file names are accepted. Files without certificates are ignored."""
        directory = httpd.root / "cas"
        directory.mkdir()
        other = ClientCa("Other CA")
        directory.joinpath("whatever.txt").write_bytes(ca.pem)
        directory.joinpath("0a1b2c3d.0").write_bytes(other.pem)
        directory.joinpath("again.pem").write_bytes(other.pem)
        directory.joinpath("README").write_text("These are our CAs.\n")
        host = httpd.vhost("a.test", f"TLSClientCA {directory}", "TLSClientCertificate required", VERIFY)
        httpd.start(f"TLSEngine {httpd.port}", host)
        for name, issuer in [("alice", ca), ("bob", other)]:
            who = issuer.client(name).write(httpd.root, name)
            assert curl(httpd, "a.test", "/", *who).headers["x-verify"] == f"SUCCESS CN={name}"

    def test_11_python(self, serve, httpd, ca):
        serve("TLSClientCertificate required")
        _, cert, _, key = ca.client("alice").write(httpd.root, "alice")
        ctx = context(httpd)
        ctx.load_cert_chain(cert, key)
        with connect(httpd, "a.test", ctx=ctx) as tls:
            tls.sendall(request("a.test"))
            assert b"SUCCESS CN=alice" in read_all(tls)

    @pytest.mark.parametrize("mpm", ["prefork", "worker"])
    def test_12_mpms(self, serve, httpd, ca, mpm):
        if mpm == "prefork":
            httpd.log.expect("AH10034")
        fetch = serve("TLSClientCertificate required", mpm=mpm)
        assert fetch(ca.client("alice")).code == 200
        assert fetch(self_signed()).exit != 0


class TestLocations:
    LOCATION = "<Location /secret>\nTLSClientCertificate required\n</Location>"

    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    @pytest.mark.parametrize("version", VERSIONS)
    def test_01_required(self, serve, httpd, ca, http, version):
        httpd.docs.joinpath("secret").write_text("treasure")
        fetch = serve(self.LOCATION)
        alice = ca.client("alice")
        assert fetch(alice, "/secret", http, version=version).text == "treasure"
        assert fetch(None, "/", http, version=version).text == "hello"
        response = fetch(None, "/secret", http, version=version)
        assert response.code == 403
        assert response.headers["x-verify"] == "NONE (null)"
        assert "access to /secret refused: a client certificate is required, and the client presented none" in (
            httpd.log.text()
        )

    @pytest.mark.parametrize("version", VERSIONS)
    def test_02_bad_certificates_get_a_page(self, serve, httpd, ca, version):
        """The handshake accepts any certificate. Only the location refuses, with an error page."""
        httpd.docs.joinpath("secret").write_text("treasure")
        httpd.docs.joinpath("sorry.html").write_text("Call 555-1234.")
        fetch = serve(self.LOCATION, "ErrorDocument 403 /sorry.html")
        late = ca.client("late", start=-10, days=5)
        response = fetch(late, "/secret", version=version)
        assert (response.code, response.text) == (403, "Call 555-1234.")
        assert response.headers["x-verify"] == "FAILED:certificate has expired CN=late"
        assert fetch(late, "/", version=version).code == 200
        assert fetch(self_signed("eve"), "/secret", version=version).code == 403
        assert re.search(
            r'refused: subject "CN=late", serial [0-9A-F]+, issuer "CN=People CA": it, or', httpd.log.text()
        )

    def test_03_optional(self, serve, ca):
        fetch = serve("<Location /index.html>\nTLSClientCertificate optional\n</Location>")
        assert fetch(None, "/index.html").code == 200
        assert fetch(ca.client("alice"), "/index.html").headers["x-verify"] == "SUCCESS CN=alice"
        assert fetch(self_signed(), "/index.html").code == 403

    def test_04_optional_no_ca(self, serve, ca):
        fetch = serve("<Location /index.html>\nTLSClientCertificate optional_no_ca\n</Location>")
        assert fetch(None, "/index.html").code == 200
        assert fetch(self_signed("eve"), "/index.html").headers["x-verify"] == "GENEROUS CN=eve"
        assert fetch(ca.client("late", start=-10, days=5), "/index.html").code == 403

    def test_05_directory_and_none_inside(self, serve, httpd, ca):
        httpd.docs.joinpath("secret").mkdir()
        httpd.docs.joinpath("secret/public.txt").write_text("come in")
        httpd.docs.joinpath("secret/private.txt").write_text("treasure")
        fetch = serve(
            f"<Directory {httpd.docs}/secret>\nTLSClientCertificate required\n"
            "<Files public.txt>\nTLSClientCertificate none\n</Files>\n</Directory>"
        )
        assert fetch(None, "/secret/public.txt").text == "come in"
        assert fetch(None, "/secret/private.txt").code == 403
        assert fetch(ca.client("alice"), "/secret/private.txt").text == "treasure"

    def test_06_htaccess(self, serve, httpd, ca):
        """An .htaccess file is read with the request, after the handshake. The request is refused, and the log names
        the remedy."""
        httpd.docs.joinpath("secret").mkdir()
        httpd.docs.joinpath("secret/private.txt").write_text("treasure")
        httpd.docs.joinpath("secret/.htaccess").write_text("TLSClientCertificate required\n")
        fetch = serve()
        assert fetch(ca.client("alice"), "/secret/private.txt").code == 403
        assert "say TLSClientCertificate optional for the virtual host" in httpd.log.text()

    def test_07_htaccess_where_the_host_asks(self, serve, httpd, ca):
        httpd.docs.joinpath("secret").mkdir()
        httpd.docs.joinpath("secret/private.txt").write_text("treasure")
        httpd.docs.joinpath("secret/.htaccess").write_text("TLSClientCertificate required\n")
        fetch = serve("TLSClientCertificate optional")
        assert fetch(ca.client("alice"), "/secret/private.txt").text == "treasure"
        assert fetch(None, "/secret/private.txt").code == 403

    def test_08_other_hosts_are_not_asked(self, httpd, ca, ca_file):
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", f"TLSClientCA {ca_file}", self.LOCATION),
            httpd.vhost("b.test"),
        )
        assert "CN = People CA" in s_client(httpd, name="a.test").output
        assert "No client certificate CA names sent" in s_client(httpd, name="b.test").output

    def test_09_section_of_the_base_server(self, httpd, ca, ca_file):
        """The section applies to all virtual hosts, so all of them request certificates."""
        httpd.docs.joinpath("secret").write_text("treasure")
        base = [f"TLSEngine {httpd.port}", f"TLSClientCA {ca_file}", self.LOCATION]
        httpd.start(*base, httpd.vhost("a.test"))
        alice = ca.client("alice").write(httpd.root, "alice")
        assert curl(httpd, "a.test", "/secret", *alice).text == "treasure"
        assert curl(httpd, "a.test", "/secret").code == 403
        # Without TLS there is no certificate.
        plain = f"http://127.0.0.1:{httpd.plain_port}/secret"
        run = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", plain], capture_output=True)
        assert run.stdout == b"403"

    def test_10_bodies_are_unharmed(self, serve, httpd, ca):
        """There is no renegotiation: a large upload to such a location needs no special handling."""
        big = httpd.root / "big"
        big.write_bytes(b"x" * 5_000_000)
        script = httpd.root / "count"
        script.write_text("#!/bin/sh\necho\nwc -c\n")
        script.chmod(0o755)
        fetch = serve(
            self.LOCATION,
            f"ScriptAlias /secret {script}",
            f"<Directory {httpd.root}>\nRequire all granted\n</Directory>",
            base=[f"ScriptSock {httpd.root}/cgisock"],
            modules=["cgid"],
        )
        upload = ["--http1.1", "--data-binary", f"@{big}"]
        assert fetch(ca.client("alice"), "/secret", *upload).text == "5000000"
        assert fetch(None, "/secret", *upload).code == 403

    def test_11_satisfy_any_and_strict_require(self, serve, httpd, ca):
        """As with mod_ssl, `Satisfy any` accepts a password instead, unless StrictRequire forbids that."""
        httpd.docs.joinpath("loose").write_text("loose")
        httpd.docs.joinpath("strict").write_text("strict")
        passwords = httpd.root / "passwords"
        subprocess.run(["htpasswd", "-bc", passwords, "bob", "builder"], check=True, capture_output=True)
        passwords.chmod(0o644)
        auth = f"AuthType Basic\nAuthName x\nAuthUserFile {passwords}\nRequire valid-user\nSatisfy any\n"
        fetch = serve(
            f"<Location /loose>\nTLSClientCertificate required\n{auth}</Location>",
            f"<Location /strict>\nTLSClientCertificate required\nTLSOptions +StrictRequire\n{auth}</Location>",
            modules=["access_compat", "auth_basic", "authn_core", "authn_file", "authz_user"],
        )
        login = ["-u", "bob:builder"]
        assert fetch(None, "/loose").code == 401
        assert fetch(None, "/loose", *login).text == "loose"
        assert fetch(None, "/strict", *login).code == 403
        assert fetch(ca.client("alice"), "/strict", *login).text == "strict"


class TestRefusals:
    """The mistake in the certificate determines the alert (RFC 8446 section 6.2) and the message in the log."""

    KINDS = {
        "expired": ("45", "it, or a CA above it, has expired", lambda ca, d: ca.client(start=-10, days=5)),
        "early": ("45", "is not valid yet", lambda ca, d: ca.client(start=5, days=5)),
        "purpose": ("43", "does not allow clientAuth", lambda ca, d: ca.client(usages=SERVER)),
        "self-signed": ("48", "its issuer is not among TLSClientCA", lambda ca, d: self_signed()),
        "other CA": ("48", "its issuer is not among TLSClientCA", lambda ca, d: ClientCa("Other CA").client()),
        "same name": ("51", "it was not signed by the CA whose name", lambda ca, d: ClientCa("People CA").client()),
        "CA": ("46", "it is the certificate of a CA", lambda ca, d: ca.client(ca=True)),
        "too deep": ("46", "there are 2 CAs above it", lambda ca, d: ClientCa("Sub CA", ca).client()),
        "version 1": ("46", "of X.509 version 1, .*openssl x509 -req", lambda ca, d: by_openssl(d, ca)),
        "SHA-1": ("46", "not safe, such as SHA-1", lambda ca, d: by_openssl(d, ca, "-sha1", "-extfile", d / "ext")),
    }

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_01_alerts(self, serve, httpd, ca, kind, version):
        alert, text, make = self.KINDS[kind]
        httpd.root.joinpath("ext").write_text("basicConstraints=CA:FALSE\n")
        serve("TLSClientCertificate required")
        assert alert_of(httpd, make(ca, httpd.root), version) == alert
        assert re.search(rf"handshake failed: client certificate refused: subject .*{text}", httpd.log.text())

    def test_02_no_certificate(self, serve, httpd):
        serve("TLSClientCertificate required")
        for version in VERSIONS:
            assert alert_of(httpd, None, version) == "116"  # certificate_required

    def test_03_depth(self, serve, httpd, ca):
        sub = ClientCa("Sub CA", ca)
        deep = ClientCa("Sub Sub CA", sub)
        fetch = serve("TLSClientCertificate required", "TLSClientVerifyDepth 2")
        assert fetch(sub.client("alice")).headers["x-verify"] == "SUCCESS CN=alice"
        assert alert_of(httpd, deep.client()) == "46"
        assert "there are 3 CAs above it, and TLSClientVerifyDepth allows 2" in httpd.log.text()

    def test_04_depth_zero(self, httpd):
        """Only certificates that are trusted themselves are accepted."""
        alice = self_signed("alice")
        file = httpd.root / "alice.crt"
        file.write_bytes(alice.pem)
        host = httpd.vhost(
            "a.test", f"TLSClientCA {file}", "TLSClientCertificate required", "TLSClientVerifyDepth 0", VERIFY
        )
        httpd.start(f"TLSEngine {httpd.port}", host)
        response = curl(httpd, "a.test", "/", *alice.write(httpd.root, "alice"))
        assert response.headers["x-verify"] == "SUCCESS CN=alice"

    def test_05_trusted_client_is_no_ca(self, httpd, ca):
        """A client's certificate among the CAs makes that client trusted. It cannot issue other certificates."""
        alice = self_signed("alice")
        file = httpd.root / "alice.crt"
        file.write_bytes(alice.pem)
        forger = ClientCa("x")
        forger.key, forger.cert, forger.chain = alice.key, alice.cert, []
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", f"TLSClientCA {file}", "TLSClientCertificate required"),
        )
        assert curl(httpd, "a.test", "/", *alice.write(httpd.root, "alice")).code == 200
        assert alert_of(httpd, forger.client("boss")) == "46"
        assert "it is not the certificate of a CA that may issue others" in httpd.log.text()

    def test_06_expired_ca(self, httpd):
        old = ClientCa("Old CA", days=5, start=-10)
        file = httpd.root / "old.pem"
        file.write_bytes(old.pem)
        httpd.log.expect("old.pem: the CA's certificate has expired")
        host = httpd.vhost("a.test", f"TLSClientCA {file}", "TLSClientCertificate required")
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert alert_of(httpd, old.client()) == "45"

    def test_07_renewed_ca(self, httpd):
        """The same CA with the same key has an expired and a valid certificate: the valid one is used."""
        old = ClientCa("Our CA", days=5, start=-10)
        new = ClientCa("Our CA")
        new.key = old.key
        new.cert = new._sign(common_name("Our CA"), old.key, None)
        file = httpd.root / "both.pem"
        file.write_bytes(old.pem + new.pem)
        httpd.log.expect("the CA's certificate has expired")
        host = httpd.vhost("a.test", f"TLSClientCA {file}", "TLSClientCertificate required")
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert curl(httpd, "a.test", "/", *new.client().write(httpd.root, "alice")).code == 200

    def test_08_ca_of_version_1(self, httpd):
        """A root certificate that `openssl x509 -req -signkey` made without extensions is trusted."""
        key, csr, pem = (httpd.root / f"v1.{suffix}" for suffix in ("key", "csr", "pem"))
        run = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-subj", "/CN=Old Root"]
        subprocess.run([*run, "-out", csr], check=True, capture_output=True)
        run = ["openssl", "x509", "-req", "-in", csr, "-signkey", key, "-days", "30", "-out", pem]
        subprocess.run(run, check=True, capture_output=True)
        root = ClientCa("x")
        root.cert = x509.load_pem_x509_certificate(pem.read_bytes())
        assert root.cert.version == x509.Version.v1
        root.key = load_pem_private_key(key.read_bytes(), None)
        host = httpd.vhost("a.test", f"TLSClientCA {pem}", "TLSClientCertificate required", VERIFY)
        httpd.start(f"TLSEngine {httpd.port}", host)
        response = curl(httpd, "a.test", "/", *root.client("alice").write(httpd.root, "alice"))
        assert response.headers["x-verify"] == "SUCCESS CN=alice"

    def test_09_name_constraints(self, serve, httpd, ca):
        constraint = x509.NameConstraints([x509.DNSName("inside.test")], None)
        sub = ClientCa("Sub CA", ca, extensions=[(x509.BasicConstraints(True, None), True), (constraint, True)])
        fetch = serve("TLSClientCertificate required", "TLSClientVerifyDepth 2")

        def client(name):
            return sub.client("x", extensions=[x509.SubjectAlternativeName([x509.DNSName(name)])])

        assert fetch(client("a.inside.test")).code == 200
        assert alert_of(httpd, client("a.outside.test")) == "46"
        assert "may not issue certificates for its name" in httpd.log.text()

    def test_10_wrong_key(self, serve, httpd, ca):
        """A certificate without its key is refused."""
        serve("TLSClientCertificate optional_no_ca")
        alice, eve = ca.client("alice"), self_signed("eve")
        _, cert, _, _ = alice.write(httpd.root, "alice")
        ctx = context(httpd)
        with pytest.raises(ssl.SSLError):
            ctx.load_cert_chain(cert, eve.write(httpd.root, "eve")[3])


class TestConfiguration:
    CASES = {
        "word": (["TLSClientCertificate maybe"], 'takes none, optional, optional_no_ca or required, not "maybe"'),
        "no CA": (["TLSClientCertificate required"], "TLSClientCertificate needs TLSClientCA"),
        "no CA for a location": (
            ["<Location />\nTLSClientCertificate required\n</Location>"],
            "TLSClientCertificate needs TLSClientCA",
        ),
        "missing file": (["TLSClientCertificate required", "TLSClientCA none.pem"], "TLSClientCA .*no such file"),
        "no certificate": (
            ["TLSClientCertificate required", "TLSClientCA httpd.conf"],
            "no certificate in this file",
        ),
        "empty directory": (["TLSClientCertificate required", "TLSClientCA empty"], "no file in this directory"),
        "depth": (["TLSClientVerifyDepth deep"], "TLSClientVerifyDepth takes the number"),
        "check": (["TLSClientCRLCheck some"], "takes leaf, chain or none"),
        "check flag": (["TLSClientCRLCheck leaf fast"], "knows the flag no_crl_for_cert_ok"),
        "check without lists": (
            ["TLSClientCertificate required", "TLSClientCA people.pem", "TLSClientCRLCheck leaf"],
            "TLSClientCRLCheck needs TLSClientCRL",
        ),
        "missing list": (
            ["TLSClientCertificate required", "TLSClientCA people.pem", "TLSClientCRL none.crl"],
            "TLSClientCRL .*none.crl: no such file",
        ),
        "list is none": (
            ["TLSClientCertificate required", "TLSClientCA people.pem", "TLSClientCRL people.pem"],
            "no revocation list in this file",
        ),
    }

    @pytest.mark.parametrize("case", CASES)
    def test_01_mistakes(self, httpd, ca_file, case):
        lines, text = self.CASES[case]
        httpd.root.joinpath("empty").mkdir()
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines))
        code, output = httpd.configtest()
        assert code != 0
        assert re.search(text, output), output
        assert re.search(rf"{httpd.conf_file}:\d+|line \d+ of", output), output

    def test_03_too_many_names(self, httpd):
        """The names of many CAs do not fit into a handshake message."""
        names = [f"CA number {number} ".ljust(64, "x") for number in range(900)]
        key = new_key()
        httpd.root.joinpath("many.pem").write_bytes(b"".join(self_signed(name, True, key).pem for name in names))
        lines = ["TLSClientCertificate required", "TLSClientCA many.pem"]
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines))
        code, output = httpd.configtest()
        assert code != 0 and "the names of 900 CAs do not fit in a handshake" in output
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines, "TLSClientCANames none"))
        assert httpd.configtest()[0] == 0

    def test_02_dump(self, httpd, ca_file):
        host = httpd.vhost("a.test", f"TLSClientCA {ca_file}", "TLSClientCertificate required")
        httpd.configure(f"TLSEngine {httpd.port}", host)
        _, output = httpd.configtest("DUMP_TLS")
        assert re.search(r"Client verification +required", output)
        assert re.search(rf"CA +CN=People CA, {ca_file}", output)
        assert re.search(r"Depth +1\n", output)
