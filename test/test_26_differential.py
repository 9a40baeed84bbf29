# SPDX-License-Identifier: Apache-2.0
"""The same configuration and the same requests under mod_ssl and under ours: every difference is one that `EXPECTED`
explains."""

import re
import subprocess

import pytest
from cryptography import x509

from harness import backends
from harness.certs import common_name, key_pem
from harness.clients import connect, curl, raw_connection, read_all, read_response, request, s_client
from harness.httpd import CRYPTO, wait_for
from harness.people import SERVER, PeopleCa, self_signed
from harness.ssl_pair import SslPair, differences

GENERAL = ["CIPHER", "CIPHER_EXPORT", "CIPHER_USEKEYSIZE", "CIPHER_ALGKEYSIZE", "COMPRESS_METHOD", "PROTOCOL"]
GENERAL += ["SECURE_RENEG", "SESSION_RESUMED", "SRP_USER", "TLS_SNI", "VERSION_INTERFACE", "VERSION_LIBRARY"]
PARTS = ["M_VERSION", "M_SERIAL", "S_DN", "S_DN_CN", "S_DN_O", "SAN_Email_0", "SAN_DNS_0", "I_DN", "I_DN_CN", "V_START"]
PARTS += ["V_END", "A_SIG", "A_KEY", "CERT"]
OF_CLIENTS = ["CERT_CHAIN_0", "CERT_RFC4523_CEA", "V_REMAIN", "VERIFY"]
VARIABLES = ["HTTPS"] + [f"SSL_{name}" for name in GENERAL]
VARIABLES += [f"SSL_{side}_{part}" for side in ("CLIENT", "SERVER") for part in PARTS]
VARIABLES += [f"SSL_CLIENT_{part}" for part in OF_CLIENTS]

# What is different: where, why, and what has to hold of the two answers, ours and mod_ssl's.
EXPECTED = [
    ("SSL_VERSION_LIBRARY", "it names the library that does the work", lambda o, t: "rustls" in o and "OpenSSL" in t),
    (
        "SSL_SESSION_ID",
        "each session has one of its own; in TLS 1.3 there is none",
        lambda o, t: len(o or "") in (0, 64),
    ),
    ("SSL_(KEX|CLIENT_CERT_SHA256|CLIENT_SPKI_SHA256)", "mod_ssl does not tell", lambda o, t: o and not t),
    ("SSL_SERVER_V_REMAIN", "mod_ssl tells it of clients only", lambda o, t: o and not t),
    (
        "hosts/.*/nobody/exit",
        "in TLS 1.2, too, rustls says certificate_required where OpenSSL says handshake_failure",
        lambda o, t: (o, t) == (98, 35),
    ),
    ("hosts/(depth-zero|unhashed)/expired/exit", "OpenSSL looks at the path first", lambda o, t: (o, t) == (60, 35)),
    (
        "(hosts/.*|locations/generous/.*)/x-verify",
        "in TLS 1.3 mod_ssl forgets that it was generous",
        lambda o, t: o == "GENEROUS" and "FAILED" in t,
    ),
    (
        "locations/.*/(nobody|alice|deep|stranger)/(exit|code|x-verify)",
        "mod_ssl renegotiates, and cuts the connection if it does not like what comes; ours says 403",
        lambda o, t: (o, t) in ((0, 56), (403, 0)) or t is None,
    ),
    (
        "locations/.*/(alice|deep|stranger)/x-verify",
        "the handshake has asked already, because some location wants a certificate",
        lambda o, t: o != "NONE" and t == "NONE",
    ),
    (
        "locations/aes128/.*/(code|text)",
        "mod_ssl renegotiates where the connection's suite is not in the list; ours says 403",
        lambda o, t: (o, t) in ((403, 200), ("", "aes128")),
    ),
    (
        "locations/strict/.*/(code|text)",
        "with mod_ssl StrictRequire is forgotten if Satisfy any finds no other reason to ask who it is",
        lambda o, t: (o, t) in ((403, 200), ("", "strict")),
    ),
    (
        "locations/.*/post/(code|text)",
        "mod_ssl has to keep the body while it renegotiates",
        lambda o, t: (o, t) == (200, 413) or o and not t,
    ),
    ("failures/http(10)?", "another header comes first", lambda o, t: o[:24] == t[:24] == "HTTP/1.1 400 Bad Request"),
    ("failures/(junk|ssh)", "ours says what is wrong", lambda o, t: o and not t),
    (
        "versions/(min|max|p384)/.*",
        "with mod_ssl these commands have an effect for the first host of an address only",
        lambda o, t: o != t,
    ),
    ("(backends|sections)/.*/code", "mod_ssl's 500 is not right (RFC 9110)", lambda o, t: (o, t) == ("502", "500")),
    (
        "htaccess/nonsense/.*/(code|text)",
        "mod_ssl does not read the list unless it renegotiates",
        lambda o, t: (o, t) in ((500, 200), ("", "nonsense")),
    ),
]

CGI = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv | grep -E '^(SSL|HTTPS|REMOTE_USER)' | sort\n"
V12, V13 = ["--tls-max", "1.2"], ["--tlsv1.3"]


@pytest.fixture
def pair(httpd, second_httpd, authority, ports):
    if CRYPTO == "fips":
        pytest.skip("validated cryptography has other suites and groups than OpenSSL's default")
    return SslPair(httpd, second_httpd, authority, ports)


def compare(pair, scene, **questions):
    """Asks both, and fails for what is different without being expected to be."""
    ours, theirs = {}, {}
    for name, question in questions.items():
        ours[name], theirs[name] = pair.ask(question)
    found = differences(ours, theirs)
    surprising = {}
    for path, values in found.items():
        path = f"{scene}/{path}"
        if not any(re.search(f"{place}$", path, re.IGNORECASE) and holds(*values) for place, _, holds in EXPECTED):
            surprising[path] = values
    assert not surprising, "\n".join(f"{path}: ours {v[0]!r}, mod_ssl's {v[1]!r}" for path, v in surprising.items())
    return ours


def answer(host, path="/", *args, headers=()):
    def ask(server):
        response = curl(server, host, path, *args)
        return {
            "exit": response.exit,
            "code": response.code,
            **{name: response.headers.get(name) for name in headers},
            "text": response.text if response.code == 200 else "",
        }

    return ask


def by_python(server, host, names):
    with connect(server, host) as tls, tls.makefile("rb") as stream:
        tls.sendall(request(host))
        status, headers, body = read_response(stream)
        return {"code": status, "body": body.decode(), **{name: headers.get(name) for name in names}}


def environment(host, *args, path="/cgi-bin/env"):
    def ask(server):
        response = curl(server, host, path, *args)
        assert response.code == 200, response
        return dict(line.split("=", 1) for line in response.text.splitlines() if "=" in line)

    return ask


def cgi(root):
    directory = root / "cgi-bin"
    directory.mkdir()
    directory.chmod(0o755)
    script = directory / "env"
    script.write_text(CGI)
    script.chmod(0o755)
    return [
        "ScriptSock @root@/cgisock",
        f"ScriptAlias /cgi-bin/ {directory}/",
        f"<Directory {directory}>",
        "Require all granted",
        "</Directory>",
    ]


def hashed(directory, files):
    """A directory as OpenSSL wants it: with links that are called by digests of names."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    subprocess.run(["openssl", "rehash", directory], check=True, capture_output=True)
    return directory


class Clients:
    """Certificates of all sorts, as arguments for curl."""

    def __init__(self, root):
        self.ca = PeopleCa()
        self.sub = PeopleCa("Sub CA", parent=self.ca)
        self.file = root / "people.pem"
        self.file.write_bytes(self.ca.pem)
        self.unhashed = root / "unhashed.d"
        self.unhashed.mkdir()
        (self.unhashed / "ca.pem").write_bytes(self.ca.pem)
        revoked = self.ca.client("mallory")
        self.crl = root / "people.crl"
        self.crl.write_bytes(self.ca.crl(revoked))
        self.directory = hashed(root / "people.d", {"ca.pem": self.ca.pem, "ca.crl.pem": self.ca.crl(revoked)})
        people = {
            "alice": self.ca.client("alice"),
            "deep": self.sub.client("deep"),
            "expired": self.ca.client("expired", start=-30, days=10),
            "revoked": revoked,
            "stranger": PeopleCa("Other CA").client("stranger"),
            "self_signed": self_signed(),
        }
        self.all = {name: person.write(root, name) for name, person in people.items()} | {"nobody": []}


@pytest.fixture
def clients(pair):
    return Clients(pair.root)


class TestVariables:
    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_01_environment(self, pair, clients, version):
        options = {
            "none": "",
            "std": "SSLOptions +StdEnvVars",
            "certs": "SSLOptions +ExportCertData",
            "all": "SSLOptions StdEnvVars ExportCertData",
            "legacy": "SSLOptions +StdEnvVars +LegacyDNStringFormat",
            "reset": "SSLOptions +StdEnvVars\nSSLOptions -StdEnvVars +OptRenegotiate",
        }
        verify = [f"SSLCACertificateFile {clients.file}", "SSLVerifyClient optional", "SSLVerifyDepth 2"]
        hosts = [line for name, value in options.items() for line in pair.vhost(f"{name}.test", value, *verify)]
        pair.start(*cgi(pair.root), *hosts, modules=["cgid"])
        questions = {}
        for name in options:
            for who in ("nobody", "alice", "deep"):
                questions[f"{name}-{who}"] = environment(f"{name}.test", *clients.all[who], *version)
        compare(pair, "environment", **questions)

    def test_02_in_headers_logs_and_expressions(self, pair, clients):
        verify = [f"SSLCACertificateFile {clients.file}", "SSLVerifyClient optional"]
        headers = [f'Header set X-{name} "%{{{name}}}s"' for name in VARIABLES]
        headers += [f'Header set Y-{name} "expr=%{{{name}}}"' for name in VARIABLES if not name.endswith("CERT")]
        log = " ".join(f"%{{{name}}}x" for name in ("SSL_CIPHER", "SSL_CLIENT_S_DN", "SSL_CLIENT_VERIFY"))
        log += " %{version}c %{cipher}c %{subjectdn}c %{issuerdn}c %{errcode}c"
        pair.start(f'LogFormat "{log}" ssl', "CustomLog @root@/ssl_log ssl", *pair.vhost("a.test", *verify, *headers))
        names = [f"{letter}-{name}".lower() for name in VARIABLES for letter in "xy"]
        compare(
            pair,
            "headers",
            nobody=answer("a.test", "/", *V12, headers=names),
            alice=answer("a.test", "/", *clients.all["alice"], headers=names),
            python=lambda server: by_python(server, "a.test", names),
        )
        logs = [server.root / "ssl_log" for server in (pair.ours, pair.theirs)]
        wait_for(lambda: all(log.read_text().count("\n") == 3 for log in logs), "the log")
        compare(pair, "log", log=lambda server: (server.root / "ssl_log").read_text())


class TestClients:
    """Who gets in where."""

    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_01_hosts(self, pair, clients, version):
        ca = f"SSLCACertificateFile {clients.file}"
        depths = {"none": [], "zero": ["SSLVerifyDepth 0"], "two": ["SSLVerifyDepth 2"]}
        crl = [f"SSLCARevocationFile {clients.crl}", "SSLCARevocationCheck leaf"]
        hosts = {
            "require": [ca, "SSLVerifyClient require"],
            "optional": [ca, "SSLVerifyClient optional"],
            "optional-no-ca": [ca, "SSLVerifyClient optional_no_ca"],
            "none": [ca, "SSLVerifyClient none"],
            "unset": [ca],
            "no-ca": ["SSLVerifyClient optional_no_ca"],
            "crl": [ca, "SSLVerifyClient require", *crl],
            "unused-crl": [ca, "SSLVerifyClient require", crl[0]],
            "names": [ca, "SSLVerifyClient require", f"SSLCADNRequestFile {clients.file}"],
            "user": [ca, "SSLVerifyClient optional", "SSLUserName SSL_CLIENT_S_DN_CN"],
            "unhashed": [f"SSLCACertificatePath {clients.unhashed}", "SSLVerifyClient require"],
            "paths": [
                f"SSLCACertificatePath {clients.directory}",
                f"SSLCADNRequestPath {clients.directory}",
                f"SSLCARevocationPath {clients.directory}",
                "SSLCARevocationCheck chain",
                "SSLVerifyClient require",
            ],
            **{f"depth-{name}": [ca, "SSLVerifyClient require", *lines] for name, lines in depths.items()},
        }
        pair.ours.log.allow("SSLVerifyClient needs SSLCACertificateFile")
        show = ['Header always set X-Verify "%{SSL_CLIENT_VERIFY}s"', 'Header set X-User "expr=%{REMOTE_USER}"']
        pair.start(*(line for name, lines in hosts.items() for line in pair.vhost(f"{name}.test", *lines, *show)))
        questions = {}
        for host in hosts:
            for who, files in clients.all.items():
                shown = ("x-verify", "x-user")
                questions[f"{host}/{who}"] = answer(f"{host}.test", "/", *files, *version, headers=shown)
        compare(pair, "hosts", **questions)

    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_02_locations(self, pair, clients, version):
        locations = {
            "require": ["SSLVerifyClient require"],
            "optional": ["SSLVerifyClient optional"],
            "generous": ["SSLVerifyClient optional_no_ca"],
            "shallow": ["SSLVerifyClient require", "SSLVerifyDepth 0"],
            "deep": ["SSLVerifyClient require", "SSLVerifyDepth 5"],
            "tls": ["SSLRequireSSL"],
            "aes128": ["SSLCipherSuite AES128"],
            "aes256": ["SSLCipherSuite AES256"],
            "strong": ["SSLRequire %{SSL_CIPHER_USEKEYSIZE} >= 128"],
            "weak": ["SSLRequire %{SSL_CIPHER_USEKEYSIZE} < 128"],
            "alice": ["SSLVerifyClient require", 'SSLRequire %{SSL_CLIENT_S_DN_CN} eq "alice"'],
            "old": [
                "SSLRequire (    %{SSL_CIPHER} !~ m/^(EXP|NULL)-/ \\",
                '            and %{HTTP_HOST} in {"a.test:@port@", "b.test"} \\',
                "            and %{TIME_HOUR} >= 0 and %{TIME_HOUR} <= 23 ) \\",
                "            or %{REMOTE_ADDR} =~ m/^192\\.76\\.162\\.[0-9]+$/",
            ],
            "oid": [
                "SSLVerifyClient optional",
                '    SSLRequire "TLS Web Client Authentication" in PeerExtList("2.5.29.37")',
            ],
            "any": ["SSLVerifyClient require", "Satisfy any", "Order allow,deny", "Allow from all"],
            "strict": ["SSLOptions +StrictRequire", "SSLRequireSSL", "Satisfy any", "SSLRequire false"],
            "two": ["SSLRequire true", 'SSLRequire %{SSL_PROTOCOL} ne "SSLv3"'],
            "never": ["SSLRequire false"],
            "user": [
                "SSLVerifyClient optional",
                "SSLUserName SSL_CLIENT_S_DN_CN",
                'Header set X-User "expr=%{REMOTE_USER}"',
            ],
        }
        lines = [f"SSLCACertificateFile {clients.file}", 'Header always set X-Verify "%{SSL_CLIENT_VERIFY}s"']
        for name, rules in locations.items():
            directory = pair.ours.docs / name
            directory.mkdir()
            directory.joinpath("index.html").write_text(f"{name}\n")
            lines += [f"<Location /{name}/>", *rules, "</Location>"]
        plain = [
            "<Location /tls/>",
            "SSLRequireSSL",
            "</Location>",
            "<Location /never/>",
            "SSLRequire false",
            "</Location>",
        ]
        pair.start(*plain, *pair.vhost("a.test", *lines), modules=["access_compat"])
        questions = {}
        for name in locations:
            for who in ("nobody", "alice", "deep", "stranger"):
                questions[f"{name}/{who}"] = answer(
                    "a.test", f"/{name}/", *clients.all[who], *version, headers=("x-verify", "x-user")
                )
            url = lambda server, name=name: f"http://127.0.0.1:{server.plain_port}/{name}/"  # noqa: E731
            questions[f"{name}/plain"] = lambda server, url=url: http(url(server))
        upload = pair.root / "upload"
        upload.write_bytes(b"x" * 300_000)
        for name in ("require", "optional"):
            questions[f"{name}/post"] = answer(
                "a.test", f"/{name}/", "--data-binary", f"@{upload}", *clients.all["alice"], *version
            )
        compare(pair, "locations", **questions)

    def test_03_fake_basic_auth(self, pair, clients):
        users = pair.root / "users"
        users.write_text("/CN=alice:xxj31ZMTZzkVA\n")
        rules = [
            "SSLOptions +FakeBasicAuth",
            "AuthType Basic",
            "AuthName x",
            f"AuthUserFile {users}",
            "Require valid-user",
        ]
        verify = [f"SSLCACertificateFile {clients.file}", "SSLVerifyClient optional", "SSLVerifyDepth 2"]
        show = 'Header set X-User "expr=%{REMOTE_USER}"'
        host = pair.vhost("a.test", *verify, "<Location />", *rules, show, "</Location>")
        pair.start(*host, modules=["auth_basic", "authn_file", "authn_core", "authz_user"])
        for server in (pair.ours, pair.theirs):
            server.log.allow("AH01618|log in with the subject")
        forged = ["-u", "/CN=alice:password"]
        questions = {
            who: answer("a.test", "/", *clients.all[who], headers=["x-user"]) for who in ("nobody", "alice", "deep")
        }
        compare(pair, "fake", **questions, forged=answer("a.test", "/", *forged))

    def test_04_htaccess(self, pair, clients):
        verify = [f"SSLCACertificateFile {clients.file}", "SSLVerifyClient optional"]
        files = {
            "ssl": "SSLRequireSSL\n",
            "never": "SSLRequire false\n",
            "options": 'SSLOptions +StdEnvVars\nHeader set X-Env "%{SSL_PROTOCOL}e"\n',
            "depth": "SSLVerifyDepth 1\nSSLVerifyClient optional\n",
            "user": 'SSLUserName SSL_CLIENT_S_DN_CN\nHeader set X-User "expr=%{REMOTE_USER}"\n',
            "buffer": "SSLRenegBufferSize 100000\n",
            "engine": "SSLEngine on\n",
            "wrong": "SSLVerifyClient perhaps\n",
            "nonsense": "SSLCipherSuite @nonsense\n",
        }
        for name, text in files.items():
            directory = pair.ours.docs / name
            directory.mkdir()
            directory.joinpath("index.html").write_text(f"{name}\n")
            directory.joinpath(".htaccess").write_text(text)
        pair.start(*pair.vhost("a.test", *verify))
        for server in (pair.ours, pair.theirs):
            server.log.allow("core:alert")
        questions = {}
        for name in files:
            for who in ("nobody", "alice"):
                questions[f"{name}/{who}"] = answer(
                    "a.test", f"/{name}/", *clients.all[who], headers=("x-env", "x-user")
                )
        compare(pair, "htaccess", **questions)


def http(url):
    run = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url], capture_output=True, text=True)
    return run.stdout


class TestHosts:
    """Which virtual host answers, and what it speaks."""

    @pytest.mark.parametrize("policy", ["", "strict", "secure", "authonly", "insecure"])
    def test_01_names(self, pair, clients, policy):
        ca = [f"SSLCACertificateFile {clients.file}", "SSLVerifyClient optional"]
        hosts = {
            "a": [],
            "b": [],
            "alias": ["ServerAlias *.alias.test other.test"],
            "tls13": ["SSLProtocol TLSv1.3"],
            "cipher": ["SSLCipherSuite ECDHE+AES256"],
            "auth": ca,
            "other-ca": [f"SSLCADNRequestFile {clients.file}", *ca],
            "cache": ["SSLSessionCacheTimeout 600"],
            "strict": ["SSLStrictSNIVHostCheck on"],
        }
        lines = [
            line for name, own in hosts.items() for line in pair.vhost(f"{name}.test", *own, 'Header set X-Host "%v"')
        ]
        show = [line.replace("%v", "expr=%{SERVER_NAME}") for line in lines]
        off = pair.vhost("off.test", engine="SSLEngine off")
        pair.ours.log.allow("is not covered by")
        pair.start(f"SSLVHostSNIPolicy {policy}" if policy else "", *show, *off)
        questions = {}
        for host in [*hosts, "off", "nobody"]:
            insecure = ["-k", *V12]
            name = f"{host}.test"
            questions[f"sni/{host}"] = answer(name, "/", *insecure, headers=["x-host"])
            for shaken in ("a.test", "auth.test", "unknown.test"):
                questions[f"host/{host}/{shaken}"] = answer_on(name, shaken)
            questions[f"no-sni/{host}"] = lambda server, name=name: without_sni(server, name)
            questions[f"no-host/{host}"] = lambda server, name=name: without_host(server, name)
        for name in ("www.alias.test", "other.test", "A.TEST", "a.test."):
            questions[f"sni/{name}"] = answer(name, "/", "-k", headers=["x-host"])
        compare(pair, "names", **questions)

    def test_02_engines(self, pair):
        """SSLEngine where it is inherited, and where the port says it."""
        pair.ours.log.allow("is not covered by")
        listen, inherited = "Listen 127.0.0.1:@extra@ https", pair.certificate("base.test")
        by_port = [line.replace("@port@", "@extra@") for line in pair.vhost("port.test", engine="")]
        off = pair.vhost("off.test", engine="SSLEngine off")
        pair.start(listen, "SSLEngine on", *inherited, *pair.vhost("a.test", engine=""), *by_port, *off)
        compare(
            pair,
            "engines",
            host=answer("a.test"),
            base=lambda server: curl(server, "base.test", port=server.plain_port).code,
            port=lambda server: curl(server, "port.test", port=server.extra_port).code,
            off=answer("off.test", "/", "-k"),
        )
        pair.stop()
        pair.start(listen, *pair.vhost("a.test"), *by_port)
        compare(
            pair,
            "port",
            host=answer("a.test"),
            port=lambda server: curl(server, "port.test", port=server.extra_port).code,
            plain=lambda server: http(f"http://127.0.0.1:{server.plain_port}/"),
        )

    def test_03_versions_and_suites(self, pair):
        settings = {
            "default": [],
            "debian": ["SSLProtocol all -SSLv3", "SSLCipherSuite HIGH:!aNULL"],
            "only12": ["SSLProtocol -all +TLSv1.2"],
            "only13": ["SSLProtocol -all +TLSv1.3"],
            "mozilla": [
                "SSLProtocol -all +TLSv1.2 +TLSv1.3",
                "SSLOpenSSLConfCmd Curves X25519:prime256v1:secp384r1",
                "SSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                "ECDHE-ECDSA-AES256-GCM-SHA384:"
                "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                "DHE-RSA-AES128-GCM-SHA256",
                "SSLHonorCipherOrder off",
                "SSLSessionTickets off",
            ],
            "ordered": ["SSLCipherSuite ALL:+AES256:+CHACHA20", "SSLHonorCipherOrder on"],
            "chacha": ["SSLCipherSuite CHACHA20", "SSLCipherSuite TLSv1.3 TLS_CHACHA20_POLY1305_SHA256"],
            "tls13-order": [
                "SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
                "SSLHonorCipherOrder on",
            ],
            "min": ["SSLOpenSSLConfCmd MinProtocol TLSv1.3"],
            "max": ["SSLOpenSSLConfCmd MaxProtocol TLSv1.2"],
            "sigalgs": ["SSLOpenSSLConfCmd SignatureAlgorithms RSA+SHA256:RSA-PSS+SHA256"],
            "no-tickets": ["SSLOpenSSLConfCmd Options -SessionTicket"],
            "p384": ["SSLOpenSSLConfCmd Groups secp384r1"],
        }
        kinds = ("rsa2048", "p256")
        pair.start(*(line for name, own in settings.items() for line in pair.vhost(f"{name}.test", *own, kinds=kinds)))
        offers = {
            "tls10": ["-tls1"],
            "tls12": ["-tls1_2"],
            "tls13": ["-tls1_3"],
            "aes128": ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            "chacha": ["-tls1_2", "-cipher", "CHACHA20:AES128"],
            "rsa": ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"],
            "suites": ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"],
            "p256": ["-groups", "P-256"],
            "sigalgs": ["-sigalgs", "RSA-PSS+SHA256"],
        }
        questions = {}
        for name in settings:
            for offer, args in offers.items():
                questions[f"{name}/{offer}"] = lambda server, name=name, args=args: handshake(
                    server, f"{name}.test", *args
                )
        compare(pair, "versions", **questions)

    def test_04_failures(self, pair):
        pair.start(*pair.vhost("a.test"), *pair.vhost("b.test"))

        def raw(data):
            def send(server):
                with raw_connection(server) as sock:
                    sock.sendall(data)
                    return read_all(sock)[:30].decode("latin-1")

            return send

        compare(
            pair,
            "failures",
            http=raw(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            http10=raw(b"GET / HTTP/1.0\r\n\r\n"),
            junk=raw(b"\x00" * 100),
            ssh=raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
            body=lambda server: http_body(server.port),
        )

    def test_05_resumption(self, pair):
        settings = {
            "default": [],
            "no-tickets": ["SSLSessionTickets off"],
        }
        hosts = [line for name, own in settings.items() for line in pair.vhost(f"{name}.test", *own)]
        pair.start("SSLSessionCache shmcb:@root@/ssl_scache(512000)", "SSLSessionCacheTimeout 300", *hosts)
        questions = {}
        for name in settings:
            for version in ("-tls1_2", "-tls1_3"):
                questions[f"{name}/{version}"] = lambda server, name=name, version=version: resumed(
                    server, f"{name}.test", version
                )
        compare(pair, "resumption", **questions)


class TestBackends:
    """What is behind a proxy, and who may be."""

    @pytest.fixture
    def behind(self, pair, authority, ports):
        """Backends with all sorts of certificates, by name."""
        root = pair.root
        issued = {
            "good": authority.server("localhost"),
            "wrong-name": authority.server("other.test"),
            "wildcard": authority.server("*.localhost", "localhost"),
            "by-cn": authority.server("other.test", subject=common_name("localhost")),
            "expired": authority.server("localhost", start=-30, days=10),
            "self-signed": authority.server("localhost", self_signed=True),
        }
        (root / "self-signed-ca.pem").write_bytes(issued["self-signed"].cert_pem)
        running = {}
        try:
            for name, one in issued.items():
                running[name] = backends.Backend(ports.take(), backends.context(root, one, f"behind-{name}"))
            people = PeopleCa()
            (root / "machines.pem").write_bytes(people.pem)
            machine = people.client("machine")
            (root / "machine.pem").write_bytes(machine.pem + key_pem(machine.key))
            options = {"client_ca": root / "machines.pem"}
            sub = PeopleCa("Sub CA", parent=people)
            deep = sub.client("deep machine")
            (root / "machine-sub.pem").write_bytes(deep.pem + key_pem(deep.key))
            (root / "machine-chain.pem").write_bytes(sub.pem)
            (root / "machines.d").mkdir()
            (root / "machines.d/one.pem").write_bytes(machine.pem + key_pem(machine.key))
            makers = PeopleCa("Makers")
            names = [x509.SubjectAlternativeName([x509.DNSName("localhost")])]
            made = {
                name: makers.client("localhost", usages=SERVER, extensions=names) for name in ("listed", "unlisted")
            }
            hashed(root / "makers.d", {"ca.pem": makers.pem, "crl.pem": makers.crl(made["listed"])})
            for name, one in made.items():
                running[name] = backends.Backend(ports.take(), backends.context(root, one, f"behind-{name}"))
            running["asks"] = backends.Backend(
                ports.take(), backends.context(root, issued["good"], "behind-asks", **options)
            )
            yield running
        finally:
            for one in running.values():
                one.stop()

    def test_01_verification(self, pair, behind):
        root = pair.root
        ca, own = (
            f"SSLProxyCACertificateFile {pair.ours.ca_file}",
            f"SSLProxyCACertificateFile {root}/self-signed-ca.pem",
        )
        deep = "SSLProxyVerifyDepth 2"
        settings = {
            "default": [],
            "off": ["SSLProxyEngine off"],
            "require": ["SSLProxyVerify require", ca, deep],
            "shallow": ["SSLProxyVerify require", ca],
            "no-ca": ["SSLProxyVerify require"],
            "optional": ["SSLProxyVerify optional", ca, deep],
            "generous": ["SSLProxyVerify optional_no_ca", ca, deep],
            "own": ["SSLProxyVerify require", own],
            "any-name": ["SSLProxyCheckPeerName off"],
            "cn": ["SSLProxyCheckPeerName off", "SSLProxyCheckPeerCN on"],
            "no-cn": ["SSLProxyCheckPeerCN off"],
            "any-time": ["SSLProxyCheckPeerExpire off"],
            "any": ["SSLProxyCheckPeerName off", "SSLProxyCheckPeerCN off", "SSLProxyCheckPeerExpire off"],
            "machine": [f"SSLProxyMachineCertificateFile {root}/machine.pem"],
            "machines": [f"SSLProxyMachineCertificatePath {root}/machines.d"],
            "machine-chain": [
                f"SSLProxyMachineCertificateFile {root}/machine-sub.pem",
                f"SSLProxyMachineCertificateChainFile {root}/machine-chain.pem",
            ],
            "paths": ["SSLProxyVerify require", f"SSLProxyCACertificatePath {root}/makers.d"],
            "revoked": [
                "SSLProxyVerify require",
                f"SSLProxyCACertificatePath {root}/makers.d",
                f"SSLProxyCARevocationPath {root}/makers.d",
                "SSLProxyCARevocationCheck chain",
            ],
            "tls12": ["SSLProxyProtocol -all +TLSv1.2", "SSLProxyCipherSuite ECDHE+AESGCM"],
            "crl-off": ["SSLProxyVerify require", ca, deep, f"SSLProxyCARevocationFile {root}/people.crl"],
        }
        (root / "people.crl").write_bytes(PeopleCa().crl())
        lines = []
        for name, own_lines in settings.items():
            lines += [f"<VirtualHost *:@plain@>\nServerName {name}.test\nSSLProxyEngine on", *own_lines]
            lines += [f"ProxyPass /{kind} https://localhost:{one.port}" for kind, one in behind.items()]
            lines += ["</VirtualHost>"]
        for server in (pair.ours, pair.theirs):
            server.log.allow("proxy:|proxy_http:|ssl:|AH01961")
        pair.start(*lines, modules=["proxy", "proxy_http", "slotmem_shm"])
        questions = {
            f"{name}/{kind}": lambda server, name=name, kind=kind: through(server, f"{name}.test", f"/{kind}")
            for name in settings
            for kind in behind
        }
        compare(pair, "backends", **questions)

    def test_02_sections(self, pair, behind):
        """Settings of <Proxy> sections and of the server around them."""
        port, name = behind["good"].port, behind["wrong-name"].port
        lines = [
            "<VirtualHost *:@plain@>",
            "ServerName a.test",
            "SSLProxyEngine on",
            f"SSLProxyCACertificateFile {pair.ours.ca_file}",
            "SSLProxyVerifyDepth 2",
            f"<Proxy https://localhost:{port}/>",
            "SSLProxyVerify require",
            "</Proxy>",
            f"<Proxy https://localhost:{name}/>",
            "SSLProxyCheckPeerName off",
            "</Proxy>",
            f"ProxyPass /good https://localhost:{port}",
            f"ProxyPass /wrong-name https://localhost:{name}",
            "</VirtualHost>",
        ]
        for server in (pair.ours, pair.theirs):
            server.log.allow("proxy:|proxy_http:|ssl:|AH01961")
        pair.start(*lines, modules=["proxy", "proxy_http", "slotmem_shm"])
        questions = {
            kind: lambda server, kind=kind: through(server, "a.test", f"/{kind}") for kind in ("good", "wrong-name")
        }
        compare(pair, "sections", **questions)


def through(server, host, path):
    """The status of a request, and what the backend saw of the client's certificate."""
    url = f"http://127.0.0.1:{server.plain_port}{path}/"
    command = ["curl", "-sS", "-H", f"Host: {host}", "-w", "\n%{http_code}", url]
    body, _, code = subprocess.run(command, capture_output=True, text=True).stdout.rpartition("\n")
    return {"code": code, "client": re.findall("client=(.*) port", body)}


def answer_on(host, connect):
    def ask(server):
        response = curl(server, host, "/", "-k", *V12, connect=connect)
        return {"exit": response.exit, "code": response.code, "host": response.headers.get("x-host")}

    return ask


def without_host(server, name):
    session = s_client(server, "-tls1_2", "-quiet", name=name, send=b"GET / HTTP/1.0\r\n\r\n")
    found = re.search(r"HTTP/1.1 (\d+)", session.output)
    return found and found.group(1)


def without_sni(server, host):
    session = s_client(server, "-tls1_2", "-quiet", send=request(host))
    found = re.search(r"HTTP/1.1 (\d+)", session.output)
    shown = re.search(r"X-Host: (\S+)", session.output)
    return {"code": found and found.group(1), "host": shown and shown.group(1)}


def handshake(server, name, *args):
    session = s_client(server, *args, name=name)
    signature = re.search(r"Peer signature type: (\S+)", session.output)
    return {
        "protocol": session.protocol,
        "cipher": session.cipher,
        "failed": session.cipher is None,
        "signature": signature and signature.group(1),
    }


def resumed(server, name, version):
    file = server.root / f"{name}{version}.sess"
    s_client(server, version, "-sess_out", str(file), name=name, send=request(name))
    session = s_client(server, version, "-sess_in", str(file), name=name, send=request(name))
    return {"reused": session.reused}


def http_body(port):
    command = ["curl", "-sS", f"http://127.0.0.1:{port}/"]
    return "plain HTTP" in subprocess.run(command, capture_output=True, text=True).stdout
