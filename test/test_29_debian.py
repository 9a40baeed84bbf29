# SPDX-License-Identifier: Apache-2.0
"""On Debian: `make install`, then `a2dismod ssl` and `a2enmod ssl-rustls`, and back."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.certs import key_pem
from harness.clients import curl

CONFIG = Path("/etc/apache2")
pytestmark = pytest.mark.skipif(
    not shutil.which("a2enmod", path="/usr/sbin:/usr/bin"), reason="Debian's a2enmod is not installed"
)


@pytest.fixture
def installed(installation, tmp_path):
    """The files that `make install` installs."""
    build = installation.module.parent.parent
    if not build.joinpath("Makefile").exists():
        pytest.skip("the tested module is not in its build directory")
    subprocess.run(["make", "-C", build, "install", f"DESTDIR={tmp_path}"], check=True, capture_output=True)
    [tool] = tmp_path.rglob("bin/tls-certs")
    assert subprocess.run([tool, "--version"], capture_output=True, text=True).stdout.startswith("tls-certs ")
    yield tmp_path
    subprocess.run(["make", "-C", build, "uninstall", f"DESTDIR={tmp_path}"], check=True, capture_output=True)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"tls.conf", "ssl-rustls.conf"}


def test_01_there_and_back(installed, httpd, authority):
    """Debian's own configuration, with the site default-ssl, in a directory of the test."""
    root = httpd.root / "apache2"
    shutil.copytree(CONFIG, root, symlinks=True)
    for file in (installed / "etc/apache2/mods-available").iterdir():
        text = file.read_text().replace("/usr/lib/apache2/modules/mod_tls.so", str(httpd.installation.module))
        (root / "mods-available" / file.name).write_text(text)
    issued = authority.server("localhost")
    (root / "localhost.pem").write_bytes(issued.chain_pem)
    (root / "localhost.key").write_bytes(key_pem(issued.key))
    site = root / "sites-available/default-ssl.conf"
    text = site.read_text().replace("/etc/ssl/certs/ssl-cert-snakeoil.pem", f"{root}/localhost.pem")
    text = text.replace("/etc/ssl/private/ssl-cert-snakeoil.key", f"{root}/localhost.key")
    site.write_text(re.sub(r"\b443\b", str(httpd.port), text.replace("/var/www/html", str(httpd.docs))))
    (root / "ports.conf").write_text(f"Listen {httpd.plain_port}\nListen {httpd.port}\nServerName localhost\n")
    (root / "conf-available").mkdir(exist_ok=True)
    (root / "conf-available/docs.conf").write_text(f"<Directory {httpd.docs}>\nRequire all granted\n</Directory>\n")
    run, log = httpd.root / "run", httpd.root
    run.mkdir()
    variables = {"CONFDIR": root, "RUN_DIR": run, "LOCK_DIR": run, "LOG_DIR": log, "PID_FILE": run / "pid"}
    user = {"RUN_USER": "www-data", "RUN_GROUP": "www-data"}
    environment = {**os.environ, **{f"APACHE_{k}": str(v) for k, v in (variables | user).items()}}
    environment["PATH"] += ":/usr/sbin"

    def debian(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    debian("a2ensite", "-q", "default-ssl")
    debian("a2enconf", "-q", "docs")
    httpd.log.path = log / "error.log"
    httpd.conf_file = root / "apache2.conf"
    httpd.environment = environment | {"APACHE_ARGUMENTS": ""}
    text = httpd.conf_file.read_text()
    httpd.conf_file.write_text(f"ServerRoot {root}\n{text}")
    for disabled, enabled, version in (("ssl-rustls", "ssl", "OpenSSL/"), ("ssl", "ssl-rustls", "mod_tls/")) * 2:
        if (root / f"mods-enabled/{disabled}.load").exists():
            debian("a2dismod", "-q", disabled)
        debian("a2enmod", "-q", enabled)
        httpd.log.allow("ssl:warn")
        httpd.start()
        response = curl(httpd, "localhost")
        assert (response.code, response.text) == (200, "hello")
        assert version in httpd.log.text()
        httpd.stop()
        httpd.log.begin()
