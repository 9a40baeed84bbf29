# SPDX-License-Identifier: Apache-2.0
"""SSLPassPhraseDialog: encrypted private keys."""

import stat
import subprocess

import pytest

from harness.certs import TRADITIONAL
from harness.clients import curl
from harness.httpd import wait_for


class TestPassPhrases:
    @pytest.fixture
    def dialog(self, ssl_server):
        """A program that logs its arguments and runs `answer`."""

        def make(answer="secret", name="ask"):
            program = ssl_server.root / name
            program.write_text(f'#!/bin/sh\necho "$@" >> {ssl_server.root}/asked\n{answer}\n')
            program.chmod(program.stat().st_mode | stat.S_IEXEC)
            return program

        return make

    @staticmethod
    def asked(ssl_server):
        file = ssl_server.root / "asked"
        return file.read_text().splitlines() if file.exists() else []

    @staticmethod
    def encrypted(ssl_server, *command):
        """A certificate for a.test with a key that an openssl command has encrypted. The pass phrase is `secret`."""
        certificate, key = ssl_server.certificate("a.test")
        file = key.split()[1]
        run = ["openssl", *command, "-in", file, "-passout", "pass:secret", "-out", f"{file}.enc"]
        subprocess.run(run, check=True, capture_output=True)
        return [certificate, f"{key}.enc"]

    @pytest.mark.parametrize("kind", ["p256", "rsa2048"])
    @pytest.mark.parametrize("form", [None, TRADITIONAL], ids=["pkcs8", "traditional"])
    def test_01_exec(self, ssl_server, httpd, dialog, kind, form):
        """The program is run once for each pass phrase at start, and not at reloads."""
        first = ssl_server.certificate("a.test", kind, form=form, password=b"secret")
        second = ssl_server.certificate("b.test", kind, form=form, password=b"secret")
        third = ssl_server.certificate("c.test", kind, form=form, password=b"other")
        program = dialog('case "$1" in c.test:*) echo other;; *) echo secret;; esac')
        hosts = [
            ssl_server.vhost(f"{name}.test", certificate=c)
            for name, c in zip("abc", (first, second, third), strict=True)
        ]
        ssl_server.start(f"SSLPassPhraseDialog exec:{program}", *hosts)
        assert sorted(self.asked(ssl_server))[-1] == "c.test:443 RSA" and len(self.asked(ssl_server)) == 2
        httpd.graceful()
        for name in "abc":
            assert curl(httpd, f"{name}.test").code == 200
        assert len(self.asked(ssl_server)) == 2
        # A new key, with a known pass phrase.
        ssl_server.certificate("a.test", kind, form=form, password=b"other")
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200 and len(self.asked(ssl_server)) == 2

    @pytest.mark.parametrize("cipher", ["-aes128", "-aes192", "-aes256", "-des3"])
    def test_02_openssls_older_form(self, ssl_server, httpd, dialog, cipher):
        certificate = self.encrypted(ssl_server, "ec", cipher)
        ssl_server.start(
            f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl_server.vhost("a.test", certificate=certificate)
        )
        assert curl(httpd, "a.test").code == 200

    @pytest.mark.parametrize("options", ["-v2 aes-128-cbc", "-v2 des3", "-v2 aes256 -v2prf hmacWithSHA1", "-scrypt"])
    def test_03_pkcs8(self, ssl_server, httpd, dialog, options):
        certificate = self.encrypted(ssl_server, "pkcs8", "-topk8", *options.split())
        ssl_server.start(
            f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl_server.vhost("a.test", certificate=certificate)
        )
        assert curl(httpd, "a.test").code == 200

    def test_04_pipe(self, ssl_server, httpd, dialog):
        """The program is asked again after a wrong pass phrase."""
        program = dialog(
            'while read -r line; do case "$line" in Enter*) n=x$n; '
            'if [ "$n" = x ]; then echo wrong; else echo secret; fi;; esac; done'
        )
        certificate = ssl_server.certificate("a.test", password=b"secret")
        ssl_server.start(
            f'SSLPassPhraseDialog "|{program} an-argument"', ssl_server.vhost("a.test", certificate=certificate)
        )
        assert curl(httpd, "a.test").code == 200
        assert self.asked(ssl_server) == ["an-argument"]

    @pytest.mark.parametrize(
        "answer,why",
        [
            ("echo wrong", "the pass phrase is wrong"),
            ("true", "the program has printed no pass phrase"),
            ("exit 1", "the program has printed no pass phrase"),
        ],
    )
    @pytest.mark.parametrize("kind", ["exec:", "|"])
    def test_05_wrong(self, ssl_server, httpd, dialog, kind, answer, why):
        program = dialog(
            answer if kind == "exec:" or "wrong" not in answer else "while read -r line; do echo wrong; done"
        )
        certificate = ssl_server.certificate("a.test", password=b"secret")
        ssl_server.configure(
            f"SSLPassPhraseDialog {kind}{program}", ssl_server.vhost("a.test", certificate=certificate)
        )
        httpd.log.expect(why)
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0
        assert httpd._process.returncode > 0
        assert f"{certificate[1].split()[1]}: the private key is encrypted" in httpd.log.text()

    def test_06_no_terminal(self, ssl_server, httpd):
        ssl_server.configure(
            ssl_server.vhost("a.test", certificate=ssl_server.certificate("a.test", password=b"secret"))
        )
        httpd.log.expect("there is no terminal")
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0

    def test_07_config_test_asks_nobody(self, ssl_server, httpd, dialog):
        certificate = ssl_server.certificate("a.test", password=b"secret")
        ssl_server.configure(
            f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl_server.vhost("a.test", certificate=certificate)
        )
        assert httpd.configtest()[0] == 0 and self.asked(ssl_server) == []

    def test_08_unsupported(self, ssl_server, httpd, dialog):
        certificate = self.encrypted(ssl_server, "pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES")
        ssl_server.configure(
            f"SSLPassPhraseDialog exec:{dialog('echo secret')}", ssl_server.vhost("a.test", certificate=certificate)
        )
        httpd.log.expect("openssl pkcs8 -topk8 -v2")
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0

    def test_09_terminal(self, ssl_server, httpd, dialog):
        """The pass phrase is typed at the test's own terminal. The first attempt is wrong."""
        ssl_server.configure(
            ssl_server.vhost("a.test", certificate=ssl_server.certificate("a.test", password=b"secret"))
        )
        command = f"{httpd.installation.program} -f {httpd.conf_file} -DFOREGROUND"
        answers = f'(sleep 1; echo wrong; sleep 1; echo secret; sleep 2) | script -qec "{command}" /dev/null'
        with subprocess.Popen(answers, shell=True, stdout=subprocess.PIPE, start_new_session=True) as process:
            wait_for(lambda: "resuming normal operations" in httpd.log.text(), "httpd")
            assert curl(httpd, "a.test").code == 200
            subprocess.run(["kill", httpd.root.joinpath("pid").read_text().strip()], check=True)
            output = process.communicate(timeout=30)[0].decode()
        assert output.count("Enter pass phrase:") == 2 and "secret" not in httpd.log.text()
