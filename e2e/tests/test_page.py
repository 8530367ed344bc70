"""The page for people, in a real browser: desktop and phone, light and dark."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from support.teleferry import TOKEN

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; CHROMIUM names one")

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def watched(start_proxy):
    return start_proxy(admin=True)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:
            yield browser


@pytest.fixture(params=SIZES.values(), ids=SIZES)
def size(request):
    return request.param


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_tells_how_it_is(browser, watched, size, scheme, tmp_path):
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(watched.http)
    page.wait_for_function("document.getElementById('verdict').textContent.startsWith('Online')")
    page.wait_for_selector("#chart path", state="attached")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off"

    page.fill("#token", "a wrong token of this length")
    page.click("form button")
    page.wait_for_selector("#wrong:not([hidden])")
    assert page.locator("#links figure").count() == 0
    # The browser tells of the refusal, which is what we want.
    assert all("401" in line for line in said), said

    page.fill("#token", TOKEN)
    page.click("form button")
    page.wait_for_selector("#links figure svg")
    assert page.locator("#links a").first.get_attribute("href").startswith("tg://proxy?")
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0, "the token is kept in memory only"
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    page.close()
