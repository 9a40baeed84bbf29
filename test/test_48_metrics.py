# SPDX-License-Identifier: Apache-2.0
"""The metrics: checked by promtool, and scraped by a real Prometheus."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from harness import status
from harness.clients import connect, curl, plain_get, raw_connection, read_all
from harness.httpd import wait_for

MONITORING = Path(__file__).resolve().parent.parent / "packaging/monitoring"


@pytest.fixture
def server(httpd):
    return httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test"), httpd.vhost("b.test"))


def promtool(*args, **options):
    run = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=60, **options)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def fail(httpd):
    with raw_connection(httpd) as sock:
        sock.sendall(b"\xff" * 50)
        read_all(sock)


class TestFormat:
    def test_01_promtool(self, server):
        curl(server, "a.test")
        fail(server)
        for query in ("", "?sites=on"):
            _, text = plain_get(server, f"/tls-metrics{query}")
            assert promtool("check", "metrics", input=text) == ""

    def test_02_content_types(self, server):
        openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        for accept, content_type in [
            ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
            (f"{openmetrics}, text/plain;version=0.0.4;q=0.5", openmetrics),
        ]:
            response = curl(server, "a.test", "/tls-metrics", "-H", f"Accept: {accept}")
            assert response.headers["content-type"] == content_type
            assert response.text.endswith("# EOF") == (content_type == openmetrics)
            total = "_total" if content_type != openmetrics else ""
            assert f"# TYPE mod_tls_handshakes{total} counter\n" in response.text

    def test_03_values(self, server):
        for _ in range(2):
            curl(server, "a.test")
        fail(server)
        wait_for(lambda: status.metrics(server)["mod_tls_handshakes_failed_total"] == 1, "the failure")
        found = status.metrics(server)
        assert found['mod_tls_handshakes_total{kind="full"}'] == 2
        assert found['mod_tls_handshake_versions_total{version="TLSv1.3"}'] == 2
        assert found['mod_tls_failures_total{code="TLS1001",reason="not_tls"}'] == 1
        assert found['mod_tls_handshake_duration_seconds_bucket{le="+Inf"}'] == 2
        assert found["mod_tls_handshake_duration_seconds_count"] == 2
        limits = [
            value for name, value in found.items() if name.startswith("mod_tls_handshake_duration_seconds_bucket")
        ]
        assert limits == sorted(limits) and len(limits) == 15
        assert found["mod_tls_sites"] == 2 and found['mod_tls_sites_expiring{within_days="0"}'] == 0

    def test_04_sites_by_option(self, server):
        curl(server, "a.test")
        curl(server, "a.test")
        assert not any("site=" in name for name in status.metrics(server))
        found = status.metrics(server, "?sites=on")
        assert found['mod_tls_site_handshakes_total{site="a.test",kind="full"}'] == 2
        assert found['mod_tls_site_handshakes_total{site="b.test",kind="full"}'] == 0
        assert found['mod_tls_site_handshakes_failed_total{site="b.test"}'] == 0
        assert found['mod_tls_site_certificate_not_after_timestamp_seconds{site="a.test"}'] > 1.7e9

    def test_05_clients_make_no_series(self, server):
        """The number of series does not depend on what clients send."""
        before = set(status.metrics(server))
        for number in range(5):
            with contextlib.suppress(OSError), connect(server, f"name{number}.test"):
                pass
            fail(server)
        curl(server, "a.test", "/", "--tls-max", "1.2")
        assert set(status.metrics(server)) == before

    def test_06_hosts_on_two_ports_are_one_series(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            f"TLSEngine {httpd.plain_port}",
            status.LOCATIONS,
            httpd.vhost("a.test"),
            httpd.vhost("a.test", port=httpd.plain_port),
        )
        text = curl(httpd, "a.test", "/tls-metrics?sites=on").text
        assert text.count('mod_tls_site_handshakes_failed_total{site="a.test"}') == 1
        assert promtool("check", "metrics", input=text + "\n") == ""


@pytest.fixture
def prometheus(httpd, ports):
    """Starts a Prometheus that scrapes httpd, and returns a function for its queries."""
    with contextlib.ExitStack() as stack:

        def start(query="", rules=None):
            port = ports.take()
            config = {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(rules)] if rules else [],
                "scrape_configs": [
                    {
                        "job_name": "httpd",
                        "metrics_path": "/tls-metrics",
                        "params": urllib.parse.parse_qs(query),
                        "static_configs": [{"targets": [f"127.0.0.1:{httpd.plain_port}"]}],
                    }
                ],
            }
            file = httpd.root / "prometheus.yml"
            # JSON is YAML.
            file.write_text(json.dumps(config))
            promtool("check", "config", file)
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={file}",
                    f"--storage.tsdb.path={httpd.root}/prometheus",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)

            def api(path, **parameters):
                url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
                try:
                    with urllib.request.urlopen(url, timeout=10) as response:
                        return json.load(response)["data"]
                except (urllib.error.URLError, ConnectionError):
                    return None

            return api

        yield start


class TestPrometheus:
    def test_01_it_scrapes(self, server, prometheus):
        api = prometheus("sites=on")
        for _ in range(3):
            curl(server, "a.test")

        def value(query):
            data = api("query", query=query)
            return float(data["result"][0]["value"][1]) if data and data["result"] else None

        wait_for(lambda: value('mod_tls_site_handshakes_total{site="a.test",kind="full"}') == 3, "the handshakes")
        assert value("sum(mod_tls_handshakes_total)") == 3
        assert value("histogram_quantile(0.5, mod_tls_handshake_duration_seconds_bucket)") > 0
        assert value("up") == 1
        (target,) = api("targets")["activeTargets"]
        assert target["health"] == "up" and target["lastError"] == ""
        metadata = api("metadata")
        assert metadata["mod_tls_handshake_duration_seconds"][0]["type"] == "histogram"
        # Prometheus asks for OpenMetrics, where counters are named without the suffix.
        assert metadata["mod_tls_handshakes"][0]["type"] == "counter"

    def test_02_the_rules(self, server, prometheus):
        rules = MONITORING / "rules.yml"
        assert "SUCCESS" in promtool("check", "rules", rules)
        promtool("test", "rules", MONITORING / "rules_test.yml")
        api = prometheus(rules=rules)
        groups = wait_for(lambda: (api("rules") or {}).get("groups"), "the rules")
        wait_for(
            lambda: all(rule["health"] == "ok" for group in api("rules")["groups"] for rule in group["rules"]), "them"
        )
        assert {rule["name"] for group in groups for rule in group["rules"]} >= {
            "TlsCertificateExpires",
            "TlsFailuresRise",
        }

    def test_03_the_dashboard(self, server, prometheus):
        """Every query of the dashboard is valid, and asks for metrics that exist."""
        api = prometheus()
        curl(server, "a.test")
        wait_for(lambda: api("query", query="mod_tls_sites"), "the first scrape")
        dashboard = json.loads(MONITORING.joinpath("dashboard.json").read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
        assert len(queries) > 8
        known = status.metric_names(status.metrics(server, "?sites=on"))
        for query in queries:
            query = query.replace("$__rate_interval", "5m").replace("$instance", ".*")
            assert api("query", query=query) is not None, query
            used = status.metric_names_in(query)
            assert used and used <= known, query
