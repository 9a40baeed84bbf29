# SPDX-License-Identifier: Apache-2.0
"""What mod_ssl's directives about OCSP do, under mod_ssl and under this module."""

import re
import subprocess

import pytest

from harness.certs import PEM, ocsp_responder
from harness.client_certs import ClientCa
from harness.clients import curl
from harness.differential import NEEDS_SUITES_OF_OPENSSL, V12, V13, compare
from harness.http_proxy import Proxy
from harness.httpd import wait_for
from harness.ocsp_responder import BEHAVIOURS, Behaviour, Responder

pytestmark = NEEDS_SUITES_OF_OPENSSL

# Two hours old, and a minute in the future.
BEHAVIOURS["old"] = Behaviour(begin=-7200, life=86400)
BEHAVIOURS["soon"] = Behaviour(begin=60)


@pytest.fixture
def proxy():
    proxy = Proxy().start()
    yield proxy
    proxy.stop()


class TestClients:
    """Which clients are accepted. The ways in which a handshake fails differ, and are not compared."""

    KINDS = {
        "good": ("good", "good"),
        "revoked": ("good", "revoked"),
        "unknown": ("good", "unknown"),
        "nameless": (None, "good"),
        "no-nonce": ("no-nonce", "good"),
        "old": ("old", "good"),
        "soon": ("soon", "good"),
        "future": ("future", "good"),
        "stranger": ("stranger", "good"),
        "garbage": ("garbage", "good"),
        "slow": ("slow", "good"),
    }

    @pytest.mark.parametrize("version", [V12, V13], ids=["tls12", "tls13"])
    def test_01_hosts(self, pair, proxy, version):
        ca = ClientCa()
        responder = Responder(ca).start()
        responder.delay = 3
        file, signer = pair.root / "people.pem", pair.root / "signer.pem"
        file.write_bytes(ca.pem)
        signer.write_bytes(responder.signer("stranger")[0].public_bytes(PEM))
        hosts = {
            "on": ["SSLOCSPEnable on"],
            "leaf": ["SSLOCSPEnable leaf"],
            "off": ["SSLOCSPEnable off"],
            "cert-ok": ["SSLOCSPEnable leaf no_ocsp_for_cert_ok"],
            "default": ["SSLOCSPEnable leaf", f"SSLOCSPDefaultResponder {responder.url()}"],
            "override": [
                "SSLOCSPEnable leaf",
                f"SSLOCSPDefaultResponder {responder.url()}",
                "SSLOCSPOverrideResponder on",
            ],
            "no-nonce": ["SSLOCSPEnable leaf", "SSLOCSPUseRequestNonce off"],
            "max-age": ["SSLOCSPEnable leaf", "SSLOCSPResponseMaxAge 3600"],
            "no-skew": ["SSLOCSPEnable leaf", "SSLOCSPResponseTimeSkew 5"],
            "no-verify": ["SSLOCSPEnable leaf", "SSLOCSPNoVerify on"],
            "signer": ["SSLOCSPEnable leaf", f"SSLOCSPResponderCertificateFile {signer}"],
            "patient": ["SSLOCSPEnable leaf", "SSLOCSPResponderTimeout 5"],
            "proxy": ["SSLOCSPEnable leaf", f"SSLOCSPProxyURL {proxy.url}"],
        }
        common = [f"SSLCACertificateFile {file}", "SSLVerifyClient require", "SSLOCSPResponderTimeout 1"]
        for server in (pair.ours, pair.theirs):
            server.log.allow("OCSP|ocsp|TLS13|Certificate Verification|handshake|not logged one by one|responder")
        pair.start(*(line for name, lines in hosts.items() for line in pair.vhost(f"{name}.test", *common, *lines)))
        clients = {}
        for kind, (behaviour, status) in self.KINDS.items():
            extensions = [ocsp_responder(responder.url(behaviour))] if behaviour else []
            issued = ca.client(kind, extensions=extensions)
            responder.statuses[issued.cert.serial_number] = status
            clients[kind] = issued.write(pair.root, kind)

        def is_accepted(host, client):
            return lambda server: {"code": curl(server, f"{host}.test", "/", *client, *version).code}

        questions = {
            f"{host}/{kind}": is_accepted(host, client)
            for host in hosts
            for kind, client in clients.items()
            if (kind == "slow") <= (host in ("leaf", "patient"))
        }
        compare(pair, "ocsp", **questions)
        assert proxy.requests
        responder.stop()


def stapled(server, name):
    """The status in the stapled response; or that of the response itself, if it is an error."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", name, "-status"]
    output = subprocess.run(command, input=b"", capture_output=True, timeout=30).stdout.decode()
    found = re.search(r"Cert Status: (\w+)", output) or re.search(r"OCSP Response Status: (\w+)", output)
    return found and found[1]


class TestStapling:
    def test_01_hosts(self, pair, authority):
        responder = Responder(authority.issuer).start()
        responder.delay = 3
        hosts = {
            "good": ("good", []),
            "delegated": ("delegated", []),
            "stranger": ("stranger", []),
            "force": ("garbage", [f"SSLStaplingForceURL {responder.url()}"]),
            "old": ("old", []),
            "max-age": ("old", ["SSLStaplingResponseMaxAge 3600"]),
            "soon": ("soon", []),
            "no-skew": ("soon", ["SSLStaplingResponseTimeSkew 5"]),
            "stale": ("stale", []),
            "slow": ("slow", []),
            "patient": ("slow", ["SSLStaplingResponderTimeout 5"]),
            "garbage": ("garbage", []),
            "later": ("try-later", []),
            "off": ("good", ["SSLUseStapling off"]),
        }
        for server in (pair.ours, pair.theirs):
            server.log.allow("OCSP|stapling|responder")
        lines = []
        for name, (behaviour, own) in hosts.items():
            issued = authority.server(f"{name}.test", status=[ocsp_responder(responder.url(behaviour))])
            cert, key = issued.write(pair.root, name).split()
            own = [f"SSLCertificateFile {cert}", f"SSLCertificateKeyFile {key}", *own]
            lines += pair.vhost(f"{name}.test", *own, kinds=())
        pair.start(
            "SSLStaplingCache shmcb:stapling(128000)",
            "SSLUseStapling on",
            "SSLStaplingResponderTimeout 1",
            "SSLStaplingReturnResponderErrors off",
            "SSLStaplingFakeTryLater off",
            "SSLStaplingStandardCacheTimeout 3600",
            "SSLStaplingErrorCacheTimeout 600",
            *lines,
        )
        # mod_ssl asks in the first handshake, this module before it.
        wanted = [name for name, (behaviour, _) in hosts.items() if name in ("good", "delegated", "force", "patient")]
        wait_for(lambda: all(stapled(pair.ours, f"{name}.test") == "good" for name in wanted), "the responses")
        compare(
            pair,
            "stapling",
            **{name: lambda server, name=name: {"status": stapled(server, f"{name}.test")} for name in hosts},
        )
        responder.stop()
