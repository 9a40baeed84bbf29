# SPDX-License-Identifier: Apache-2.0
"""OCSP responses that are fetched ahead of time and stapled."""

import re
import subprocess

import pytest
from cryptography.x509 import ocsp
from harness.certs import MUST_STAPLE, ocsp_responder
from harness.httpd import wait_for
from harness.ocsp_responder import Responder


@pytest.fixture
def responder(authority):
    responder = Responder(authority.issuer).start()
    yield responder
    responder.stop()


def stapled(httpd, name, *options):
    """What OpenSSL says of the stapled response."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{httpd.port}", "-servername", name, "-status", *options]
    command += ["-CAfile", httpd.ca_file]
    output = subprocess.run(command, input=b"", capture_output=True, timeout=30).stdout.decode()
    if "no response sent" in output:
        return None
    return re.search(r"Cert Status: (\w+)", output)[1]


class TestStapling:
    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_01_fetched_and_stapled(self, httpd, authority, responder, version):
        issued = authority.server("a.test", status=[ocsp_responder(responder.url())])
        httpd.start(f"TLSEngine {httpd.port}", "TLSStapling on", httpd.vhost("a.test", cert=issued.write(httpd.root, "a")))
        wait_for(lambda: stapled(httpd, "a.test", version) == "good", "a response")
        assert responder.requests == [("GET", "good", issued.cert.serial_number, False)]
