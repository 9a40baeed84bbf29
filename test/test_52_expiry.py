# SPDX-License-Identifier: Apache-2.0
"""Certificates that expire: warnings, each once, and TLSExpiryCommand."""

import re

import pytest

from harness.clients import curl
from harness.httpd import wait_for

SECOND = 1 / 24 / 60 / 60
# A line about a certificate that expires, or has expired.
EXPIRY = re.compile(
    r":warn\] .* tls: (\S+), the certificate of (.*), (expires in|has expired) ?(.*?) ?\(.*\[TLS400[12]\]"
)


@pytest.fixture
def expiring(httpd, authority):
    """Writes a certificate with these days left, of a lifetime in days. Returns its virtual host."""

    def make(name="a.test", days=20.3, lifetime=365):
        issued = authority.server(name, start=days - lifetime, days=lifetime)
        return httpd.vhost(name, cert=issued.write(httpd.root, name))

    return make


def said(httpd):
    """What was said: the host, and when its certificate expires."""
    found = [EXPIRY.search(line) for line in httpd.log.text().splitlines()]
    return [(match[2], match[4]) for match in found if match]


class TestWarnings:
    """The log has a warning at 30, 14, 7 and 1 days, each once."""

    @pytest.mark.parametrize(
        "days,lifetime,text",
        [
            (29.3, 365, "29 days"),
            (29.9, 90, "30 days"),
            (29.9, 60, "30 days"),
            (13.7, 45, "14 days"),
            (0.9, 6, "1 day"),
            (13.7, 365, "14 days"),
            (1.3, 365, "1 day"),
            (0.3, 365, "less than a day"),
        ],
    )
    def test_01_at_startup(self, httpd, expiring, days, lifetime, text):
        httpd.log.expect(rf"expires in {text} \(\S+Z\): renew it \[TLS4001\]")
        httpd.start(f"TLSEngine {httpd.port}", expiring(days=days, lifetime=lifetime))
        assert said(httpd) == [("a.test", text)]

    @pytest.mark.parametrize("days,lifetime", [(40, 365), (31, 90), (29, 59), (20, 45), (5, 13), (1.5, 6)])
    def test_02_not_yet(self, httpd, expiring, days, lifetime):
        """A number of days that is more than half of the lifetime does not count."""
        httpd.start(f"TLSEngine {httpd.port}", expiring(days=days, lifetime=lifetime))
        assert said(httpd) == []

    def test_03_not_again_after_reloads(self, httpd, expiring):
        httpd.log.expect("TLS4001")
        httpd.start(f"TLSEngine {httpd.port}", expiring())
        httpd.graceful()
        httpd.full_restart()
        assert said(httpd) == [("a.test", "20 days")]

    def test_04_a_renewed_certificate_has_its_own_warnings(self, httpd, expiring):
        httpd.log.expect("TLS4001")
        httpd.start(f"TLSEngine {httpd.port}", expiring())
        expiring(days=13.3)
        httpd.graceful()
        assert said(httpd) == [("a.test", "20 days"), ("a.test", "13 days")]
        expiring(days=364)
        httpd.graceful()
        assert len(said(httpd)) == 2

    def test_05_one_line_for_many_hosts(self, httpd, authority):
        httpd.log.expect("TLS4001")
        cert = authority.server("*.many.test", start=-340.7, days=365).write(httpd.root, "many")
        hosts = [httpd.vhost(f"h{i}.many.test", cert=cert) for i in range(5)]
        httpd.start(f"TLSEngine {httpd.port}", *hosts)
        ((hosts, left),) = said(httpd)
        assert re.fullmatch(r"h\d.many.test and 4 other hosts", hosts) and left == "24 days"

    def test_06_in_a_running_server(self, httpd, expiring):
        """The parent process looks every ten seconds."""
        httpd.log.expect("TLS4001")
        httpd.start(f"TLSEngine {httpd.port}", expiring(days=7 + 15 * SECOND))
        assert said(httpd) == [("a.test", "7 days")]
        wait_for(lambda: len(said(httpd)) > 1, "another warning")
        assert said(httpd) == [("a.test", "7 days")] * 2
        assert curl(httpd, "a.test").code == 200

    def test_07_has_expired_in_a_running_server(self, httpd, expiring):
        httpd.log.expect("less than a day")
        httpd.log.expect(r"has expired \(\S+Z\): renew it \[TLS4002\]")
        httpd.start(f"TLSEngine {httpd.port}", expiring(days=15 * SECOND))
        wait_for(lambda: len(said(httpd)) > 1, "another warning")

    def test_08_certificates_for_backends(self, httpd, authority):
        httpd.log.expect(r"TLSProxyMachineCertificate, expires in 4 days \(\S+\): renew it ")
        cert = authority.server("us", start=-300, days=304.3).write(httpd.root, "us")
        modules = ["proxy", "proxy_http"]
        lines = ["TLSProxyEngine on", f"TLSProxyMachineCertificate {cert}", "ProxyPass /b https://localhost:1/"]
        httpd.start(f"TLSEngine {httpd.port}", *lines, httpd.vhost("a.test"), modules=modules)

    def test_09_who_has_to_reload_is_told(self, httpd, expiring):
        httpd.log.expect(r"expires in 20 days \(\S+Z\): renew it and reload \[TLS4001\]")
        httpd.start(f"TLSEngine {httpd.port}", "TLSWatch off", expiring())
        assert said(httpd) == [("a.test", "20 days")]


class TestCommand:
    """TLSExpiryCommand."""

    @pytest.fixture
    def program(self, httpd):
        """Writes a program that notes its arguments. Returns its path, and a function that gives what it has noted."""

        def make(*lines):
            path = httpd.root / "notify"
            path.write_text("\n".join(["#!/bin/sh", f'echo "$@" >> {httpd.root}/noted', *lines]) + "\n")
            path.chmod(0o755)
            noted = httpd.root / "noted"
            return path, lambda: noted.read_text().splitlines() if noted.exists() else []

        return make

    def test_01_runs_once_for_each_certificate(self, httpd, expiring, program):
        httpd.log.expect("TLS4001")
        path, noted = program()
        hosts = [expiring("a.test"), expiring("b.test", days=5.3), expiring("c.test", days=300)]
        httpd.start(f"TLSEngine {httpd.port}", f'TLSExpiryCommand {path} --to "two words"', *hosts)
        wait_for(lambda: len(noted()) == 2, "the program to run twice")
        httpd.graceful()
        first, second = noted()
        assert re.fullmatch(rf"--to two words 5 \S+T\S+Z {httpd.root}/b.test.pem b.test", first)
        assert re.fullmatch(rf"--to two words 20 \S+T\S+Z {httpd.root}/a.test.pem a.test", second)

    def test_02_does_not_hold_httpd_up(self, httpd, expiring, program):
        httpd.log.expect("TLS4001")
        path, noted = program("exec sleep 30")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSExpiryCommand {path}", expiring(), expiring("b.test"))
        wait_for(noted, "the program to run")
        assert curl(httpd, "a.test").code == 200
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200
        assert len(noted()) == 1

    def test_03_fails(self, httpd, expiring, program):
        httpd.log.expect("TLS4001")
        httpd.log.expect(r":error\] .* TLSExpiryCommand: \S+/notify has failed, with status 3 \[TLS4003\]")
        path, noted = program("echo it is broken >&2", "exit 3")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSExpiryCommand {path}", expiring())
        wait_for(lambda: "TLS4003" in httpd.log.text(), "the failure")
        assert "it is broken" in httpd.log.text()

    def test_04_cannot_be_started(self, httpd, expiring, program):
        httpd.log.expect("TLS4001")
        httpd.log.expect(r"TLSExpiryCommand: \S+/notify (cannot be started|has failed).*\[TLS4003\]")
        path, _ = program()
        path.write_text("#!/no/such/shell\n")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSExpiryCommand {path}", expiring())
        wait_for(lambda: "TLS4003" in httpd.log.text(), "the failure")

    def test_05_no_shell(self, httpd, expiring, program):
        """Arguments are passed on as they are."""
        httpd.log.expect("TLS4001")
        path, noted = program()
        httpd.start(f"TLSEngine {httpd.port}", f'TLSExpiryCommand {path} "$(id); x" "*"', expiring())
        wait_for(noted, "the program to run")
        assert noted()[0].startswith("$(id); x * 20 ")

    def test_06_mistakes(self, httpd):
        host = httpd.vhost("a.test")
        for line, text in [
            ("TLSExpiryCommand no/such", "no/such is none: it must be a file that may be executed"),
            (
                "TLSExpiryCommand httpd.conf",
                r"httpd.conf is none: it must be a file that may be executed \(chmod \+x\)",
            ),
        ]:
            httpd.configure(f"TLSEngine {httpd.port}", line, host)
            code, output = httpd.configtest()
            assert code and re.search(text, output), output

    def test_07_not_in_a_test(self, httpd, expiring, program):
        path, noted = program()
        httpd.configure(f"TLSEngine {httpd.port}", f"TLSExpiryCommand {path}", expiring())
        assert httpd.configtest()[0] == 0
        assert noted() == []
