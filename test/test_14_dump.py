# SPDX-License-Identifier: Apache-2.0
"""`httpd -t -D DUMP_TLS`."""

import re


def test_01_what_would_be_served(httpd, authority):
    two = [authority.server("a.test", "b.test", kind=kind).write(httpd.root, kind) for kind in ("p256", "rsa2048")]
    httpd.configure(
        f"TLSEngine {httpd.port}",
        f"TLSEngine [::1]:{httpd.plain_port}",
        httpd.vhost("a.test", f"TLSCertificate {two[1]}", "TLSProtocol TLSv1.3", "Protocols h2 http/1.1", cert=two[0]),
        httpd.vhost("c.test", "TLSSessionTickets off"),
    )
    status, text = httpd.configtest("DUMP_TLS")
    assert status == 0
    for said in [
        "mod_tls/",
        f"*:{httpd.port}, [::1]:{httpd.plain_port}",
        "ECDSA P-256",
        "RSA 2048",
        "a.test, b.test",
        "TLS_AES_128_GCM_SHA256",
        "h2 http/1.1",
        "CN=Test Intermediate",
    ]:
        assert said in text, said
    # 29, unless a second has passed since the certificate was made.
    assert re.search(r"\(2[89] days\)", text)
    hosts = {part.split("Server name")[1].split()[0]: part for part in text.split("Virtual host at")[1:]}
    assert "TLSv1.2" not in hosts["a.test"]
    assert "TLSv1.2 TLSv1.3" in hosts["c.test"]
    assert "Session tickets       off" in hosts["c.test"]


def test_02_with_errors(httpd):
    httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="nowhere.pem"))
    status, text = httpd.configtest("DUMP_TLS")
    assert status != 0 and "nowhere.pem" in text


def test_03_backends(httpd):
    httpd.configure(
        "TLSProxyEngine on",
        "<Proxy https://one.test/>\nTLSProxyVerify none\n</Proxy>",
        f"<Proxy https://two.test/>\nTLSProxyCA {httpd.ca_file}\nTLSProxyProtocol TLSv1.3\n</Proxy>",
        modules=["proxy", "proxy_http"],
    )
    status, text = httpd.configtest("DUMP_TLS")
    assert status == 0
    server, one, two = (re.sub(" +", " ", part) for part in text.split("Backends")[1:])
    assert "Verification by the platform's trust store, and by name" in server
    assert "Verification NONE" in one
    assert f"Verification by {httpd.ca_file}, and by name" in two and "Protocols TLSv1.3\n" in two
