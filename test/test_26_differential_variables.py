# SPDX-License-Identifier: Apache-2.0
"""`SSL_*` variables under mod_ssl and under this module."""

import pytest

from harness.cgi import add_cgi
from harness.clients import connect, curl, read_response, request
from harness.differential import NEEDS_SUITES_OF_OPENSSL, V12, V13, answer, compare
from harness.httpd import wait_for

pytestmark = NEEDS_SUITES_OF_OPENSSL


GENERAL = ["CIPHER", "CIPHER_EXPORT", "CIPHER_USEKEYSIZE", "CIPHER_ALGKEYSIZE", "COMPRESS_METHOD", "PROTOCOL"]

GENERAL += ["SECURE_RENEG", "SESSION_RESUMED", "SRP_USER", "TLS_SNI", "VERSION_INTERFACE", "VERSION_LIBRARY"]

PARTS = ["M_VERSION", "M_SERIAL", "S_DN", "S_DN_CN", "S_DN_O", "SAN_Email_0", "SAN_DNS_0", "I_DN", "I_DN_CN", "V_START"]

PARTS += ["V_END", "A_SIG", "A_KEY", "CERT"]

OF_CLIENTS = ["CERT_CHAIN_0", "CERT_RFC4523_CEA", "V_REMAIN", "VERIFY"]

VARIABLES = ["HTTPS"] + [f"SSL_{name}" for name in GENERAL]

VARIABLES += [f"SSL_{side}_{part}" for side in ("CLIENT", "SERVER") for part in PARTS]

VARIABLES += [f"SSL_CLIENT_{part}" for part in OF_CLIENTS]

CGI = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv | grep -E '^(SSL|HTTPS|REMOTE_USER)' | sort\n"


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


class TestVariables:
    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_01_environment(self, pair, client_certs, version):
        options = {
            "none": "",
            "std": "SSLOptions +StdEnvVars",
            "certs": "SSLOptions +ExportCertData",
            "all": "SSLOptions StdEnvVars ExportCertData",
            "legacy": "SSLOptions +StdEnvVars +LegacyDNStringFormat",
            "reset": "SSLOptions +StdEnvVars\nSSLOptions -StdEnvVars +OptRenegotiate",
        }
        verify = [f"SSLCACertificateFile {client_certs.file}", "SSLVerifyClient optional", "SSLVerifyDepth 2"]
        hosts = [line for name, value in options.items() for line in pair.vhost(f"{name}.test", value, *verify)]
        pair.start(*add_cgi(pair.ours, "env", CGI, socket="@root@/cgisock"), *hosts, modules=["cgid"])
        questions = {}
        for name in options:
            for who in ("nobody", "alice", "deep"):
                questions[f"{name}-{who}"] = environment(f"{name}.test", *client_certs.all[who], *version)
        compare(pair, "environment", **questions)

    def test_02_in_headers_logs_and_expressions(self, pair, client_certs):
        verify = [f"SSLCACertificateFile {client_certs.file}", "SSLVerifyClient optional"]
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
            alice=answer("a.test", "/", *client_certs.all["alice"], headers=names),
            python=lambda server: by_python(server, "a.test", names),
        )
        logs = [server.root / "ssl_log" for server in (pair.ours, pair.theirs)]
        wait_for(lambda: all(log.read_text().count("\n") == 3 for log in logs), "the log")
        compare(pair, "log", log=lambda server: (server.root / "ssl_log").read_text())
