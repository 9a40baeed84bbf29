# SPDX-License-Identifier: Apache-2.0
"""The status page and the metrics of a server."""

import json
import re

from harness.clients import plain_get
from harness.httpd import wait_for

LOCATIONS = """<Location /tls-status>
    SetHandler tls-status
    Require local
</Location>
<Location /tls-metrics>
    SetHandler tls-metrics
    Require local
</Location>"""


def report(httpd, query=""):
    """The JSON of the status."""
    status, body = plain_get(httpd, f"/tls-status?format=json{query}")
    assert status == 200, body
    return json.loads(body)


def wait_for_report(httpd, condition, what):
    """The JSON, as soon as the condition is true for it."""
    found = None

    def is_there():
        nonlocal found
        found = report(httpd)
        return condition(found)

    wait_for(is_there, what)
    return found


def metrics(httpd, query=""):
    """The samples in Prometheus' text format, by name and labels."""
    status, body = plain_get(httpd, f"/tls-metrics{query}")
    assert status == 200, body
    samples = [line.rpartition(" ") for line in body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


def metric_names(samples):
    return {re.match(r"[a-z_0-9]+", name)[0] for name in samples}


def metric_names_in(query):
    """The metrics of this module that a PromQL expression uses."""
    return set(re.findall(r"\bmod_tls_[a-z_0-9]+", query))
