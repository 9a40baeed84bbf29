# SPDX-License-Identifier: Apache-2.0
"""OCSP responses are fetched ahead of time, and stapled: TLSStapling."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.certs import MUST_STAPLE, key_pem, ocsp_responder
from harness.http_proxy import Proxy
from harness.httpd import wait_for
from harness.keyd import companion
from harness.ocsp_responder import MISBEHAVING, Responder

VERSIONS = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
CACHE = "tls-revocation"


@pytest.fixture
def responder(authority):
    responder = Responder(authority.issuer).start()
    yield responder
    responder.stop()


def stapled(httpd, name, *options):
    """The status in the stapled response, as OpenSSL shows it; None without one."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{httpd.port}", "-servername", name, "-status", *options]
    command += ["-CAfile", httpd.ca_file]
    output = subprocess.run(command, input=b"", capture_output=True, timeout=30).stdout.decode()
    found = re.search(r"Cert Status: (\w+)", output)
    assert found or "no response sent" in output, output
    return found and found[1]


class Site:
    """A host whose certificate names a responder."""

    def __init__(self, httpd, responder):
        self.httpd, self.responder = httpd, responder

    def issue(self, name="a.test", behaviour="good", number=0, required=False):
        status = [ocsp_responder(self.responder.url(behaviour)), *([MUST_STAPLE] if required else [])]
        return self.httpd.authority.server(name, number=number, status=status)

    def vhost(self, name="a.test", *lines, **options):
        return self.httpd.vhost(name, *lines, cert=self.issue(name, **options).write(self.httpd.root, name))

    def start(self, *lines, mpm="event", stapling="on", **options):
        if mpm == "prefork":
            self.httpd.log.allow("AH10034")  # mod_http2 requires threads
        self.httpd.start(
            f"TLSEngine {self.httpd.port}",
            f"TLSStapling {stapling}",
            "TLSRevocationTimeout 1",
            *lines,
            mpm=mpm,
            **options,
        )

    def is_stapled(self, name="a.test", *options):
        return stapled(self.httpd, name, *options) == "good"

    def wait(self, name="a.test", timeout=20):
        wait_for(lambda: self.is_stapled(name), "a stapled response", timeout)


@pytest.fixture
def site(httpd, responder):
    return Site(httpd, responder)


class TestStapling:
    @VERSIONS
    @MPMS
    def test_01_fetched_and_stapled(self, site, responder, version, mpm):
        site.start(site.vhost(), mpm=mpm)
        site.wait()
        assert site.is_stapled("a.test", version)
        assert len(responder.requests) == 1 and responder.requests[0][:2] == ("GET", "good")

    def test_02_clients_that_verify_it(self, httpd, site):
        """GnuTLS and curl refuse a response that is not in order."""
        site.start(site.vhost(required=True))
        site.wait()
        url = [f"https://a.test:{httpd.port}/", "--resolve", f"a.test:{httpd.port}:127.0.0.1"]
        curl = subprocess.run(["curl", "-sS", "--cert-status", "--cacert", httpd.ca_file, *url], capture_output=True)
        assert curl.returncode == 0 and curl.stdout, curl.stderr
        gnutls = ["gnutls-cli", "--x509cafile", httpd.ca_file, "--sni-hostname=a.test", "--verify-hostname=a.test"]
        run = subprocess.run([*gnutls, "-p", str(httpd.port), "127.0.0.1"], input=b"", capture_output=True)
        assert run.returncode == 0 and b"trusted" in run.stdout, run.stdout + run.stderr

    def test_03_not_for_who_does_not_ask(self, httpd, site):
        site.start(site.vhost())
        site.wait()
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{httpd.port}", "-servername", "a.test", "-msg"]
        output = subprocess.run(command, input=b"", capture_output=True, timeout=30).stdout
        assert b"OCSP" not in output and b"CertificateStatus" not in output

    def test_04_off(self, site, responder):
        site.start(site.vhost(), stapling="off")
        assert not site.is_stapled() and not responder.requests

    def test_05_hosts_differ(self, site, responder):
        hosts = [
            site.vhost("a.test"),
            site.vhost("b.test", "TLSStapling off"),
            site.vhost("c.test", f"TLSStaplingResponder {responder.url('delegated')}"),
        ]
        site.start(*hosts)
        site.wait("a.test")
        site.wait("c.test")
        assert not site.is_stapled("b.test")
        assert {one[1] for one in responder.requests} == {"good", "delegated"}

    def test_06_misbehaving_responders(self, httpd, site, responder):
        """Nothing is stapled that clients would refuse; the log says why."""
        for behaviour, why in MISBEHAVING.items():
            httpd.log.expect(f"{behaviour}.test.pem: no OCSP response: .*{why}.*nothing is stapled")
        hosts = [site.vhost(f"{behaviour}.test", behaviour=behaviour) for behaviour in MISBEHAVING]
        site.start(*hosts, site.vhost("good.test"))
        site.wait("good.test")
        wait_for(lambda: all(responder.count(one) for one in MISBEHAVING), "all to be asked")
        wait_for(lambda: httpd.log.text().count("nothing is stapled") == len(MISBEHAVING), "the messages", 40)
        assert not any(site.is_stapled(f"{behaviour}.test") for behaviour in MISBEHAVING)

    @pytest.mark.parametrize("behaviour", ["delegated", "no-next-update", "redirect", "post-only", "slow"])
    def test_07_odd_but_right(self, site, behaviour):
        site.start(site.vhost(behaviour=behaviour))
        site.wait()

    def test_08_revoked(self, httpd, site, responder):
        httpd.log.expect(r"the certificate in \S+/a.test.pem has been revoked by its CA: replace it")
        host = site.vhost()
        responder.statuses = dict.fromkeys([site_serial(httpd, "a.test")], "revoked")
        site.start(host)
        wait_for(lambda: "has been revoked" in httpd.log.text(), "the message")
        assert not site.is_stapled()

    def test_09_expired_ones_are_not_stapled(self, httpd, site, responder):
        httpd.log.expect("no OCSP response: .*nothing is stapled")
        httpd.log.allow("is good for")
        site.start(site.vhost(behaviour="short"))
        site.wait()
        responder.stop()
        wait_for(lambda: not site.is_stapled(), "the end of its life")
        wait_for(lambda: "nothing is stapled" in httpd.log.text(), "the message", 40)

    def test_10_a_responder_that_comes_back(self, httpd, site, responder):
        httpd.log.expect("a.test.pem: no OCSP response: .*[Cc]onnection refused")
        host = site.vhost()
        responder.stop()
        site.start(host)
        wait_for(lambda: "no OCSP response" in httpd.log.text(), "the message")
        responder.start()
        site.wait(timeout=40)
        wait_for(lambda: "there is an OCSP response again" in httpd.log.text(), "the message")

    def test_11_must_staple_is_warned_about(self, httpd, site, responder):
        httpd.log.expect("a.test.pem: clients refuse this certificate without an OCSP response.*set TLSStapling on")
        site.start(site.vhost(required=True), stapling="off")

    def test_12_must_staple_without_response(self, httpd, site, responder):
        httpd.log.expect(r"\[tls:error\].*a.test.pem: no OCSP response: .*clients refuse this certificate without one")
        site.start(site.vhost(required=True, behaviour="try-later"))
        wait_for(lambda: "clients refuse" in httpd.log.text(), "the message")

    def test_13_no_issuer(self, httpd, site):
        httpd.log.expect("a.test.pem: TLSStapling needs the certificate of its issuer: append it to the file")
        issued = site.issue()
        issued.chain = []
        site.start(httpd.vhost("a.test", cert=issued.write(httpd.root, "a.test")))
        assert not site.is_stapled()

    def test_14_no_responder_is_no_problem(self, httpd, site):
        site.start(httpd.vhost("a.test"))
        assert companion(httpd, "--revocation") is None

    def test_16_proxy(self, httpd, site, responder):
        """Requests for http have the whole URL."""
        proxy = Proxy().start()
        site.start(site.vhost(), f"TLSRevocationProxy {proxy.url}")
        site.wait()
        assert len(proxy.requests) == 1 and proxy.requests[0].startswith(f"GET {responder.url()}/")
        proxy.stop()

    def test_15_same_certificate_in_many_hosts(self, httpd, site, responder):
        httpd.log.expect("is not covered by")
        cert = site.issue().write(httpd.root, "a.test")
        site.start(*(httpd.vhost(name, cert=cert) for name in ("a.test", "b.test", "c.test")))
        site.wait()
        assert len(responder.requests) == 1


def site_serial(httpd, name):
    command = ["openssl", "x509", "-in", httpd.root / f"{name}.pem", "-noout", "-serial"]
    return int(subprocess.run(command, capture_output=True, text=True).stdout.partition("=")[2], 16)


class TestLife:
    def test_01_restart(self, httpd, site, responder):
        """Responses are on disk, for no other user."""
        site.start(site.vhost())
        site.wait()
        httpd.stop()
        cache = httpd.root / CACHE
        assert cache.stat().st_mode & 0o777 == 0o700
        files = list(cache.iterdir())
        assert len(files) == 1 and files[0].stat().st_mode & 0o777 == 0o600
        responder.stop()
        httpd.start()
        site.wait()
        assert len(responder.requests) == 1

    @pytest.mark.parametrize("damage", [b"", b"x" * 100, None], ids=["empty", "other", "cut"])
    def test_02_damaged_files(self, httpd, site, responder, damage):
        site.start(site.vhost())
        site.wait()
        httpd.stop()
        for file in (httpd.root / CACHE).iterdir():
            file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
        httpd.start()
        site.wait()
        assert len(responder.requests) == 2

    def test_03_no_directory(self, httpd, site):
        httpd.log.expect("/no/such: No such file or directory.*are not kept over a restart; TLSRevocationCache")
        site.start(site.vhost(), "TLSRevocationCache /no/such")
        site.wait()
        wait_for(lambda: "are not kept" in httpd.log.text(), "the message")

    def test_04_reload(self, httpd, site, responder):
        site.start(site.vhost())
        site.wait()
        before = companion(httpd, "--revocation")
        httpd.graceful()
        assert site.is_stapled()
        assert companion(httpd, "--revocation") == before
        assert len(responder.requests) == 1
        httpd.configure(f"TLSEngine {httpd.port}", site.vhost())
        httpd.graceful()
        wait_for(lambda: companion(httpd, "--revocation") is None, "the end of the process")

    def test_05_the_process_is_killed(self, httpd, site, responder):
        httpd.log.expect(r"tls-keyd --revocation \(process \d+\).*has ended")
        site.start(site.vhost())
        site.wait()
        old = companion(httpd, "--revocation")
        os.kill(old, signal.SIGKILL)
        assert site.is_stapled()
        wait_for(lambda: companion(httpd, "--revocation") not in (None, old), "another process")
        assert site.is_stapled()
        assert len(responder.requests) == 1

    def test_06_it_ends_with_httpd(self, httpd, site):
        site.start(site.vhost())
        site.wait()
        pid = companion(httpd, "--revocation")
        httpd.stop()
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the process")

    @pytest.mark.parametrize("keys", ["on", "off"])
    def test_07_renewed_certificate(self, httpd, site, responder, keys):
        host = site.vhost()
        site.start(host, f"TLSKeyProcess {keys}")
        if keys == "off":
            for file in httpd.root.glob("a.test.*"):
                shutil.chown(file, "www-data")
        site.wait()
        issued = site.issue(number=1)
        (httpd.root / "new").write_bytes(key_pem(issued.key))
        (httpd.root / "new").rename(httpd.root / "a.test.key")
        (httpd.root / "new").write_bytes(issued.chain_pem)
        (httpd.root / "new").rename(httpd.root / "a.test.pem")
        if keys == "off":
            for file in httpd.root.glob("a.test.*"):
                shutil.chown(file, "www-data")

        def is_renewed():
            return site.is_stapled() and responder.requests[-1][2] == issued.cert.serial_number

        httpd.log.allow("is not used")
        wait_for(is_renewed, "the response of the renewed certificate")

    def test_08_certificate_of_a_store(self, httpd, site, responder):
        directory = httpd.root / "sites"
        directory.mkdir()
        issued = site.issue("b.test")
        issued.write(directory, "b.test")
        store = f"TLSCertificateStore {directory}/%n.pem {directory}/%n.key"
        site.start(httpd.vhost("sites.test", "ServerAlias *.test", store, cert=False))
        assert not site.is_stapled("b.test")
        site.wait("b.test")
        assert [one[2] for one in responder.requests] == [issued.cert.serial_number]

    def test_09_locked_down(self, httpd, site):
        """No capabilities, no keys, and files of its own directory only."""
        site.start(site.vhost())
        site.wait()
        pid = companion(httpd, "--revocation")
        with open(f"/proc/{pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")] == [0] * 3
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"

    def test_10_an_outage_of_days(self, httpd, site, responder):
        """The response of before serves as long as it is valid; when the responder is back, there is a new one."""
        httpd.log.expect("no OCSP response: .*Connection refused.*; the one of before is good for 1[78] hours more")
        httpd.log.expect("no OCSP response: .*Connection refused.*; nothing is stapled")
        site.start(site.vhost(behaviour="two-days"))
        site.wait()
        responder.stop()
        self.later(httpd, 30)
        assert site.is_stapled()
        wait_for(lambda: "good for 1" in httpd.log.text(), "the message")
        assert site.is_stapled()
        self.later(httpd, 49)
        wait_for(lambda: "nothing is stapled" in httpd.log.text(), "the message")
        assert not site.is_stapled()
        responder.ahead = 49 * 3600
        responder.start()
        site.wait(timeout=60)

    @staticmethod
    def later(httpd, hours):
        """Starts httpd again after so many hours."""
        httpd.stop()
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        fake = {"LD_PRELOAD": str(library), "FAKETIME": f"+{hours}h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        httpd.environment |= fake
        httpd.start()


class TestSsl:
    """mod_ssl's directives for times. What else they do is in test_62_differential_ocsp.py."""

    @staticmethod
    def start(httpd, site, *lines):
        issued = site.issue()
        cert, key = issued.write(httpd.root, "a.test").split()
        files = [f"SSLCertificateFile {cert}", f"SSLCertificateKeyFile {key}"]
        host = ["SSLEngine on", *files, "SSLUseStapling on", *lines]
        httpd.start(httpd.vhost("a.test", *host, cert=False), records=["ssl"])

    def test_01_error_cache_timeout(self, httpd, site, responder):
        httpd.log.expect("no OCSP response: .*the next attempt is in 1 seconds")
        responder.stop()
        self.start(httpd, site, "SSLStaplingErrorCacheTimeout 1")
        wait_for(lambda: "no OCSP response" in httpd.log.text(), "the message")
        responder.start()
        site.wait(timeout=5)

    def test_02_standard_cache_timeout(self, httpd, site, responder):
        self.start(httpd, site, "SSLStaplingStandardCacheTimeout 1")
        wait_for(lambda: responder.count("good") >= 3, "further requests")
        assert site.is_stapled()
