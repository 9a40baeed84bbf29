# SPDX-License-Identifier: Apache-2.0
"""Which virtual host answers and which protocol it uses, under mod_ssl and under this module."""

import re

import pytest

from harness.clients import curl, plain_get, raw_connection, read_all, request, s_client
from harness.differential import NEEDS_SUITES_OF_OPENSSL, V12, answer, compare

pytestmark = NEEDS_SUITES_OF_OPENSSL


class TestHosts:
    """Which virtual host answers, and with which protocol."""

    @pytest.mark.parametrize("policy", ["", "strict", "secure", "authonly", "insecure"])
    def test_01_names(self, pair, client_certs, policy):
        ca = [f"SSLCACertificateFile {client_certs.file}", "SSLVerifyClient optional"]
        hosts = {
            "a": [],
            "b": [],
            "alias": ["ServerAlias *.alias.test other.test"],
            "tls13": ["SSLProtocol TLSv1.3"],
            "cipher": ["SSLCipherSuite ECDHE+AES256"],
            "auth": ca,
            "other-ca": [f"SSLCADNRequestFile {client_certs.file}", *ca],
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
        """SSLEngine inherited from the base server, and enabled by the port."""
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
            plain=lambda server: plain_get(server)[0],
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
            body=lambda server: "plain HTTP" in plain_get(server, port=server.port)[1],
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
