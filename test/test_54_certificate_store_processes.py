# SPDX-License-Identifier: Apache-2.0
"""TLSCertificateStore: the cache, the processes, and the configuration. test_53 has the certificates."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness import status
from harness.certificate_store import FAILED, NOT_FOUND, Store, is_refused, presented
from harness.clients import plain_get
from harness.httpd import wait_for
from harness.keyd import companion, keyd, kill, stop
from harness.process_memory import Secrets

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def store(httpd, authority):
    return Store(httpd, authority)


class TestCache:
    def test_01_the_least_recently_used_goes(self, httpd, store):
        names = [f"h{number}.test" for number in range(12)]
        for number, name in enumerate(names):
            store.put(name, number=number % 3)
        store.start("TLSCertificateStoreCache 4", status.LOCATIONS)
        for name in names:
            presented(httpd, name)
        loads = status.report(httpd)["certificate_store"]["loaded"]
        assert loads == len(names)
        for name in names[-4:]:
            presented(httpd, name)
        report = status.report(httpd)["certificate_store"]
        assert (report["loaded"], report["from_cache"]) == (loads, 4)
        presented(httpd, names[0])
        assert status.report(httpd)["certificate_store"]["loaded"] == loads + 1

    def test_02_of_one_mebibyte(self, httpd, store):
        names = [f"h{number}.many.test" for number in range(300)]
        for name in names:
            store.put(name, "*.many.test")
        store.start("TLSCertificateStoreCache 10000 1", status.LOCATIONS)
        for _ in range(2):
            for name in names:
                presented(httpd, name)
        report = status.report(httpd)["certificate_store"]
        assert report["loaded"] > 400 and report["from_cache"] < 200

    def test_03_counters(self, httpd, store):
        store.put("a.test")
        store.put("bad.test", "other.test")
        httpd.log.expect(NOT_FOUND)
        httpd.log.expect(FAILED)
        store.start(status.LOCATIONS)
        for name in ("a.test", "a.test", "none.test", "none.test", "bad.test"):
            is_refused(httpd, name) if name != "a.test" else presented(httpd, name)
        report = status.report(httpd)["certificate_store"]
        assert report == {"from_cache": 1, "loaded": 1, "not_found": 1, "failed": 1}
        metrics = status.metrics(httpd)
        for result, count in [("cached", 1), ("loaded", 1), ("not_found", 1), ("failed", 1)]:
            assert metrics[f'mod_tls_certificate_store_lookups_total{{result="{result}"}}'] == count

    def test_04_the_status_page(self, httpd, store):
        httpd.log.allow("no certificate")
        store.start(status.LOCATIONS, httpd.vhost("bare.example", cert=False), httpd.vhost("own.example"))
        report = status.report(httpd)["sites"]
        assert [site["name"] for site in report["list"]] == ["bare.example", "own.example", "sites.test"]
        assert report["without_certificate"] == 1
        assert report["list"][2]["store"] == f"{store.directory}/%n.pem {store.directory}/%n.key"
        assert "looked up by name" in plain_get(httpd, "/tls-status")[1]


class TestProcesses:
    """With tls-keyd, which has the keys, and the process that opens files."""

    def test_01_tls_keyd_is_killed(self, httpd, store):
        issued = store.put("a.test")
        store.put("b.test", number=1)
        store.start()
        presented(httpd, "a.test")
        kill(httpd)
        assert presented(httpd, "a.test") == issued.cert.serial_number
        wait_for(lambda: not is_refused(httpd, "b.test"), "the store")
        httpd.log.allow(FAILED)

    def test_02_the_opener_is_killed(self, httpd, store):
        issued = store.put("a.test")
        store.put("b.test", number=1)
        store.start()
        presented(httpd, "a.test")
        old = companion(httpd, "--open")
        httpd.log.expect("which opens files of certificates, has ended")
        httpd.log.allow(FAILED)
        os.kill(old, signal.SIGKILL)
        assert presented(httpd, "a.test") == issued.cert.serial_number
        wait_for(lambda: companion(httpd, "--open") not in (None, old), "another one")
        wait_for(lambda: not is_refused(httpd, "b.test"), "the store")

    def test_03_the_opener_is_stopped(self, httpd, store):
        """Certificates that are known are presented; others are refused in time; it is replaced."""
        issued = store.put("a.test")
        store.put("b.test", number=1)
        store.start()
        presented(httpd, "a.test")
        old = companion(httpd, "--open")
        httpd.log.expect("which opens files of certificates, does not answer and is killed")
        httpd.log.expect(FAILED)
        stop(old)
        assert is_refused(httpd, "b.test")
        assert presented(httpd, "a.test") == issued.cert.serial_number
        wait_for(lambda: companion(httpd, "--open") not in (None, old), "another one", 30)
        wait_for(lambda: not is_refused(httpd, "b.test"), "the store")

    def test_04_a_slow_file_keeps_nobody_else_waiting(self, httpd, store):
        """A pipe without a writer is no file."""
        store.put("a.test")
        store.put("slow.test", number=1)
        (store.directory / "slow.test.key").unlink()
        os.mkfifo(store.directory / "slow.test.key")
        httpd.log.expect(FAILED)
        store.start()
        assert is_refused(httpd, "slow.test")
        presented(httpd, "a.test")

    def test_05_reloads(self, httpd, store):
        issued = store.put("a.test")
        store.start()
        first = companion(httpd, "--open")
        for _ in range(3):
            presented(httpd, "a.test")
            httpd.graceful()
        assert presented(httpd, "a.test") == issued.cert.serial_number
        assert companion(httpd, "--open") == first
        other = httpd.root / "other"
        store.directory.rename(other)
        store.directory = other
        conf = httpd.conf_file.read_text()
        httpd.conf_file.write_text(conf.replace("/sites/%n", "/other/%n"))
        httpd.graceful()
        wait_for(lambda: presented(httpd, "a.test") == issued.cert.serial_number, "the certificate")

    def test_06_names_that_wait_leave_threads_for_others(self, httpd, store):
        """While files are not opened, at most half of the threads of a process wait for them."""
        store.put("a.test")
        store.start()
        presented(httpd, "a.test")
        httpd.log.allow("which opens files of certificates, does not answer and is killed")
        httpd.log.allow("TLS3001")
        httpd.log.expect(f"half of the threads of this process wait for other names already.*{FAILED}")
        opener = companion(httpd, "--open")
        stop(opener)
        done = threading.Event()

        def ask(number):
            while not done.is_set():
                is_refused(httpd, f"h{number}.test")

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        try:
            times = []
            for _ in range(20):
                began = time.monotonic()
                presented(httpd, "a.test")
                times.append(time.monotonic() - began)
        finally:
            done.set()
            for thread in threads:
                thread.join()
            with contextlib.suppress(ProcessLookupError):
                os.kill(opener, signal.SIGCONT)
        # One of them asked whether there is another certificate.
        assert sorted(times)[-2] < 1, times

    @AS_ROOT
    def test_07_no_key_is_outside_of_tls_keyd(self, httpd, store):
        issued = store.put("a.test")
        store.start()
        for _ in range(5):
            presented(httpd, "a.test")
        secrets = Secrets()
        secrets.add_key("key", issued.key)
        assert secrets.in_process(keyd(httpd)), "the search works"
        others = [pid for pid in httpd.key_processes() if pid != keyd(httpd)]
        assert companion(httpd, "--open") in others
        for pid in [httpd.pid, *httpd.children(), *others]:
            assert not secrets.in_process(pid), pid

    def test_08_the_opener_gives_up_what_it_does_not_need(self, httpd, store):
        store.put("a.test")
        store.start()
        text = Path(f"/proc/{companion(httpd, '--open')}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
        if os.geteuid() == 0:
            assert int(fields["CapEff"], 16) & ~(1 << 2) == 0, "only CAP_DAC_READ_SEARCH"


class TestConfiguration:
    @pytest.mark.parametrize(
        "words,text",
        [
            ("/etc/ssl/cert.pem", "takes a pattern of paths that contains the name"),
            ("/etc/%x/cert.pem", "as in mod_vhost_alias"),
            ("/a/%n /b/%n /c/%n", "takes"),
        ],
    )
    def test_01_errors(self, httpd, words, text):
        httpd.configure(f"TLSEngine {httpd.port}", f"TLSCertificateStore {words}", httpd.vhost("a.test"))
        code, output = httpd.configtest()
        assert code != 0 and "TLSCertificateStore" in output and text in output

    def test_02_warnings(self, httpd):
        (httpd.root / "open").mkdir()
        (httpd.root / "open").chmod(0o777)
        host = httpd.vhost("a.test", "TLSCertificateStore nowhere/%n.pem open/%n.key", cert=False)
        httpd.configure(f"TLSEngine {httpd.port}", host)
        code, output = httpd.configtest()
        assert code == 0 and "nowhere: No such file" in output and "chmod o-w" in output

    @pytest.mark.parametrize("words", ["0", "x", "1 0", "1 2 3", "2000000"])
    def test_03_size_of_the_cache(self, httpd, words):
        httpd.configure(f"TLSEngine {httpd.port}", f"TLSCertificateStoreCache {words}", httpd.vhost("a.test"))
        code, output = httpd.configtest()
        assert code != 0 and "TLSCertificateStoreCache" in output

    def test_04_dump(self, httpd, store):
        host = httpd.vhost(
            "a.test", f"TLSCertificateStore {store.directory}/%n.pem {store.directory}/%-2.1.key", cert=False
        )
        httpd.configure(f"TLSEngine {httpd.port}", host)
        code, output = httpd.configtest("DUMP_TLS")
        assert code == 0 and f"{store.directory}/%n.pem {store.directory}/%-2.1.key" in output

    def test_05_none(self, httpd, store, authority):
        own = authority.server("a.test", number=1)
        store.put("a.test")
        httpd.start(
            f"TLSEngine {httpd.port}",
            f"TLSCertificateStore {store.directory}/%n.pem {store.directory}/%n.key",
            httpd.vhost("a.test", "TLSCertificateStore none", cert=own.write(httpd.root, "own")),
        )
        assert presented(httpd, "a.test") == own.cert.serial_number
