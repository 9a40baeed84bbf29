# SPDX-License-Identifier: Apache-2.0
"""httpd's modules that inspect, decide about or log requests, over each stack."""

import hashlib
import json
import os
import re
import socket
import struct
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes

from harness import fastcgi
from harness.cgi import DIGEST, ENVIRONMENT, Gate
from harness.clients import connect, curl, read_all, read_response, request
from harness.content import PartialResponse, digest, post
from harness.httpd import wait_for
from harness.relay import Relay

MIB = 1 << 20


def lines_of(file, count=1):
    """Waits until a log has `count` lines. Returns the lines."""
    wait_for(lambda: file.exists() and len(file.read_text().splitlines()) >= count, f"{count} lines in {file}")
    return file.read_text().splitlines()


class TestVariables:
    def test_01_rewrite(self, stack):
        modern = "%{HTTPS} %{REQUEST_SCHEME} %{SSL:SSL_PROTOCOL} %{SSL:SSL_TLS_SNI}"
        rules = [
            "RewriteEngine on",
            f'RewriteCond "{modern}" "=on https TLSv1.3 a.test"',
            "RewriteRule ^/tls13$ /index.html",
            'RewriteCond "%{SSL:SSL_PROTOCOL}" "=TLSv1.2"',
            "RewriteRule ^/tls12$ /index.html",
            "RewriteRule ^/away$ /index.html [R]",
        ]
        stack.start(*rules)
        assert curl(stack.httpd, "a.test", "/tls13").text == "hello"
        assert curl(stack.httpd, "a.test", "/tls13", "--tls-max", "1.2").code == 404
        assert curl(stack.httpd, "a.test", "/tls12", "--tls-max", "1.2").text == "hello"
        location = curl(stack.httpd, "a.test", "/away").headers["location"]
        assert location == f"https://a.test:{stack.httpd.port}/index.html"

    def test_02_rewrite_to_https(self, stack):
        """The usual redirect, on the port without TLS."""
        httpd = stack.httpd
        url = f"https://a.test:{httpd.port}/index.html"
        rule = f"RewriteEngine on\nRewriteCond %{{HTTPS}} off\nRewriteRule ^ {url} [R,L]"
        stack.start(rule, top=[f"<VirtualHost *:{httpd.plain_port}>\nServerName a.test\n{rule}\n</VirtualHost>"])
        command = ["curl", "-sS", "-L", "--cacert", httpd.ca_file, "-w", "%{num_redirects} %{url_effective}"]
        command += [
            "--connect-to",
            f"a.test:80:127.0.0.1:{httpd.plain_port}",
            "--resolve",
            f"a.test:{httpd.port}:127.0.0.1",
        ]
        run = subprocess.run([*command, "http://a.test/index.html"], capture_output=True, text=True, timeout=30)
        assert run.stdout == f"hello\n1 https://a.test:{httpd.port}/index.html"

    def test_03_headers(self, stack):
        fields = [
            'Header set X-Protocol "%{SSL_PROTOCOL}s"',
            'Header set X-Expression "expr=%{HTTPS} %{SSL:SSL_TLS_SNI} %{REQUEST_SCHEME}"',
            "Header always set Strict-Transport-Security max-age=1000 \"expr=%{HTTPS} == 'on'\"",
            'RequestHeader set X-Cipher "%{SSL_CIPHER}s"',
        ]
        stack.add_scripts(environment=ENVIRONMENT)
        stack.start(*fields)
        response = curl(stack.httpd, "a.test", "/cgi-bin/environment", "--tlsv1.3", "-H", "X-Cipher: forged")
        assert response.headers["x-protocol"] == "TLSv1.3"
        assert response.headers["x-expression"] == "on a.test https"
        assert response.headers["strict-transport-security"] == "max-age=1000"
        assert "HTTP_X_CIPHER=TLS_AES_256_GCM_SHA384" in response.text

    def test_04_setenvif(self, stack):
        """TLS variables are set before the variables that are derived from them."""
        lines = [
            "SetEnvIfExpr \"%{HTTPS} == 'on' && %{SSL_PROTOCOL} == 'TLSv1.3'\" MODERN=yes",
            "SetEnvIf Request_Protocol HTTP/2 SECOND=yes",
            'SetEnvIf Remote_Addr "^127\\." LOCAL=yes',
            *stack.variables(),
        ]
        stack.add_scripts(environment=ENVIRONMENT)
        stack.start(*lines, top=["Protocols h2 http/1.1"])
        text = curl(stack.httpd, "a.test", "/cgi-bin/environment", "--http2").text.splitlines()
        assert {"MODERN=yes", "SECOND=yes", "LOCAL=yes", "HTTPS=on", "SSL_PROTOCOL=TLSv1.3"} <= set(text)
        old = curl(stack.httpd, "a.test", "/cgi-bin/environment", "--http1.1", "--tls-max", "1.2").text.splitlines()
        assert "LOCAL=yes" in old and not {"MODERN=yes", "SECOND=yes"} & set(old)

    def test_05_unique_id(self, stack):
        stack.add_scripts(environment=ENVIRONMENT)
        stack.start('Header set X-Id "%{UNIQUE_ID}e"', top=["Protocols h2 http/1.1"], modules=["unique_id"])
        found = []
        with connect(stack.httpd, "a.test") as tls, tls.makefile("rb") as stream:
            tls.sendall(request("a.test", close=False) * 20)
            found = [read_response(stream)[1]["x-id"] for _ in range(20)]
        found += [curl(stack.httpd, "a.test", "/", "--http2").headers["x-id"] for _ in range(3)]
        assert len(set(found)) == 23 and all(len(one) > 20 for one in found)


class TestHosts:
    def test_01_vhost_alias(self, stack):
        """The client's server name selects the directory, with one wildcard certificate."""
        httpd = stack.httpd
        for name in ("one", "two"):
            (httpd.docs / name).mkdir(mode=0o755)
            (httpd.docs / name / "file").write_text(name)
        host = stack.vhost("*.many.test", "ServerAlias *.many.test", f"VirtualDocumentRoot {httpd.docs}/%1")
        stack.start(top=[host.replace("ServerName *.", "ServerName x.")], modules=["vhost_alias"])
        for name in ("one", "two"):
            assert curl(httpd, f"{name}.many.test", "/file").text == name
        assert curl(httpd, "three.many.test", "/file").code == 404

    def test_02_macro(self, stack):
        """A macro makes virtual hosts and their certificates."""
        names = ["b.test", "c.test"]
        certificate = "\n".join(stack.certificate("b.test", "c.test"))
        macro = [
            "<Macro Site $name>",
            f"<VirtualHost *:{stack.httpd.port}>\nServerName $name\n{certificate}",
            'Header set X-Host "$name %{SSL_TLS_SNI}s"',
            "</VirtualHost>",
            "</Macro>",
        ]
        stack.start(top=[*macro, *(f"Use Site {name}" for name in names)], modules=["macro"])
        for name in names:
            assert curl(stack.httpd, name).headers["x-host"] == f"{name} {name}"


class TestRemoteIp:
    """The PROXY header comes before TLS, and is not part of it."""

    V1 = b"PROXY TCP4 192.0.2.7 192.0.2.8 5555 443\r\n"
    ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.8") + struct.pack("!HH", 5555, 443)
    V2 = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x11, len(ADDRESSES)) + ADDRESSES

    @pytest.mark.parametrize("version", ["V1", "V2"])
    @pytest.mark.parametrize("arrival", ["whole", "bytes"])
    def test_01_proxy_protocol(self, stack, version, arrival):
        """The header is in one packet with the ClientHello, or arrives byte by byte before it."""
        stack.add_scripts(digest=DIGEST)
        stack.start("RemoteIPProxyProtocol on", 'Header set X-Client "expr=%{REMOTE_ADDR}"', modules=["remoteip"])
        header, data = getattr(self, version), os.urandom(MIB)
        with Relay(stack.httpd, header, arrival == "bytes") as relay:
            headers = f"Content-Length: {len(data)}\r\n"
            relay.tls.sendall(request("a.test", "/cgi-bin/digest", method="POST", headers=headers) + data)
            response = read_all(relay.tls)
        assert digest(data).encode() in response
        assert b"\r\nX-Client: 192.0.2.7\r\n" in response

    def test_02_forwarded(self, stack):
        """The client's address from a header, in logs and access control."""
        lines = ["RemoteIPHeader X-Forwarded-For", "RemoteIPInternalProxy 127.0.0.1", "<Location />"]
        lines += ["Require ip 192.0.2.0/24", "</Location>"]
        stack.httpd.log.expect("AH01630")
        stack.start(*lines, modules=["remoteip"])
        assert curl(stack.httpd, "a.test", "/", "-H", "X-Forwarded-For: 192.0.2.7").code == 200
        assert curl(stack.httpd, "a.test", "/", "-H", "X-Forwarded-For: 198.51.100.1").code == 403


class TestAuthentication:
    @staticmethod
    def protect(*lines):
        return ["<Location />", *lines, "</Location>"]

    def test_01_auth_digest(self, stack):
        """The body is sent again, with the answer to the challenge, on the same connection."""
        secret = hashlib.md5(b"alice:private:secret").hexdigest()
        (stack.httpd.root / "users").write_text(f"alice:private:{secret}\n")
        lines = ["AuthType Digest", "AuthName private", f"AuthUserFile {stack.httpd.root}/users", "Require user alice"]
        modules = ["auth_digest", "authn_core", "authn_file", "authz_user"]
        stack.add_scripts(digest=DIGEST)
        stack.httpd.log.expect("AH01794|AH01790")
        stack.start(*self.protect(*lines), modules=modules, top=["Protocols h2 http/1.1"])
        data = os.urandom(MIB)
        (stack.httpd.docs / "file").write_bytes(data)
        alice = ["--digest", "-u", "alice:secret"]
        answers = [post(stack, "/cgi-bin/digest", data, "--http1.1", *alice)]
        answers += [curl(stack.httpd, "a.test", "/file", http, *alice) for http in ("--http1.1", "--http2")]
        assert [answer.code for answer in answers] == [200, 200, 200]
        assert answers[0].text == digest(answers[1].body) == digest(answers[2].body) == digest(data)
        assert [answer.trace.count("SSL connection using") for answer in answers] == [1, 1, 1]
        assert curl(stack.httpd, "a.test", "/", "--digest", "-u", "alice:wrong").code == 401

    def test_02_authnz_fcgi(self, stack, ports):
        def answer(parameters, body):
            known = (parameters["REMOTE_USER"], parameters["REMOTE_PASSWD"]) == ("alice", "secret")
            yield b"Status: %d\r\nVariable-LEVEL: high\r\n\r\n" % (200 if known else 401)

        application = fastcgi.Application(ports.take(), answer)
        provider = f"AuthnzFcgiDefineProvider authn people fcgi://127.0.0.1:{application.port}/"
        lines = ["AuthType Basic", "AuthName private", "AuthBasicProvider people", "Require valid-user"]
        modules = ["auth_basic", "authn_core", "authz_user", "authnz_fcgi"]
        stack.add_scripts(digest=DIGEST)
        stack.httpd.log.expect("AH02512|AH01617|AH02520")
        stack.start(*self.protect(*lines), 'Header set X-Level "%{LEVEL}e"', top=[provider], modules=modules)
        try:
            data = os.urandom(MIB)
            answer = post(stack, "/cgi-bin/digest", data, "-u", "alice:secret")
            assert (answer.text, answer.headers["x-level"]) == (digest(data), "high")
            assert curl(stack.httpd, "a.test", "/", "-u", "alice:wrong").code == 401
        finally:
            application.stop()
        assert all(seen["SERVER_PORT"] == str(stack.httpd.port) for seen in application.seen[fastcgi.AUTHORIZER])

    def test_03_session_crypto(self, stack):
        """mod_session_crypto uses OpenSSL in the same process."""
        login = "#!/bin/sh\nprintf 'Content-Type: text/plain\\nX-Replace-Session: user=alice\\n\\n'\n"
        stack.add_scripts(login=login, environment=ENVIRONMENT)
        lines = ["Session on", "SessionEnv on", "SessionHeader X-Replace-Session", "SessionCryptoPassphrase secret"]
        modules = ["session", "session_cookie", "session_crypto", "request"]
        stack.start(*self.protect(*lines, 'SessionCookieName session "path=/;secure"'), modules=modules)
        cookie = curl(stack.httpd, "a.test", "/cgi-bin/login").headers["set-cookie"]
        assert "alice" not in cookie and ";secure" in cookie
        for _ in range(3):
            answer = curl(stack.httpd, "a.test", "/cgi-bin/environment", "-b", cookie.partition(";")[0])
            assert "HTTP_SESSION=user=alice" in answer.text


class TestLogs:
    def test_01_logio(self, stack):
        """%I and %O count the bytes of the connection, including TLS and the handshake: every byte once. The last
        close_notify is counted, or it is sent after the log was written."""
        file = stack.httpd.root / "bytes"
        stack.add_scripts(digest=DIGEST)
        stack.start(f'LogFormat "%I %O %S" bytes\nCustomLog {file} bytes')
        data = os.urandom(MIB)
        (stack.httpd.docs / "file").write_bytes(data)
        with Relay(stack.httpd) as relay, relay.tls.makefile("rb") as stream:
            counts = [(0, 0)]
            for text, size in [
                (request("a.test", close=False), 6),
                (request("a.test", "/file", close=False), MIB),
                (request("a.test", "/cgi-bin/digest", True, "POST", f"Content-Length: {MIB}\r\n") + data, 65),
            ]:
                relay.tls.sendall(text)
                assert len(read_response(stream)[2]) >= size
                counts.append((relay.sent, relay.received))
            assert stream.read() == b""
            counts[-1] = counts[-1][0], relay.received
        logged = [tuple(map(int, line.split())) for line in lines_of(file, 3)]
        on_wire = [(now[0] - before[0], now[1] - before[1]) for before, now in zip(counts, counts[1:])]
        assert [read for read, _, _ in logged] == [read for read, _ in on_wire]
        assert [out for _, out, _ in logged[:2]] == [out for _, out in on_wire[:2]]
        assert 0 <= on_wire[2][1] - logged[2][1] <= 40
        assert all(both == read + out for read, out, both in logged)

    def test_02_dumpio(self, stack):
        """mod_dumpio is above TLS: it logs plaintext."""
        log_level = "info tls:info dumpio:trace7"
        stack.start(top=["DumpIOInput on", "DumpIOOutput on"], modules=["dumpio", "reflector"], log_level=log_level)
        assert curl(stack.httpd, "a.test", "/index.html", "-H", "X-Marked: in").text == "hello"
        text = stack.httpd.log.text()
        dumped = "\n".join(line for line in text.splitlines() if "mod_dumpio" in line)
        assert re.search(r"dumpio_in .*GET /index.html HTTP/1.1", dumped)
        assert re.search(r"dumpio_in .*X-Marked: in", dumped)
        assert re.search(r"dumpio_out .*HTTP/1.1 200 OK", dumped) and re.search(r"dumpio_out .*hello", dumped)

    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_03_log_forensic(self, stack, http):
        """Each request is logged twice: after it was read, and at its end."""
        file = stack.httpd.root / "forensic"
        ids = stack.httpd.root / "ids"
        form = f'LogFormat "%{{forensic-id}}n" ids\nCustomLog {ids} ids'
        stack.start(form, f"ForensicLog {file}", top=["Protocols h2 http/1.1"], modules=["log_forensic"])
        assert curl(stack.httpd, "a.test", "/index.html", http, "-H", "X-Marked: in").text == "hello"
        begun, done = lines_of(file, 2)
        assert begun.startswith("+") and "|GET /index.html HTTP/" in begun and "|x-marked:in" in begun.lower()
        assert done == "-" + begun[1:].partition("|")[0]
        assert lines_of(ids) == [done[1:]]


class TestServer:
    def test_01_info(self, stack):
        """The module is listed, with its directives and their values."""
        show = ["<Location /info>", "SetHandler server-info", "</Location>"]
        stack.start(*show, modules=["info"])
        text = curl(stack.httpd, "a.test", "/info", "--compressed").text
        name = "mod_tls.c" if stack.record == "tls" else "mod_ssl.c"
        assert f'<a name="{name}"' in text and text.rstrip().endswith("</html>")
        directive = "TLSCertificate" if stack.record == "tls" else "SSLCertificateFile"
        configured = text[text.index(f'<a name="{name}"') :].partition("<hr />")[0]
        assert directive in configured and "a.test.pem" in configured

    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    def test_02_status(self, stack, http):
        """A running request is listed with its client, virtual host and protocol, and at its end with its bytes."""
        gate = Gate(stack.httpd.root)
        show = ["<Location /status>", "SetHandler server-status", "</Location>"]
        stack.add_scripts(slow=gate.script())
        stack.start(*show, top=["Protocols h2 http/1.1", "ExtendedStatus on"])
        slow = PartialResponse(stack, "/cgi-bin/slow")
        slow.read_until(gate.FIRST)
        page = curl(stack.httpd, "a.test", "/status", http).text
        rows = [re.sub("<[^>]*>", " ", row) for row in page.replace("\n", "").split("<tr>")]
        row = next(row for row in rows if "GET /cgi-bin/slow HTTP/1.1" in row)
        assert " W " in row and "127.0.0.1" in row and "http/1.1" in row and f"a.test:{stack.httpd.port}" in row
        gate.open()
        slow.read_until(gate.LAST)

        def counted():
            lines = curl(stack.httpd, "a.test", "/status?auto", http).text.splitlines()
            return int(dict(line.split(": ", 1) for line in lines if ": " in line)["Total Accesses"])

        wait_for(lambda: counted() >= 2, "the requests to be counted")

    def test_03_md(self, stack, ports):
        """mod_md supplies certificates: a configured one, and a stopgap for one that it does not have yet."""
        httpd = stack.httpd
        issued = httpd.authority.server("md.test")
        file, key = issued.write(httpd.root, "md").split()
        top = [f"MDStoreDir {httpd.root}/md", "MDCertificateAgreement accepted", "MDContactEmail root@md.test"]
        top += [f"MDCertificateAuthority http://127.0.0.1:{ports.take()}/directory", "MDRenewMode manual"]
        top += ["<MDomain md.test>", f"MDCertificateFile {file}", f"MDCertificateKeyFile {key}", "</MDomain>"]
        top += ["MDomain waiting.test", "<Location /status>", "SetHandler md-status", "</Location>"]
        top += [stack.vhost(name, certificate=False) for name in ("md.test", "waiting.test")]
        httpd.log.allow("AH10085|AH10045|cert has no authority key id")
        stack.start(top=top, modules=["md"])
        assert curl(httpd, "md.test").text == "hello"
        assert curl(httpd, "waiting.test", "/", "-k").code == 503
        known = {md["name"]: md for md in json.loads(curl(httpd, "a.test", "/status").text)["managed-domains"]}
        assert set(known) == {"md.test", "waiting.test"}
        assert known["md.test"]["cert"]["0"]["sha256-fingerprint"] == issued.cert.fingerprint(hashes.SHA256()).hex()
