# SPDX-License-Identifier: Apache-2.0
"""The status page in a real browser. With MOD_TLS_WRITE_DOCS=1, the pictures of docs/monitoring.md are made."""

import base64
import os
import re
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import browser, status
from harness.certs import ocsp_responder
from harness.clients import MemoryClient, curl, raw_connection, read_all
from harness.httpd import wait_for
from harness.ocsp_responder import Responder

pytestmark = pytest.mark.skipif(not browser.is_installed(), reason="chromium and chromium-driver are not installed")
PICTURES = Path(__file__).resolve().parent.parent / "docs/pictures"


@pytest.fixture(scope="module")
def driver():
    with browser.browser() as driver:
        yield driver


@pytest.fixture
def chromium(driver):
    """The browser without a page. The page of the test before complains when its server has stopped."""
    driver.get("about:blank")
    driver.get_log("browser")
    return driver


@pytest.fixture
def responder(authority):
    responder = Responder(authority.issuer).start()
    yield responder
    responder.stop()


@pytest.fixture
def server(httpd, responder):
    """Three hosts, one of which expires soon, and some visitors and failures."""
    soon = httpd.authority.server("shop.example.org", "*.shop.example.org", days=5).write(httpd.root, "shop")
    late = httpd.authority.server("late.example.org", start=-40, days=39).write(httpd.root, "late")
    issued = httpd.authority.server("www.example.org", days=80, status=[ocsp_responder(responder.url("good"))])
    good = issued.write(httpd.root, "www")
    httpd.log.allow("expired|expires")
    httpd.start(
        f"TLSEngine {httpd.port}",
        "TLSStapling on",
        status.LOCATIONS,
        httpd.vhost("www.example.org", cert=good),
        httpd.vhost("shop.example.org", cert=soon),
        httpd.vhost("late.example.org", cert=late),
    )
    for host in ("www", "www", "shop"):
        curl(httpd, f"{host}.example.org")
    curl(httpd, "www.example.org", "/", "--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256")
    with raw_connection(httpd) as sock:
        sock.sendall(MemoryClient(httpd, "unknown.example.org").hello())
        read_all(sock)
    status.wait_for_report(httpd, lambda report: report["failures"]["last"], "the failure")
    status.wait_for_report(httpd, lambda report: report["revocation"]["staples"]["good"], "the OCSP response")
    return httpd


def open_page(chromium, httpd, query=""):
    chromium.get(f"http://127.0.0.1:{httpd.plain_port}/tls-status{query}")
    return chromium


def text_of(chromium, selector):
    """The text of an element, which the script may replace at any time."""
    return chromium.execute_script("return document.querySelector(arguments[0]).innerText", selector)


def names(chromium):
    return [cell.text for cell in chromium.find_elements(By.CSS_SELECTOR, "#sites tbody th")]


def complaints(chromium):
    """What the console says: violations of the policy would be there."""
    return [entry for entry in chromium.get_log("browser") if "favicon" not in entry["message"]]


class TestPage:
    def test_01_tables(self, chromium, server):
        open_page(chromium, server)
        assert chromium.title == "TLS status"
        assert names(chromium) == ["late.example.org", "shop.example.org", "www.example.org"]
        cells = chromium.find_elements(By.CSS_SELECTOR, "#sites td.expired, #sites td.soon, #sites td.good")
        days = [cell.text.split("\n")[0] for cell in cells]
        # They begin a day ago. In the second in which one was made, its last days are whole.
        assert days in (["expired", "3", "78"], ["expired", "4", "79"], ["expired", "4", "78"])
        text = chromium.find_element(By.ID, "failures").text
        assert "unknown.example.org" in text and "TLS1201" in text and "TLSStrictSNI off" in text
        text = chromium.find_element(By.ID, "what-if").text
        assert "TLSv1.2 1 (25.0 %) – 1 (25.0 %)" in text
        assert chromium.find_element(By.ID, "sites").text.count("OCSP response: good") == 1
        assert "1 good, 0 revoked" in chromium.find_element(By.ID, "revocation").text
        assert complaints(chromium) == []

    def test_02_sort_by_click_and_filter_by_keyboard(self, chromium, server):
        open_page(chromium, server)
        chromium.find_element(By.LINK_TEXT, "Site").click()
        assert names(chromium) == ["late.example.org", "shop.example.org", "www.example.org"]
        chromium.find_element(By.LINK_TEXT, "Site").click()
        assert names(chromium) == ["www.example.org", "shop.example.org", "late.example.org"]
        assert chromium.find_element(By.CSS_SELECTOR, "th[aria-sort]").get_attribute("aria-sort") == "descending"
        chromium.find_element(By.ID, "filter").send_keys("SHOP", Keys.ENTER)
        wait_for(lambda: names(chromium) == ["shop.example.org"], "the filtered table")
        assert "1 of 3 sites" in chromium.find_element(By.ID, "sites").text

    def test_03_it_refreshes_itself(self, chromium, server):
        open_page(chromium, server)
        assert re.search(r"Handshakes\n+4\n", text_of(chromium, "#overview"))
        curl(server, "www.example.org")
        wait_for(lambda: re.search(r"Handshakes\n+5\n", text_of(chromium, "#overview")), "the refreshed page")
        assert complaints(chromium) == []

    def test_04_a_part_in_use_stays(self, chromium, server):
        """What somebody has typed is still there after a refresh."""
        open_page(chromium, server)
        field = chromium.find_element(By.ID, "filter")
        field.send_keys("half a na")
        before = text_of(chromium, "#refresh")
        wait_for(lambda: text_of(chromium, "#refresh") != before, "a refresh")
        assert field.get_attribute("value") == "half a na"

    def test_05_without_scripts(self, server):
        with browser.browser(scripts=False) as driver:
            open_page(driver, server, "?sort=name&per_page=2")
            assert names(driver) == ["late.example.org", "shop.example.org"]
            driver.find_element(By.LINK_TEXT, "Next").click()
            wait_for(lambda: names(driver) == ["www.example.org"], "the second page")
            assert "refresh every" not in driver.page_source.split("<script")[0]

    def test_06_light_and_dark(self, chromium, server):
        open_page(chromium, server)
        grounds = []
        for scheme in ("light", "dark"):
            browser.emulate(chromium, scheme)
            body = chromium.find_element(By.TAG_NAME, "body")
            ground, text = (body.value_of_css_property(name) for name in ("background-color", "color"))
            assert contrast(ground, text) > 7
            for cell in chromium.find_elements(By.CSS_SELECTOR, "td.expired, td.soon, td.good"):
                assert contrast(cell.value_of_css_property("background-color"), text) > 4.5
            note = chromium.find_element(By.CSS_SELECTOR, "#sites form .note")
            assert contrast(ground, note.value_of_css_property("color")) > 4.5
            grounds.append(ground)
        browser.emulate(chromium, "light")
        assert grounds[0] != grounds[1]

    def test_07_screen_readers_and_keyboard(self, chromium, server):
        open_page(chromium, server)
        levels = [int(heading.tag_name[1]) for heading in chromium.find_elements(By.CSS_SELECTOR, "h1, h2, h3")]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))
        nodes = chromium.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        named = {(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if "role" in node}
        assert {("navigation", "Sections"), ("region", "Sites"), ("searchbox", "Name or certificate file")} <= named
        assert not [
            name for role, name in named if role in ("link", "button", "textbox", "searchbox", "checkbox") and not name
        ]
        # Cells know their headings.
        assert {"columnheader", "rowheader"} <= {role for role, _ in named}
        active = chromium.switch_to.active_element
        active.send_keys(Keys.TAB)
        assert chromium.switch_to.active_element.text == "Skip to the sites"

    def test_08_hostile_certificate(self, chromium, httpd):
        """Names in certificates, and parameters, are text."""
        evil = "<img src=x onerror=document.title='owned'>"
        issued = httpd.authority.server("a.test", f"{evil}.test").write(httpd.root, "evil")
        httpd.log.allow("not ASCII|names|warn")
        httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, httpd.vhost("a.test", cert=issued))
        open_page(chromium, httpd, "?filter=a&sort=%22onfocus=alert(1)")
        assert evil in chromium.find_element(By.ID, "sites").text
        open_page(chromium, httpd, "?filter=%22autofocus%20onfocus=%22document.title=%27owned%27")
        assert chromium.find_element(By.ID, "filter").get_attribute("value").startswith('"autofocus')
        assert chromium.title == "TLS status" and not chromium.find_elements(By.TAG_NAME, "img")

    def test_09_many_sites(self, chromium, httpd):
        cert = httpd.authority.server("*.many.test").write(httpd.root, "all")
        hosts = [httpd.vhost(f"h{number:04}.many.test", cert=cert) for number in range(120)]
        httpd.start(f"TLSEngine {httpd.port}", status.LOCATIONS, *hosts)
        open_page(chromium, httpd, "?sort=name")
        assert "Page 1 of 3" in chromium.find_element(By.ID, "sites").text
        chromium.find_element(By.LINK_TEXT, "Last").click()
        wait_for(lambda: names(chromium)[:1] == ["h0100.many.test"], "the last page")
        assert len(names(chromium)) == 20

    def test_10_labels_of_the_chart(self, chromium, server):
        """There is room between them."""
        open_page(chromium, server)
        boxes = chromium.execute_script(
            "return [...document.querySelectorAll('svg.columns text')].map(text => {"
            " const box = text.getBoundingClientRect(); return [text.textContent, box.left, box.right] })"
        )
        assert [box[0] for box in boxes][-8:-4] == ["100 ms", "250 ms", "500 ms", "1 s"]
        gaps = [after[1] - before[2] for before, after in zip(boxes, boxes[1:])]
        assert min(gaps) > 3, gaps


def contrast(one, other):
    """The contrast ratio of two colours (WCAG 2)."""

    def luminance(colour):
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.skipif(not os.environ.get("MOD_TLS_WRITE_DOCS"), reason="MOD_TLS_WRITE_DOCS is not set")
def test_pictures(chromium, server):
    """Makes the pictures."""
    for _ in range(30):
        curl(server, "www.example.org")
        curl(server, "shop.example.org", "/", "--tls-max", "1.2")
    PICTURES.mkdir(exist_ok=True)
    open_page(chromium, server)
    # The last part of the page names files of this machine.
    for scheme, last in [("light", "revocation"), ("dark", "sites")]:
        browser.emulate(chromium, scheme)
        end = chromium.execute_script(f"return document.getElementById('{last}').getBoundingClientRect().bottom")
        clip = {"x": 0, "y": 0, "width": 1280, "height": end + 10, "scale": 0.75}
        taken = chromium.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
        PICTURES.joinpath(f"status-{scheme}.png").write_bytes(base64.b64decode(taken["data"]))
