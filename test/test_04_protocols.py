# SPDX-License-Identifier: Apache-2.0
"""Protocol versions and key exchange groups."""

import pytest

from harness.httpd import CRYPTO

GROUPS = ["P-256", "P-384"] if CRYPTO == "fips" else ["X25519", "P-256", "P-384"]

HANDSHAKE_FAILURE, PROTOCOL_VERSION, INAPPROPRIATE_FALLBACK = "40", "70", "86"


class TestVersions:
    @pytest.mark.parametrize(
        "line, has12, has13",
        [
            ("", True, True),
            ("TLSProtocol default", True, True),
            ("TLSProtocol TLSv1.2+", True, True),
            ("TLSProtocol v1.2+", True, True),
            ("TLSProtocol TLSv0x0303+", True, True),
            ("TLSProtocol TLSv1.3+", False, True),
            ("TLSProtocol TLSv0x0304+", False, True),
            ("TLSProtocol TLSv1.2", True, False),
            ("TLSProtocol TLSv1.2 TLSv1.3", True, True),
            ("TLSProtocol TLSv1.2-TLSv1.3", True, True),
        ],
    )
    def test_01_forms(self, start_both, line, has12, has13):
        client = start_both(line)
        assert client("-tls1_2").protocol == ("TLSv1.2" if has12 else None)
        assert client("-tls1_3").protocol == ("TLSv1.3" if has13 else None)

    def test_02_older_clients_learn_why(self, start_both):
        assert start_both()("-tls1_1", "-cipher", "ALL@SECLEVEL=0").alert == PROTOCOL_VERSION

    def test_03_no_common_version(self, start_both):
        assert start_both("TLSProtocol TLSv1.3+")("-tls1_2").alert == PROTOCOL_VERSION

    def test_04_fallback_is_refused(self, start_both):
        client = start_both()
        assert client("-tls1_2", "-fallback_scsv").alert == INAPPROPRIATE_FALLBACK
        assert client("-tls1_3", "-fallback_scsv").protocol == "TLSv1.3"

    def test_05_fallback_to_the_newest_is_none(self, start_both):
        assert start_both("TLSProtocol TLSv1.2")("-tls1_2", "-fallback_scsv").protocol == "TLSv1.2"

    def test_06_older_minimum_is_a_notice(self, httpd, start_both):
        assert start_both("TLSProtocol TLSv1.0+")("-tls1_2").protocol == "TLSv1.2"
        assert "older than TLSv1.2" in httpd.log.text()


class TestGroups:
    @pytest.mark.parametrize("group", GROUPS)
    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_01_all(self, start_both, group, version):
        session = start_both()(version, "-groups", group)
        assert session.protocol, session.output

    def test_02_none_in_common(self, start_both):
        assert start_both()("-tls1_3", "-groups", "X448").alert == HANDSHAKE_FAILURE

    def test_03_a_second_hello_is_asked_for(self, start_both):
        """The client sends a key share for a group that is not supported, and receives a HelloRetryRequest."""
        assert start_both()("-tls1_3", "-groups", "X448:P-384").protocol == "TLSv1.3"
