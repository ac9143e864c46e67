"""A page of the relay in headless Chromium, and the relay that serves it.

Conditions are waited for by a MutationObserver in the page, not by asking again and again.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketStream, TaskStatus
from anyio.from_thread import BlockingPortal

from sse_core import serve
from sse_openai import Endpoint
from sse_openai.relay import Relay

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

WAIT = 20
"""Seconds after which a test has failed that waits for the page."""

ARGUMENTS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --no-proxy-server"
    " --disable-background-networking --disable-component-update --disable-sync"
    " --disable-dev-shm-usage"
)

# Calls back with what the expression says, as soon as this is true.
_UNTIL = """
const [source, given, done] = arguments;
const holds = new Function("given", `return (${source})`);
const events = ["focusin", "toggle"];
const look = () => {
  const found = holds(given);
  if (!found) return;
  observer.disconnect();
  for (const name of events) removeEventListener(name, look, true);
  done(found);
};
const observer = new MutationObserver(look);
for (const name of events) addEventListener(name, look, true);
const all = { subtree: true, childList: true, characterData: true, attributes: true };
observer.observe(document, all);
look();
"""


def missing() -> str | None:
    """Return why there is no browser to test with, or None."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not importlib.util.find_spec("selenium"):
        return "selenium is not installed"
    return None


def start(profile: Path) -> Chrome:
    """Start a browser with an empty profile."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ARGUMENTS.split():
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--window-size=1440,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(WAIT)
    driver.set_page_load_timeout(WAIT)
    return driver


class Page:
    """The relay's page, as one who sits before it meets it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Load the page; the relay's models are there when this returns."""
        self.driver.get(url)
        self.until("!document.getElementById('model').hidden")

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a function's body returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def until(self, expression: str, given: Any = None) -> Any:
        """Wait until a JavaScript expression is true; ``given`` is known to it."""
        from selenium.common.exceptions import TimeoutException

        try:
            return self.driver.execute_async_script(_UNTIL, expression, given)
        except TimeoutException:
            text = self.run("return document.body.innerText")
            raise AssertionError(
                f"never true: {expression} of {given!r}; there is:\n{text}"
            ) from None

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Return the text of the last element that matches."""
        return str(self.run("return [...document.querySelectorAll(arguments[0])].at(-1)"
                            ".textContent", selector))  # fmt: skip

    def texts(self, selector: str) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        return list(self.run(script, selector))

    def until_text(self, selector: str, text: str) -> None:
        """Wait until the last element that matches has just this text."""
        condition = "[...document.querySelectorAll(given[0])].at(-1)?.textContent === given[1]"
        self.until(condition, [selector, text])

    def type(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier: str, key: str) -> None:
        """Press a key together with another."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def ask(self, prompt: str) -> None:
        """Paste a prompt, whatever its characters, and send it."""
        self.run("document.getElementById('prompt').value = arguments[0]", prompt)
        self.find("#send").click()

    def ended(self) -> None:
        """Wait until no answer runs."""
        self.until("document.querySelector('.turn') && !document.querySelector('.turn.running')")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the timeline, those out of sight as well."""
        return list(self.run("return recording.rows"))

    def complaints(self, *, but: tuple[str, ...] = ()) -> list[str]:
        """Return the warnings and errors of the browser since the last call."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")  # type: ignore[no-untyped-call, unused-ignore]
            if entry["level"] in ("WARNING", "SEVERE")
            and not any(text in entry["message"] for text in but)
        ]


class Site:
    """Relays that run beside the test."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._running: list[Future[Any]] = []

    def serve(self, app: Callable[..., Any]) -> str:
        """Serve an application; return its URL."""
        task, port = self._portal.start_task(_serve, app)
        self._running.append(task)
        return f"http://127.0.0.1:{port}"

    def relay(self, upstream: str, **options: Any) -> str:
        """Serve a relay to that server, with the model ``mock`` alone; return its URL."""
        endpoint = Endpoint(base_url=f"{upstream}/v1", api_key=options.pop("api_key", "sk-test"))
        return self.serve(Relay(endpoint, models=["mock"], **options))

    def wire(self, url: str) -> Wire:
        """Return a way to that URL which can be cut."""
        wire = Wire(int(url.rpartition(":")[2]))
        task, wire.port = self._portal.start_task(wire.run)
        self._running.append(task)
        wire.portal = self._portal
        return wire

    def stop(self) -> None:
        """End all that was started."""
        for task in self._running:
            task.cancel()
        self._running.clear()


async def _serve(app: Any, *, task_status: TaskStatus[int]) -> None:
    await serve(app, task_status=task_status)


class Wire:
    """Forwards connections to a port of this host, until they are cut."""

    port: int
    portal: BlockingPortal

    def __init__(self, to: int) -> None:
        self._to = to
        self._open: set[SocketStream] = set()
        self.refusals = 0
        """How many further connections to cut as soon as they are made."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def run(self, *, task_status: TaskStatus[int]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
        async with listener:
            await listener.serve(self._forward)

    def cut(self) -> None:
        """Break off every connection that is open."""
        self.portal.call(self._cut)

    async def _cut(self) -> None:
        for stream in list(self._open):
            await anyio.aclose_forcefully(stream)

    async def _forward(self, near: SocketStream) -> None:
        async with near:
            if self.refusals:
                self.refusals -= 1
                return
            async with await anyio.connect_tcp("127.0.0.1", self._to) as far:
                self._open.add(near)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_pump, near, far, tasks.cancel_scope)
                    tasks.start_soon(_pump, far, near, tasks.cancel_scope)
                self._open.discard(near)


async def _pump(source: SocketStream, target: SocketStream, done: anyio.CancelScope) -> None:
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        while True:
            await target.send(await source.receive())
    done.cancel()
