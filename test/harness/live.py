# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced while httpd runs."""

import pytest

MPMS = pytest.mark.parametrize("mpm", ["event", "prefork"])
THREADED = (
    "StartServers 3\nServerLimit 3\nThreadsPerChild 4\nThreadLimit 4\nMaxRequestWorkers 12\n"
    "MinSpareThreads 1\nMaxSpareThreads 12"
)
THREE_CHILDREN = {
    "event": THREADED,
    "worker": THREADED,
    "prefork": "StartServers 3\nServerLimit 3\nMaxRequestWorkers 3\nMinSpareServers 1\nMaxSpareServers 3",
}

# Where the private keys are: the directives for it.
PLACES = {"tls-keyd": [], "httpd": ["TLSKeyProcess off"]}


def allow_prefork(httpd, mpm):
    if mpm == "prefork":
        httpd.log.allow("AH10034")  # mod_http2 requires threads


def replace(path, content):
    """Replaces a file by another one."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)
