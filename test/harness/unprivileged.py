# SPDX-License-Identifier: Apache-2.0
"""httpd without root."""

import os
import pwd
import shutil


def run_as(httpd, name):
    """Changes the owner of all files of a configured httpd to the user `name`, and runs httpd as that user. Does
    nothing if the tests do not run as root."""
    if os.geteuid() != 0:
        return
    user = pwd.getpwnam(name)
    # The user may have no access to the build tree.
    module = shutil.copy(httpd.installation.module, httpd.root / "mod_tls.so")
    shutil.copy(httpd.installation.module.with_name("tls-keyd"), httpd.root)
    text = httpd.conf_file.read_text().replace(str(httpd.installation.module), str(module))
    lines = [line for line in text.splitlines(True) if not line.startswith(("User ", "Group "))]
    httpd.conf_file.write_text("".join(lines))
    for path in [httpd.root, *httpd.root.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid)
    httpd.as_user = user.pw_uid
