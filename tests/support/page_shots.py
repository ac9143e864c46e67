"""Pictures of the relay's page, to be looked at: in light and dark, on a phone, with errors.

    python -m tests.support.page_shots DIRECTORY

Needs what tests/sse_openai/relay/test_page.py needs. Nothing is compared.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from sse_openai.mock import MockOpenAI
from sse_openai.mock.turn import SCRIPT
from tests.support import browser
from tests.support.browser import Page, Site
from tests.support.pages import answer, finish, frame, refusal, url
from tests.support.scripted_server import ScriptedServer, chunked

QUESTION = "What are Server-Sent Events?"
REASONING = "They ask for the idea|, not for the API|: what problem it solves|, and how it looks."
CALL = ['{"ci', 'ty": "Ky', 'oto", "da', 'ys": 3}']


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.page_shots")
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile, start_blocking_portal() as portal:
        page, site = Page(browser.start(Path(profile))), Site(portal)
        try:
            _shoot(page, site, directory)
        finally:
            page.driver.quit()
            site.stop()


def _shoot(page: Page, site: Site, directory: Path) -> None:
    def shot(name: str, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        set_media(page, width, height, dark=dark)
        page.driver.save_screenshot(str(directory / f"{name}.png"))

    slow = site.serve(MockOpenAI(delay=0.04))
    set_media(page, 1440, 900)
    page.open(site.relay(slow))
    shot("empty")
    page.ask(QUESTION)
    page.until("recording.tokens.length > 60")
    shot("middle")
    shot("middle-dark", dark=True)
    page.ended()
    page.driver.find_elements("css selector", ".row:not([hidden])")[8].click()
    shot("whole")
    shot("whole-dark", dark=True)

    set_media(page, 390, 844)
    page.open(site.relay(slow))
    page.ask(QUESTION)
    page.until("recording.tokens.length > 50")
    shot("phone", width=390, height=844)
    page.find("[data-view=timeline]").click()
    page.driver.refresh()
    page.until("recording.tokens.length > 90")
    shot("phone-resumed-dark", width=390, height=844, dark=True)
    page.find("#open-settings").click()
    shot("phone-settings", width=390, height=844)

    set_media(page, 1440, 900)
    call = [{"index": 0, "function": {"name": "get_weather", "arguments": ""}}]
    parts = [frame(tool_calls=[{"index": 0, "function": {"arguments": part}}]) for part in CALL]
    scripts = [
        answer(*(frame(reasoning_content=part) for part in REASONING.split("|")), frame("Events.")),
        chunked([frame(tool_calls=call), *parts, finish("tool_calls")]),
        chunked([*map(frame, SCRIPT[:30]), b'data: {"error": {"message": "Overloaded."}}\n\n']),
        refusal(429, {"error": {"message": "Rate limit reached."}}, "Retry-After: 20"),
    ]
    with ScriptedServer(*scripts) as upstream:
        page.open(site.relay(url(upstream)))
        for prompt in (QUESTION, "And the weather in Kyoto?", "More!", "Once more!"):
            page.ask(prompt)
            page.ended()
    shot("errors")
    shot("errors-dark", dark=True)

    with ScriptedServer(answer(b"".join(frame(f" {n}") for n in range(20_000)))) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Count to 20,000!")
        page.ended()
    shot("long")


def set_media(page: Page, width: int, height: int, *, dark: bool = False) -> None:
    mobile = width < 500
    size = {"width": width, "height": height, "deviceScaleFactor": 1 + mobile, "mobile": mobile}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


if __name__ == "__main__":
    main()
