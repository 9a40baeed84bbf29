# SPDX-License-Identifier: Apache-2.0
"""Revocation in the status: OCSP responses, lists, checks of clients, and the process that talks to other machines."""

import os
import signal
import time

import pytest

from harness import status
from harness.certs import ocsp_responder
from harness.client_certs import ClientCa
from harness.clients import curl, plain_get
from harness.fetched_lists import Lists
from harness.httpd import wait_for
from harness.keyd import companion
from harness.ocsp_responder import Responder

OPTION = "--revocation"
# The process says what there is at least every ten seconds, when it is asked for messages for the log as well.
PATIENCE = 25


@pytest.fixture
def responder(authority):
    responder = Responder(authority.issuer).start()
    yield responder
    responder.stop()


def vhost(httpd, responder, name, behaviour="good", says="good"):
    """A host whose certificate names the responder."""
    issued = httpd.authority.server(name, status=[ocsp_responder(responder.url(behaviour))])
    responder.statuses[issued.cert.serial_number] = says
    return httpd.vhost(name, cert=issued.write(httpd.root, name))


def start(httpd, *lines):
    httpd.start(f"TLSEngine {httpd.port}", "TLSRevocationTimeout 1", status.LOCATIONS, *lines)


def staples(report):
    """The states of the certificates of all hosts."""
    return {
        site["name"]: certificate["staple"] and certificate["staple"]["state"]
        for site in report["sites"]["list"]
        for certificate in site["certificates"]
    }


def wait(httpd, condition, what):
    wait_for(lambda: condition(status.report(httpd)), what, PATIENCE)
    return status.report(httpd)


class TestStaples:
    def test_01_states(self, httpd, responder):
        httpd.log.allow("revoked.test.pem has been revoked by its CA")
        httpd.log.allow("unknown.test.pem is not known to its OCSP responder")
        httpd.log.allow("none.test.pem: no OCSP response: .*tryLater")
        start(
            httpd,
            "TLSStapling on",
            vhost(httpd, responder, "good.test"),
            vhost(httpd, responder, "revoked.test", says="revoked"),
            vhost(httpd, responder, "unknown.test", says="unknown"),
            vhost(httpd, responder, "none.test", "try-later"),
            httpd.vhost("bare.test"),
        )
        expected = {name: name.partition(".")[0] for name in ("good.test", "revoked.test", "unknown.test", "none.test")}
        expected |= {"bare.test": None}
        counts = {"good": 1, "revoked": 1, "unknown": 1, "stale": 0, "none": 1}
        wait(
            httpd,
            lambda found: staples(found) == expected and found["revocation"]["staples"] == counts,
            "the responses",
        )
        report = wait(httpd, lambda found: "tryLater" in str(found["sites"]["list"]), "the reason")
        sites = {site["name"]: site["certificates"][0]["staple"] for site in report["sites"]["list"]}
        good, none = sites["good.test"], sites["none.test"]
        assert good["next_update"] == good["usable_until"] == good["this_update"] + 86400
        assert abs(good["this_update"] - time.time()) < 600 and good["problem"] is None
        assert "tryLater" in none["problem"] and none["this_update"] is None
        assert report["revocation"]["process"] == companion(httpd, OPTION)
        assert abs(report["revocation"]["time"] - time.time()) < 30
        metrics = status.metrics(httpd, "?sites=on")
        assert {state: metrics[f'mod_tls_staples{{state="{state}"}}'] for state in counts} == counts
        assert metrics["mod_tls_revocation_process_up"] == 1
        usable = {name: metrics.get(f'mod_tls_site_staple_usable{{site="{name}"}}') for name in expected}
        assert usable == {"bare.test": None} | {name: name == "good.test" for name in expected if name != "bare.test"}
        series = 'mod_tls_site_staple_next_update_timestamp_seconds{site="good.test"}'
        assert metrics[series] == good["next_update"]
        page = plain_get(httpd, "/tls-status")[1]
        assert "OCSP response: good, of <time" in page and "OCSP: revoked" in page and "tryLater" in page
        assert "1 good, 1 revoked, 1 unknown, 0 stale, 1 without one" in page
        # What is not good is not stapled: nobody has asked for it.
        assert all(site["staple"] is None for site in report["sites"]["list"])

    def test_02_stale(self, httpd, responder):
        """A response whose time is over is shown as stale, although no handshake has it."""
        httpd.log.allow("no OCSP response: .*nothing is stapled")
        httpd.log.allow("is good for")
        start(httpd, "TLSStapling on", vhost(httpd, responder, "a.test", "short"))
        wait(httpd, lambda found: staples(found) == {"a.test": "good"}, "the response")
        responder.stop()
        wait(httpd, lambda found: staples(found) == {"a.test": "stale"}, "its end")
        wait(httpd, lambda found: found["revocation"]["staples"]["stale"] == 1, "the count")
        assert status.metrics(httpd)['mod_tls_staples{state="stale"}'] == 1
        assert "stale, and not stapled" in plain_get(httpd, "/tls-status")[1]

    def test_03_another_process(self, httpd, responder):
        httpd.log.expect(r"tls-keyd --revocation .* has ended")
        start(httpd, "TLSStapling on", vhost(httpd, responder, "a.test"))
        first = wait(httpd, lambda found: found["revocation"]["process"], "the process")["revocation"]["process"]
        os.kill(companion(httpd, OPTION), signal.SIGKILL)
        report = wait(httpd, lambda found: found["revocation"]["process"] not in (None, first), "another one")
        assert report["revocation"]["process"] == companion(httpd, OPTION)

    def test_04_nothing_is_asked(self, httpd):
        start(httpd, httpd.vhost("a.test"))
        assert status.report(httpd)["revocation"] is None
        assert not any("revocation_process" in name for name in status.metrics(httpd))
        assert "Nothing is asked of OCSP responders" in plain_get(httpd, "/tls-status")[1]


class TestClients:
    def test_01_results(self, httpd):
        """What became of OCSP checks, and how often the answer was known already."""
        httpd.log.expect(r"\[TLS1305\]")
        httpd.log.expect(r"does not know it.*\[TLS1320\]")
        httpd.log.expect(r"tryLater.*\[TLS1320\]")
        httpd.log.expect(r"names no OCSP responder.*\[TLS1320\]")
        ca = ClientCa()
        responder = Responder(ca).start()
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        asks = ["TLSClientCertificate required", f"TLSClientCA {httpd.root}/people.pem", "TLSClientOCSP leaf"]
        start(httpd, httpd.vhost("a.test", *asks))
        for name, behaviour, says, times in [
            ("good", "good", "good", 3),
            ("revoked", "good", "revoked", 1),
            ("unknown", "good", "unknown", 1),
            ("failing", "try-later", "good", 1),
            ("bare", None, "good", 1),
        ]:
            issued = ca.client(name, extensions=[ocsp_responder(responder.url(behaviour))] if behaviour else [])
            responder.statuses[issued.cert.serial_number] = says
            arguments = issued.write(httpd.root, name)
            for _ in range(times):
                assert curl(httpd, "a.test", "/", *arguments).code == (200 if name == "good" else 0)
        responder.stop()
        expected = {"good": 3, "revoked": 1, "unknown": 1, "no_answer": 1, "no_responder": 1, "cached": 2, "asked": 4}
        status.wait_for_report(httpd, lambda found: found["client_checks"] == expected, "the checks")
        metrics = status.metrics(httpd)
        for result in ("good", "revoked", "unknown", "no_answer", "no_responder"):
            assert metrics[f'mod_tls_client_status_checks_total{{result="{result}"}}'] == expected[result]
        assert metrics['mod_tls_client_status_cache_lookups_total{result="hit"}'] == 2
        assert metrics['mod_tls_client_status_cache_lookups_total{result="miss"}'] == 4
        page = plain_get(httpd, "/tls-status")[1]
        assert "3 good, 1 revoked, 1 unknown, 1 without an answer, 1 without a responder" in page
        assert "2 known already, 4 asked for" in page


class TestLists:
    @pytest.fixture
    def lists(self, httpd):
        lists = Lists(httpd)
        yield lists
        lists.server.stop()

    def test_01_fetched(self, httpd, lists):
        httpd.log.allow("revocation list .*/error-404/* could not be fetched")
        missing = lists.server.url("error-404")
        revoked = lists.client("")[0]
        lists.publish(revoked)
        lists.start(status.LOCATIONS, own=[f"TLSClientRevocation fetch {lists.url} {missing}"])
        report = wait(
            httpd, lambda found: {one["state"] for one in found["revocation"]["lists"]} == {"good", "none"}, "the lists"
        )
        found = {one["url"]: one for one in report["revocation"]["lists"]}
        good, none = found[lists.url], found[missing]
        assert good["configured"] and good["entries"] == 1 and good["problem"] is None
        assert good["this_update"] <= time.time() < good["next_update"]
        assert none["next_update"] is None and "404" in none["problem"]
        of_site = report["sites"]["list"][0]["revocation_lists"]
        assert (of_site["lists"], of_site["stale"], of_site["missing"], of_site["fetched"]) == (2, 0, 1, True)
        assert of_site["next_update"] == good["next_update"]
        metrics = status.metrics(httpd)
        assert (
            metrics['mod_tls_revocation_lists{state="good"}'] == metrics['mod_tls_revocation_lists{state="none"}'] == 1
        )
        series = f'mod_tls_revocation_list_next_update_timestamp_seconds{{file="{lists.url}",number="0"}}'
        assert metrics[series] == good["next_update"]
        page = plain_get(httpd, "/tls-status")[1]
        assert lists.url in page and "404" in page and "1 missing" in page

    def test_02_named_by_clients(self, httpd, lists):
        """A list that only the certificate of a client names is shown, but makes no series."""
        lists.start(status.LOCATIONS, own=["TLSClientRevocation fetch"])
        assert lists.code(lists.client()) == 200
        report = wait(httpd, lambda found: found["revocation"]["lists"], "the list")
        (found,) = report["revocation"]["lists"]
        assert found["url"] == lists.url and not found["configured"]
        assert not any(lists.url in name for name in status.metrics(httpd))

    def test_03_files(self, httpd, lists):
        httpd.log.expect("this revocation list has expired")
        for name, age in [("current", 1), ("old", 40)]:
            httpd.root.joinpath(f"{name}.crl").write_bytes(lists.ca.crl(start=-age, days=30))
        own = [f"TLSClientCRL {httpd.root}/{name}.crl" for name in ("current", "old")]
        lists.start(status.LOCATIONS, own=own)
        report = status.report(httpd)
        found = {os.path.basename(one["file"]): one for one in report["revocation_lists"]}
        assert [found[name]["expired"] for name in ("current.crl", "old.crl")] == [False, True]
        assert found["old.crl"]["next_update"] - found["old.crl"]["this_update"] == 30 * 86400
        of_site = report["sites"]["list"][0]["revocation_lists"]
        assert (of_site["lists"], of_site["stale"], of_site["missing"], of_site["fetched"]) == (2, 1, 0, False)
        assert "1 expired" in plain_get(httpd, "/tls-status")[1]
