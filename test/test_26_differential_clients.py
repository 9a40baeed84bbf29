# SPDX-License-Identifier: Apache-2.0
"""Which client certificates are accepted, under mod_ssl and under this module."""

import pytest

from harness.clients import plain_get
from harness.differential import NEEDS_SUITES_OF_OPENSSL, V12, V13, answer, compare

pytestmark = NEEDS_SUITES_OF_OPENSSL


class TestClients:
    """Which clients are accepted."""

    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_01_hosts(self, pair, client_certs, version):
        ca = f"SSLCACertificateFile {client_certs.file}"
        depths = {"none": [], "zero": ["SSLVerifyDepth 0"], "two": ["SSLVerifyDepth 2"]}
        crl = [f"SSLCARevocationFile {client_certs.crl}", "SSLCARevocationCheck leaf"]
        hosts = {
            "require": [ca, "SSLVerifyClient require"],
            "optional": [ca, "SSLVerifyClient optional"],
            "optional-no-ca": [ca, "SSLVerifyClient optional_no_ca"],
            "none": [ca, "SSLVerifyClient none"],
            "unset": [ca],
            "no-ca": ["SSLVerifyClient optional_no_ca"],
            "crl": [ca, "SSLVerifyClient require", *crl],
            "unused-crl": [ca, "SSLVerifyClient require", crl[0]],
            "names": [ca, "SSLVerifyClient require", f"SSLCADNRequestFile {client_certs.file}"],
            "user": [ca, "SSLVerifyClient optional", "SSLUserName SSL_CLIENT_S_DN_CN"],
            "unhashed": [f"SSLCACertificatePath {client_certs.unhashed}", "SSLVerifyClient require"],
            "paths": [
                f"SSLCACertificatePath {client_certs.directory}",
                f"SSLCADNRequestPath {client_certs.directory}",
                f"SSLCARevocationPath {client_certs.directory}",
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
            for who, files in client_certs.all.items():
                shown = ("x-verify", "x-user")
                questions[f"{host}/{who}"] = answer(f"{host}.test", "/", *files, *version, headers=shown)
        compare(pair, "hosts", **questions)

    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_02_locations(self, pair, client_certs, version):
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
        lines = [f"SSLCACertificateFile {client_certs.file}", 'Header always set X-Verify "%{SSL_CLIENT_VERIFY}s"']
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
                    "a.test", f"/{name}/", *client_certs.all[who], *version, headers=("x-verify", "x-user")
                )
            questions[f"{name}/plain"] = lambda server, name=name: plain_get(server, f"/{name}/")[0]
        upload = pair.root / "upload"
        upload.write_bytes(b"x" * 300_000)
        for name in ("require", "optional"):
            questions[f"{name}/post"] = answer(
                "a.test", f"/{name}/", "--data-binary", f"@{upload}", *client_certs.all["alice"], *version
            )
        compare(pair, "locations", **questions)

    def test_03_fake_basic_auth(self, pair, client_certs):
        users = pair.root / "users"
        users.write_text("/CN=alice:xxj31ZMTZzkVA\n")
        rules = [
            "SSLOptions +FakeBasicAuth",
            "AuthType Basic",
            "AuthName x",
            f"AuthUserFile {users}",
            "Require valid-user",
        ]
        verify = [f"SSLCACertificateFile {client_certs.file}", "SSLVerifyClient optional", "SSLVerifyDepth 2"]
        show = 'Header set X-User "expr=%{REMOTE_USER}"'
        host = pair.vhost("a.test", *verify, "<Location />", *rules, show, "</Location>")
        pair.start(*host, modules=["auth_basic", "authn_file", "authn_core", "authz_user"])
        for server in (pair.ours, pair.theirs):
            server.log.allow("AH01618|log in with the subject")
        forged = ["-u", "/CN=alice:password"]
        questions = {
            who: answer("a.test", "/", *client_certs.all[who], headers=["x-user"])
            for who in ("nobody", "alice", "deep")
        }
        compare(pair, "fake", **questions, forged=answer("a.test", "/", *forged))

    def test_04_htaccess(self, pair, client_certs):
        verify = [f"SSLCACertificateFile {client_certs.file}", "SSLVerifyClient optional"]
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
                    "a.test", f"/{name}/", *client_certs.all[who], headers=("x-env", "x-user")
                )
        compare(pair, "htaccess", **questions)
