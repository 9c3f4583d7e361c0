"""Take the README's picture: one view of a page that `neurowidget demo` wrote, in headless Chromium.

python scripts/take_screenshot.py demo.html docs/images/explorer.png --view 1 [--dark] [--width 1280]
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--view", type=int, default=0, help="which view of the page, from 0")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    browser_path = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(
            viewport={"width": options.width, "height": 1000},
            color_scheme="dark" if options.dark else "light",
            device_scale_factor=1.25,
        )
        page.goto(options.page.resolve().as_uri())
        page.locator("html[data-nw-ready]").wait_for(state="attached")
        view = page.locator("[data-nw-view]").nth(options.view)
        view.scroll_into_view_if_needed()
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        view.screenshot(path=options.picture)
        browser.close()


if __name__ == "__main__":
    main()
