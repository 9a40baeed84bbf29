# SPDX-License-Identifier: Apache-2.0
"""Messages on the terminal from which httpd is started."""

import re
import subprocess

import pytest

from harness.clients import curl
from harness.httpd import wait_for


class Daemon:
    """httpd as administrators start it, by `-k start`: the command returns while httpd runs."""

    def __init__(self, httpd):
        self.command = [httpd.installation.program, "-f", httpd.conf_file]
        self.pid_file = httpd.root / "pid"

    def run(self, action):
        """Returns the exit status and the output on stderr, after all processes have closed it."""
        run = subprocess.run([*self.command, "-k", action], stderr=subprocess.PIPE, text=True, timeout=30)
        return run.returncode, run.stderr

    def stop(self):
        if self.pid_file.exists():
            self.run("stop")
            wait_for(lambda: not self.pid_file.exists(), "httpd to stop")


@pytest.fixture
def daemon(httpd):
    daemon = Daemon(httpd)
    yield daemon
    daemon.stop()


class TestTerminal:
    MISTAKES = [
        ("TLSProtocol TLSv9", "TLSv9"),
        ("TLSCiphersPrefer NO_SUCH_CIPHER", "NO_SUCH_CIPHER"),
        ("TLSSessionCache nosuch:args", "TLSSessionCache nosuch: there is no provider"),
        ("TLSSessionCache shmcb:/run/x(1)", "TLSSessionCache shmcb"),
        ("TLSCertificate nowhere.pem", "nowhere.pem: no such file"),
        ("TLSClientCertificate required\nTLSClientCA nowhere.pem", "nowhere.pem: no such file"),
    ]

    @pytest.mark.parametrize("line,says", MISTAKES, ids=[line.replace("\n", " ") for line, _ in MISTAKES])
    def test_01_each_mistake_once(self, httpd, own_host, daemon, line, says):
        httpd.configure(f"TLSEngine {httpd.port}", line, own_host())
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count(says) == 1 and terminal.count("tls: ") == 1, terminal
        assert says in httpd.configtest()[1]
        httpd.log.expect(re.escape(says))
        httpd.log.allow("the configuration has errors")

    def test_02_all_of_them(self, httpd, own_host, daemon):
        httpd.configure(f"TLSEngine {httpd.port}", *(line for line, _ in self.MISTAKES[:2]), own_host())
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count("tls: ") == 2, terminal
        httpd.log.expect("TLSv9")
        httpd.log.expect("NO_SUCH_CIPHER")
        httpd.log.allow("the configuration has errors")

    @pytest.mark.parametrize("log", ["", 'ErrorLog "|$cat >> error_log"'], ids=["file", "program"])
    def test_03_a_good_start_says_nothing(self, httpd, own_host, daemon, log):
        """Warnings are only logged. Neither httpd nor a program for piped logs keeps the terminal open."""
        log = log.replace("error_log", str(httpd.log.path))
        httpd.configure(f"TLSEngine {httpd.port}", log, own_host("ServerAlias b.test"))
        httpd.log.expect("b.test is not covered")
        assert daemon.run("start") == (0, "")
        wait_for(daemon.pid_file.exists, "httpd to run")
        wait_for(lambda: curl(httpd, "a.test").code == 200, "httpd to serve")

    def test_04_where_the_log_is_the_terminal(self, httpd, own_host, daemon):
        httpd.configure(f"TLSEngine {httpd.port}", "ErrorLog /dev/stderr", "TLSProtocol TLSv9", own_host())
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count("TLSv9") == 1, terminal

    def test_05_not_at_reloads(self, httpd, own_host):
        httpd.start(f"TLSEngine {httpd.port}", own_host())
        process = httpd._process
        httpd.configure(f"TLSEngine {httpd.port}", "TLSProtocol TLSv9", own_host())
        process.send_signal(10)
        assert process.wait(30) != 0
        assert "TLSv9" not in process.stdout.read().decode()
        httpd.log.expect("TLSv9")
        httpd.log.allow("the configuration has errors|AH00020|AH0049")

    def test_06_odd_characters_are_escaped(self, httpd, own_host, daemon):
        httpd.configure(f"TLSEngine {httpd.port}", 'TLSProtocol "v\x1b[31mü"', own_host())
        _, terminal = daemon.run("start")
        assert r"v\x1b[31m\xc3\xbc" in terminal
        httpd.log.expect("TLSProtocol takes")
        httpd.log.allow("the configuration has errors")

    def test_07_by_mod_ssls_directives(self, httpd, own_host, daemon):
        own_host()
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile nowhere.key"]
        httpd.configure(httpd.vhost("a.test", *lines, cert=False), records=["ssl"])
        status, terminal = daemon.run("start")
        assert status != 0 and terminal.count("nowhere.key: no such file") == 1
        httpd.log.expect("nowhere.key: no such file")
        httpd.log.allow("the configuration has errors")
