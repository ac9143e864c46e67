"""The relay's page in Chromium, in front of a real relay and its upstream.

Skipped where Chromium is missing, unless SSE_REQUIRE_SERVERS is set.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from sse_openai import Endpoint, read_chat
from sse_openai.mock import MockOpenAI, Recording
from sse_openai.mock.turn import SCRIPT
from sse_openai.relay import Relay
from tests.support import browser
from tests.support.browser import Page, Site
from tests.support.pages import DONE, answer, data, finish, frame, gated, refusal, url
from tests.support.scripted_server import Script, ScriptedServer, chunked

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

DATA = Path(__file__).parents[2] / "data"

ENTER, ESCAPE, TAB, SHIFT, DOWN, UP, HOME, END = (
    "\ue007", "\ue00c", "\ue004", "\ue008", "\ue015", "\ue013", "\ue011", "\ue010"
)  # fmt: skip
"""Keys, as WebDriver numbers them."""

NETWORK = "Failed to load resource"
"""What the browser complains of on its own where a response is an error, or is cut off."""


HOSTILE = (
    "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'</script>"
    "</textarea><style>*{display:none}</style><a href=javascript:alert(1)>a</a>"
    "\x1b[2J\x1b]0;hit\x07 \u2028\u2029 \u202eevil\u202c \x7f \ufeff &lt; &amp;#60; {{7*7}}"
    " 𝕏 e\u0301"
)


def sent(script: Script) -> Any:
    """Return the body of the request that a script answered."""
    return json.loads(script.request.partition(b"\r\n\r\n")[2])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    if reason := browser.missing():
        if os.environ.get("SSE_REQUIRE_SERVERS"):
            pytest.fail(f"SSE_REQUIRE_SERVERS is set, but {reason}")
        pytest.skip(reason)
    driver = browser.start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver: Chrome) -> Iterator[Page]:
    """A page to open: each relay has a port of its own, so that nothing is stored for it yet."""
    page = Page(driver)
    yield page
    driver.get("about:blank")
    assert [] == page.complaints(but=(NETWORK,))


@pytest.fixture
def site(page: Page) -> Iterator[Site]:
    with start_blocking_portal() as portal:
        site = Site(portal)
        yield site
        page.driver.get("about:blank")
        site.stop()


# ------------------------------------------------------------------------------- the reader

READ = """
return arguments[0].map(([chunks, lastEventId]) => {
  const reader = new FrameReader(lastEventId);
  const bytes = chunks.map((chunk) => Uint8Array.from(atob(chunk), (c) => c.charCodeAt(0)));
  const single = () => bytes.flatMap((each) => [...each].map((byte) => Uint8Array.of(byte)));
  const pieces = arguments[1] ? single() : bytes;
  const events = pieces.flatMap((piece) => reader.receive(piece))
    .filter((item) => item.kind === "event")
    .map(({ event, data, id }) => ({ event, data, id }));
  return { events, last: reader.lastEventId };
});
"""


@pytest.fixture
def reader(page: Page, site: Site) -> Page:
    page.open(site.relay("http://127.0.0.1:1"))
    return page


@pytest.mark.parametrize("bytewise", [False, True], ids=["as cut", "bytewise"])
def test_vectors(reader: Page, bytewise: bool) -> None:
    """The page's reader makes of the vectors what the parser makes of them."""
    vectors = json.loads((DATA / "vectors.json").read_text())

    streams = [[each["chunks_b64"], each.get("initial_last_event_id", "")] for each in vectors]
    found = reader.run(READ, streams, bytewise)

    assert 231 == len(found)
    assert [] == [
        vector["name"]
        for vector, got in zip(vectors, found, strict=True)
        if got != {"events": vector["events"], "last": vector["final_last_event_id"]}
    ]


def test_browser_corpus(reader: Page) -> None:
    """It finds the events that Chromium's own EventSource found in 3,000 nasty streams."""
    with gzip.open(DATA / "chromium_streams.jsonl.gz", "rt", encoding="utf-8") as lines:
        streams = [json.loads(line) for line in lines]

    found = reader.run(READ, [[stream["chunks_b64"], ""] for stream in streams], False)

    assert 3000 == len(found)
    assert [] == [
        number for number, (stream, got) in enumerate(zip(streams, found, strict=True))
        if stream["events"] != got["events"]
    ]  # fmt: skip


# --------------------------------------------------------------------------------- the chat


def test_conversation(page: Page, site: Site) -> None:
    """A prompt, the mock's answer, its figures; what is saved is a recording of the stream."""
    page.open(site.relay(site.serve(MockOpenAI())))
    page.find("#prompt").click()
    page.type("Hello?", ENTER)
    page.ended()

    text = "".join(SCRIPT)
    assert ("Hello?", text, text) == tuple(map(page.text, (".prompt", ".answer", "#extracted")))
    assert f"stop · 2 tokens in, {len(SCRIPT)} out" == page.text(".meta")
    assert "Complete" == page.text("#status")
    assert text in page.text("#spoken")
    recording = Recording.from_bytes(page.run("return recording.text()").encode())
    chat = read_chat([recording.body])
    assert len(SCRIPT) + 4 == page.run("return recording.frames") == len(list(chat)) + 1
    assert text == chat.completion.choices[0].message.content
    assert str(len(SCRIPT)) == page.text("#tokens")
    assert page.text("#first").endswith(" ms")


def test_answer_appears_as_it_comes(page: Page, site: Site) -> None:
    """Each token is there before the next is sent, and so is its row in the timeline."""
    gates = [threading.Event() for _ in range(3)]
    script = gated(
        frame("One"), gates[0], frame(", two"), gates[1], frame(", three"), gates[2], finish(), DONE
    )
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Count!")
        for number, text in enumerate(["One", "One, two", "One, two, three"], 1):
            page.until_text(".answer", text)
            page.until_text("#count", f"{number} frame{'s' * (number > 1)}")
            assert text == page.text("#extracted")
            assert ("Stop", "Answering") == (page.text("#send"), page.text("#status"))
            gates[number - 1].set()
        page.ended()

    assert "One, two, three" == page.text(".answer")
    assert "Send" == page.text("#send")
    assert ("≈ 3", "5") == (page.text("#tokens"), page.text("#frames"))
    assert page.text("#rate") != "–"
    assert str(page.find("#plot .rate").get_attribute("d")).startswith("M")


def test_mounted_below_a_path(page: Page, site: Site) -> None:
    """The page asks the relay that it came from, wherever that is."""
    with ScriptedServer(answer(frame("Here."))) as upstream:
        relay = Relay(Endpoint(base_url=url(upstream), api_key="sk-test"), models=["mock"])

        async def mounted(scope: Any, receive: Any, send: Any) -> None:
            await relay({**scope, "root_path": "/chat"}, receive, send)

        page.open(f"{site.serve(mounted)}/chat/")
        page.ask("Where?")
        page.ended()

    assert "Here." == page.text(".answer")


def test_next_turn_tells_the_ones_before(page: Page, site: Site) -> None:
    """The request has the conversation, the model, and the fields of the settings."""
    scripts = [answer(frame("Blue.")), answer(frame("Yes."))]
    with ScriptedServer(*scripts) as upstream:
        page.open(site.relay(url(upstream)))
        fields = {"temperature": 0, "messages": [{"role": "system", "content": "Be brief."}]}
        page.run("document.getElementById('fields').value = arguments[0]", json.dumps(fields))
        page.ask("What colour?")
        page.ended()
        page.ask("Sure?")
        page.until_text(".answer", "Yes.")
        page.ended()

    assert {
        "temperature": 0,
        "model": "mock",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What colour?"},
            {"role": "assistant", "content": "Blue."},
            {"role": "user", "content": "Sure?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    } == sent(scripts[1])
    assert ["What colour?", "Sure?"] == page.texts(".prompt")
    page.find("#new").click()
    page.until("!document.querySelector('.turn') && document.activeElement.id === 'prompt'")


def test_stop_cancels_the_upstream(page: Page, site: Site) -> None:
    """The upstream sees its connection closed; what came is kept, and called not whole."""
    script = gated(frame("Once upon"), end="hold")
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("A story!")
        page.until_text(".answer", "Once upon")
        assert not script.closed.is_set()
        page.find("#send").click()

        assert script.closed.wait(browser.WAIT)
        page.ended()

    assert "Once upon" == page.text(".answer")
    assert "stopped: the answer is not whole" == page.text(".meta")
    assert "Stopped" == page.text("#status")


def test_stop_before_the_first_token(page: Page, site: Site) -> None:
    """Also before there is a response, the upstream is let go."""
    script = Script([], "hold")
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Hello?")
        assert script.opened.wait(browser.WAIT)
        page.type(ESCAPE)

        assert script.closed.wait(browser.WAIT)
        page.ended()

    assert "Stopped" == page.text("#status")


def test_reload_in_the_middle(page: Page, site: Site) -> None:
    """The page comes back with the conversation, and the running answer becomes whole."""
    gate = threading.Event()
    scripts = [
        answer(frame("First.")),
        gated(
            b": hello\n\n", frame("Half", reasoning_content="Hm."), gate,
            frame(" and half"), finish(), DONE,
        ),
    ]  # fmt: skip
    with ScriptedServer(*scripts) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("One?")
        page.ended()
        page.ask("Two?")
        page.until_text(".answer", "Half")
        page.driver.refresh()
        page.until_text(".answer", "Half")
        assert not gate.is_set()
        gate.set()
        page.until_text("#status", "Complete")

    assert ["One?", "Two?"] == page.texts(".prompt")
    assert ["First.", "Half and half"] == page.texts(".answer")
    assert "Hm." == page.text(".reasoning .text")
    rows = page.rows()
    assert ["resumed", "comment", "message", "message", "message", "message", "end"] == [
        row["type"] for row in rows
    ]
    assert [1, 2, 3, 4, 5] == [row["number"] for row in rows[1:-1]]
    assert all(row["resumed"] for row in rows[1:-1])
    assert "\u21bb" in page.run(
        "return getComputedStyle(document.querySelector('.row.resumed > span'), '::before').content"
    )


def test_event_source_of_the_browser(page: Page, site: Site) -> None:
    """It reads a stream by its ID, and goes on behind the last frame when it reconnects."""
    gate = threading.Event()
    script = gated(frame("a"), b": hello\n\n", frame("b"), gate, frame("c"), finish(), DONE)
    with ScriptedServer(script) as upstream:
        wire = site.wire(site.relay(url(upstream)))
        page.open(wire.url)
        page.run(
            """
            const body = JSON.stringify({model: "mock", stream: true, messages: []});
            const headers = {"Content-Type": "application/json", "X-Stream-Keep": "60"};
            window.seen = [];
            fetch("/v1/chat/completions", {method: "POST", headers, body}).then((response) => {
              window.response = response;
              const source = new EventSource("/v1/streams/" + response.headers.get("X-Stream-Id"));
              source.onmessage = ({data, lastEventId}) => {
                seen.push([lastEventId, data]);
                document.body.dataset.seen = seen.length;
                if (data === "[DONE]") source.close();
              };
            });
            """
        )
        page.until("seen.length === 2")
        wire.cut()
        gate.set()
        page.until("seen.length === 5")
        seen = page.run("return seen")

    assert ["1", "3", "4", "5", "6"] == [number for number, _ in seen]
    assert "[DONE]" == seen[-1][1]


def test_reload_after_the_end(page: Page, site: Site) -> None:
    """A conversation that is over stays, and asks nothing of the relay."""
    with ScriptedServer(answer(frame("Done."))) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("One?")
        page.ended()
        page.driver.refresh()
        page.until_text(".answer", "Done.")

    assert [] == page.rows()
    assert "Send" == page.text("#send")


def test_reload_when_the_relay_has_forgotten(page: Page, site: Site) -> None:
    """What had come is kept, and it is said that this is not all."""
    with ScriptedServer(gated(frame("Half"), end="hold")) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Two?")
        page.until_text(".answer", "Half")
        page.run("turns.at(-1).id = 'unknown'")
        page.driver.refresh()
        page.ended()

    assert "Half" == page.text(".answer")
    assert (
        "The answer is not whole. What came of it is kept."
        "The relay does not keep the rest of it any more.Try again"
    ) == page.text(".problem")


def test_lost_connection(page: Page, site: Site) -> None:
    """The page goes on behind the last frame by itself, once the relay can be reached again."""
    gate = threading.Event()
    script = gated(frame("One"), frame(", two"), gate, frame(", three"), finish(), DONE)
    with ScriptedServer(script) as upstream:
        wire = site.wire(site.relay(url(upstream)))
        page.open(wire.url)
        page.run("Exchange.pause = () => 0")
        page.ask("Count!")
        page.until_text(".answer", "One, two")
        wire.refusals = 2
        wire.cut()
        page.until("recording.rows.some((row) => row.type === 'resumed')")
        gate.set()
        page.ended()

    assert "One, two, three" == page.text(".answer")
    assert "Complete" == page.text("#status")
    numbers = [row["number"] for row in page.rows() if row.get("number")]
    assert [1, 2, 3, 4, 5] == numbers
    assert 0 == wire.refusals


def test_connection_lost_for_good(page: Page, site: Site) -> None:
    """Attempts are bounded, and it ends in words."""
    with ScriptedServer(gated(frame("One"), end="hold")) as upstream:
        wire = site.wire(site.relay(url(upstream)))
        page.open(wire.url)
        page.run("Exchange.pause = () => 0")
        page.run(
            "const status = document.getElementById('status'); window.heard = [];"
            "new MutationObserver(() => heard.push(status.textContent))"
            ".observe(status, { childList: true })"
        )
        page.ask("Count!")
        page.until_text(".answer", "One")
        wire.refusals = 1000
        wire.cut()
        page.ended()

    assert "One" == page.text(".answer")
    assert "The relay could not be reached again." == page.text(".problem .text")
    attempts = [told for told in page.run("return heard") if told.startswith("Connection lost")]
    assert [f"Connection lost. Resuming, attempt {n} of 6" for n in range(1, 7)] == attempts


def test_upstream_breaks_off(page: Page, site: Site) -> None:
    """What came is kept, and it is said that it is not whole."""
    gate = threading.Event()
    script = gated(frame("Half"), gate, b'data: {"choi', last_chunk=False)
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.until_text(".answer", "Half")
        gate.set()
        page.ended()

    assert "Half" == page.text(".answer")
    assert ["request", "response", "message", "response", "end"] == [
        row["type"] for row in page.rows()
    ]
    assert "The answer is not whole. What came of it is kept." == page.text(".problem b")
    assert "The API's answer was cut off." == page.text(".problem .text")


def test_end_without_done(page: Page, site: Site) -> None:
    """A stream that just ends is not whole either, but with a finish reason it is."""
    scripts = [chunked([frame("Half")]), chunked([frame("Whole"), finish()])]
    with ScriptedServer(*scripts) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.ended()
        assert "The answer is not whole" in page.text(".problem b")
        page.ask("Go on!")
        page.until_text("#status", "Complete")

    assert "Whole" == page.text(".answer")


# ------------------------------------------------------------------------------------ words

SLOW_DOWN = {
    "error": {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}
}
REFUSALS = [
    (refusal(401, {"error": {"message": "Incorrect API key provided."}}),
     "The key or token was not accepted (401).", "Incorrect API key provided."),
    (refusal(403, {"error": {"message": "Country not supported."}}),
     "This is not allowed (403).", "Country not supported."),
    (refusal(404, {"error": {"message": "No such model."}}),
     "The model or the address is unknown (404).", "No such model."),
    (refusal(413, {"error": "Too much."}),
     "The conversation is too long to be sent (413).", "Too much."),
    (refusal(429, SLOW_DOWN, "Retry-After: 90"),
     "Too many requests (429). Try again in 90 s.", "Rate limit reached."),
    (refusal(429, SLOW_DOWN), "Too many requests (429).", "Rate limit reached."),
    (refusal(500, b"<html><b>Oops</b></html>"), "The model's server failed (500).", ""),
    (refusal(503, {"error": {"message": "Overloaded."}}, "Retry-After: 600"),
     "The model's server is overloaded or down (503). Try again in 10 minutes.", "Overloaded."),
    (refusal(418, {"teapot": True}), "The request was not accepted (418).", '{"teapot": true}'),
    (refusal(200, {"choices": []}), "The answer is no event stream (200).", '{"choices": []}'),
    (Script([], "close"),
     "The relay got no answer from the model's server (502).", "The API could not be reached."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "title", "detail"), REFUSALS, ids=[title for _, title, _ in REFUSALS]
)
def test_refusal(page: Page, site: Site, script: Script, title: str, detail: str) -> None:
    """Each status is told in words, with what the API says of it, and the wait it asks for."""
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Hello?")
        page.ended()

    assert (title, detail) == (page.text(".problem b"), page.text(".problem .text"))
    assert title in page.text("#spoken")
    again = page.find(".problem button")
    assert ("Try again in" not in title) == again.is_enabled()
    if "90 s" in title:
        assert "Try again in 9" in again.text or "Try again in 8" in again.text


def test_try_again(page: Page, site: Site) -> None:
    """The same prompt in a new request; the failure is gone."""
    scripts = [refusal(500, {"error": {"message": "Oops."}}), answer(frame("Fine."))]
    with ScriptedServer(*scripts) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Hello?")
        page.ended()
        page.find(".problem button").click()
        page.until_text(".answer", "Fine.")
        page.ended()

    assert ["Hello?"] == page.texts(".prompt")
    assert [] == page.texts(".problem")
    assert [{"role": "user", "content": "Hello?"}] == sent(scripts[1])["messages"]


def test_error_in_the_stream(page: Page, site: Site) -> None:
    """What came before it is kept."""
    error = data({"error": {"message": "The server had an error."}})
    script = gated(frame("Half"), error, end="hold")
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.ended()

    assert "Half" == page.text(".answer")
    assert (
        "The answer broke off with an error. What came before it is kept.",
        "The server had an error.",
    ) == (page.text(".problem b"), page.text(".problem .text"))
    assert page.run("return document.querySelectorAll('.row.fault').length") == 2


def test_relay_unreachable(page: Page, site: Site) -> None:
    """Also this is told in words."""
    page.open(site.relay("http://127.0.0.1:1"))
    site.stop()
    page.ask("Hello?")
    page.ended()

    assert "The relay cannot be reached." == page.text(".problem b")


def test_token(page: Page, site: Site) -> None:
    """A relay that wants a token says so; it is kept for this tab, and nowhere else."""
    with ScriptedServer(answer(frame("Fine.")), answer(frame("Still."))) as upstream:
        page.driver.get(site.relay(url(upstream), tokens=["s3cret"]))
        page.until_text("#status", "This relay asks for a token: see Settings")
        page.run("document.getElementById('model-name').value = 'mock'")
        page.ask("Hello?")
        page.ended()
        assert "The key or token was not accepted (401)." == page.text(".problem b")
        page.find(".problem button:nth-of-type(2)").click()
        page.until("document.activeElement.id === 'token'")
        page.type("s3cret", TAB)
        page.until("!document.getElementById('model').hidden")
        page.type(ESCAPE)
        page.until("!document.querySelector('#settings:popover-open')")
        page.find(".problem button").click()
        page.until_text(".answer", "Fine.")
        page.ended()
        page.driver.refresh()
        page.until("!document.getElementById('model').hidden")
        page.ask("Again?")
        page.until_text(".answer", "Still.")
        page.ended()

    assert "password" == page.find("#token").get_attribute("type")
    kept = page.run(
        "return [JSON.stringify(localStorage), document.cookie, sessionStorage['sse-relay']]"
    )
    assert ["{}", ""] == kept[:2]
    assert "s3cret" not in kept[2] + page.run("return JSON.stringify(recording.rows)")


def test_fields_that_are_no_object(page: Page, site: Site) -> None:
    """Nothing is sent, and the settings say why."""
    page.open(site.relay("http://127.0.0.1:1"))
    page.run("document.getElementById('fields').value = '[1'")
    page.ask("Hello?")
    page.until("document.activeElement.id === 'fields'")

    assert "This is not a JSON object." == page.text("#fields-wrong")
    assert [] == page.texts(".turn")
    assert "Hello?" == page.find("#prompt").get_attribute("value")


# ------------------------------------------------------------------------- text, not markup


def test_markup_is_text(page: Page, site: Site) -> None:
    """Whatever stands in a prompt, an answer, a comment, a name or an error is only text."""
    hostile = HOSTILE.encode()
    script = gated(
        b": " + hostile + b"\n\n",
        b"event: " + hostile + b"\ndata: 1\n\n",
        frame(HOSTILE, reasoning_content=HOSTILE, refusal=HOSTILE),
        frame(tool_calls=[{"index": 0, "function": {"name": HOSTILE, "arguments": HOSTILE}}]),
        data({"choices": [], "usage": {"prompt_tokens": HOSTILE, "completion_tokens": HOSTILE}}),
        finish(HOSTILE),
        data({"error": {"message": HOSTILE}}),
    )
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        names = "return [...document.body.querySelectorAll('*')].map((e) => e.localName)"
        before = page.run(names)
        page.ask(HOSTILE)
        page.ended()
        for _ in page.rows():
            page.find("#rows").send_keys(DOWN)

    assert {HOSTILE} == {
        page.text(part)
        for part in (".prompt", ".answer", ".refusal", ".reasoning .text", ".call b", ".call pre",
                     ".problem .text", "#extracted")
    }  # fmt: skip
    assert HOSTILE == sent(script)["messages"][0]["content"]
    made = set(page.run(names)) - set(before)
    assert made <= {"article", "h2", "details", "summary", "b", "pre", "div", "span", "button"}
    assert "Relay" == page.driver.title
    assert page.find("#prompt").is_displayed()


def test_policy_stops_what_is_injected(page: Page, site: Site) -> None:
    """Were markup injected after all, its script would not run; the page itself needs no more."""
    page.open(site.relay("http://127.0.0.1:1"))
    assert [] == page.complaints()
    page.run(
        "const script = document.createElement('script'); script.textContent = 'window.hit = 1';"
        "document.body.append(script);"
        "document.body.insertAdjacentHTML('beforeend',"
        '  \'<p onclick="window.hit = 2" style="color: red">\')'
    )
    page.run("document.body.lastElementChild.click()")

    assert page.run("return window.hit") is None
    assert 3 == sum("Content Security Policy" in text for text in page.complaints())


def test_reasoning_calls_and_refusals(page: Page, site: Site) -> None:
    """Each is shown apart: calls with their arguments put together, several at a time."""
    calls = [
        [{"index": 0, "id": "a", "function": {"name": "get_time", "arguments": ""}}],
        [{"index": 1, "id": "b", "function": {"name": "get_weather", "arguments": '{"ci'}}],
        [
            {"index": 0, "function": {"arguments": "{}"}},
            {"index": 1, "function": {"arguments": 'ty":1}'}},
        ],
    ]
    pieces = [
        frame(reasoning_content="Hm"),
        frame(reasoning=", well."),
        frame(refusal="I "),
        frame(refusal="won't."),
    ]
    script = chunked(
        [*pieces, *(frame(tool_calls=each) for each in calls), finish("tool_calls"), DONE]
    )
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Weather?")
        page.ended()

    assert "Hm, well." == page.text(".reasoning .text")
    assert "I won't." == page.text(".refusal")
    assert ["get_time", "get_weather"] == page.texts(".call b")
    assert ["{}", '{"city":1}'] == page.texts(".call pre")
    assert "tool_calls" == page.text(".meta")
    assert [] == page.texts(".answer")


# ----------------------------------------------------------------------------- the timeline


def test_timeline(page: Page, site: Site) -> None:
    """Frames as they came, with comments, names and any line end; also what is no chunk."""
    body = (
        b"\xef\xbb\xbf: ready\r\n\r\n" + frame("A").replace(b"\n", b"\r")
        + b"event: ping\ndata: {}\ndata\n\nretry: 7\n\n: in\ndata: no JSON\n\n" + frame("B")
    )  # fmt: skip
    script = chunked([bytes([byte]) for byte in body] + [finish(), DONE])
    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.ended()

    rows = page.rows()
    assert [
        ("request", None, "POST /v1/chat/completions"),
        ("response", None, "200 text/event-stream"),
        ("comment", 1, "ready"),
        ("message", 2, frame("A").decode()[6:-2]),
        ("ping", 3, "{}\n"),
        ("fields", 4, "retry: 7"),
        ("comment", None, "in"),
        ("message", 5, "no JSON"),
        ("message", 6, frame("B").decode()[6:-2]),
        ("message", 7, finish().decode()[6:-2]),
        ("message", 8, "[DONE]"),
        ("end", None, "whole"),
    ] == [(row["type"], row.get("number"), row["text"]) for row in rows]
    times = [row["at"] for row in rows]
    assert times == sorted(times)
    assert "8 frames, 2 comments" == page.text("#count")
    assert "AB" == page.text(".answer")
    saved = page.run("return recording.text()").encode()
    assert [b"".join(piece for _, piece in Recording.from_bytes(saved).pieces)] == [
        body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        + finish()
        + DONE
    ]


def test_keep_alive_is_seen_when_it_comes(page: Page, site: Site) -> None:
    """A comment shows before the frame behind it; the relay's own are not counted as frames."""
    gate = threading.Event()
    with ScriptedServer(gated(frame("A"), gate, finish(), DONE)) as upstream:
        page.open(site.relay(url(upstream), keep_alive=0.05))
        page.ask("Go!")
        page.until("recording.comments > 1")
        gate.set()
        page.ended()

    assert 3 == page.run("return recording.frames")
    assert {"keep-alive"} == {row["text"] for row in page.rows() if row["kind"] == "comment"}


def test_copy_and_save(page: Page, site: Site, tmp_path: Path) -> None:
    """Both give the recording."""
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.driver.execute_cdp_cmd("Browser.grantPermissions", permissions)
    with ScriptedServer(answer(frame("A"), b": b\n\n")) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.ended()
    assert ["", "", "1", "2", "3", "4", ""] == page.texts(".row:not([hidden]) > :first-child")
    text = page.run("return recording.text()")
    page.find("#copy").click()
    page.until_text("#status", "Copied")
    copied = page.driver.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    )
    page.run(
        "const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => {"
        "  blob.text().then((text) => { document.body.dataset.saved = text; });"
        "  return make.call(URL, blob);"
        "}"
    )
    page.find("#save").click()

    assert text == copied
    assert text == page.until("document.body.dataset.saved")


def test_field(page: Page, site: Site) -> None:
    """Any field can be picked; what is no path is said to be none."""
    with ScriptedServer(answer(frame("A"), frame("B", audio={"x-y": [1, {"z": "!"}]}))) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.ended()
    wrong = "This is no path. One that is: choices[0].delta.content"
    expected = {
        "choices[0].delta.content": "AB",
        '["choices"][0]["delta"].content': "AB",
        "choices[0].finish_reason": "stop",
        "choices[0].delta.audio.x-y[1].z": "!",
        "choices[0].index": "0\n0\n0\n",
        "choices[0].delta.toString": "",
        "choices[9]": "",
        **dict.fromkeys(["", ".", "a..b", "choices[0", "choices[x]", "a[0]b"], wrong),
    }
    found = {}
    for path in expected:
        page.run(
            "const path = document.getElementById('path'); path.value = arguments[0];"
            "path.dispatchEvent(new Event('input'))",
            path,
        )
        found[path] = page.text("#extracted")

    assert expected == found
    assert "true" == page.find("#path").get_attribute("aria-invalid")


def test_twenty_thousand_frames(page: Page, site: Site) -> None:
    """All are there, a few dozen as elements; both ends are a key away."""
    count = 20_000
    pieces = [
        b"".join(frame(f" {n}") for n in range(start, start + 500))
        for start in range(0, count, 500)
    ]
    with ScriptedServer(answer(*pieces)) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Count!")
        page.ended()
    assert count + 2 == page.run("return recording.frames")
    assert page.text(".answer").endswith(" 19999")
    page.find("#rows").send_keys(HOME)
    page.until("document.getElementById('detail-title').textContent.startsWith('request')")
    page.find("#rows").send_keys(END, UP)

    assert page.text("#detail-title").startswith("Frame 20\u202f002 · message")
    assert "data: [DONE]" == page.text("#detail-text")
    active = page.find("#rows").get_attribute("aria-activedescendant")
    assert page.run("return document.querySelectorAll('.row').length") < 100
    assert "20004" == page.find(f"#{active}").get_attribute("aria-posinset")


def test_oldest_rows_go(page: Page, site: Site) -> None:
    """The timeline is bounded: the oldest rows go, and the page says how many."""
    pieces = [frame(f" {n}") for n in range(100)]
    with ScriptedServer(answer(b"".join(pieces))) as upstream:
        page.open(site.relay(url(upstream)))
        page.run("Recording.LIMIT = 60; Recording.STEP = 30;")
        page.ask("Count!")
        page.ended()

    rows = page.rows()
    assert 105 - page.run("return recording.dropped") == len(rows) <= 60
    assert "the first 60 rows are gone" in page.text("#count")
    assert "".join(f" {n}" for n in range(100)) == page.text(".answer")
    assert page.text("#extracted").endswith(" 98 99")


# ----------------------------------------------------------------------------- for everyone


def test_keyboard_only(page: Page, site: Site) -> None:
    """From the prompt through a stopped answer into the timeline, the focus always in sight."""
    script = gated(frame("Once upon"), end="hold")

    def focus() -> str:
        seen = page.run(
            "const e = document.activeElement, { outlineStyle } = getComputedStyle(e);"
            # Of the prompt, the border of the box around it tells.
            "const seen = outlineStyle !== 'none' || e.id === 'prompt';"
            "return [e.id, seen && e.matches(':focus-visible')]"
        )
        assert seen[1], seen
        return str(seen[0])

    with ScriptedServer(script) as upstream:
        page.open(site.relay(url(upstream)))
        assert "prompt" == focus()
        page.type("One")
        page.chord(SHIFT, ENTER)
        page.type("two")
        page.run(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
            " { key: 'Enter', isComposing: true, bubbles: true, cancelable: true }))"
        )
        assert [] == page.texts(".turn")
        page.type(ENTER)
        page.until_text(".answer", "Once upon")
        assert "One\ntwo" == page.text(".prompt")
        page.type("more", ENTER)  # while it runs, a prompt waits
        assert ["One\ntwo"] == page.texts(".prompt")
        assert "prompt" == focus()
        page.type(ESCAPE)
        assert script.closed.wait(browser.WAIT)
        page.until_text("#status", "Stopped")
    order = []
    for _ in range(7):
        page.type(TAB)
        order.append(focus())
    page.type(DOWN, DOWN)
    page.until("!document.getElementById('detail').hidden")
    for _ in range(2):
        page.type(TAB)
        order.append(focus())

    assert order == [
        "model", "send", "path", "extracted", "copy", "save", "rows", "close-detail", "detail-text"
    ]  # fmt: skip


def test_rows_by_keyboard(page: Page, site: Site) -> None:
    """Arrows walk through the timeline, the row they are at is told and shown."""
    with ScriptedServer(answer(frame("A"), frame("B"))) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.ended()
    page.find("#rows").send_keys(DOWN, DOWN, DOWN, DOWN)

    assert page.text("#detail-title").startswith("Frame 2 · message · ")
    assert page.text("#detail-text").startswith(frame("B").decode().strip() + "\n\n{\n")
    [selected] = page.driver.find_elements("css selector", ".row[aria-selected=true]")
    assert selected.get_attribute("id") == page.find("#rows").get_attribute("aria-activedescendant")
    page.find("#close-detail").click()
    page.until("document.getElementById('detail').hidden && document.activeElement.id === 'rows'")


LOOK = """
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const probe = document.createElement("i");
document.body.append(probe);
const value = (name) => {
  probe.style.color = `var(--${name})`;
  return luminance(getComputedStyle(probe).color);
};
const grounds = { panel: "ink soft faint accent good bad warn violet", ground: "ink soft faint",
  sunk: "ink soft violet", tint: "ink soft", accent: "on-accent", "bad-tint": "bad soft" };
const pairs = Object.entries(grounds)
  .flatMap(([ground, inks]) => inks.split(" ").map((ink) => [ink, ground]));
const weak = pairs.map(([ink, ground]) => {
  const [low, high] = [value(ink), value(ground)].sort((a, b) => a - b);
  return [ink, ground, (high + 0.05) / (low + 0.05)];
}).filter(([, , contrast]) => contrast < 4.5);
const dark = value("panel") < value("ink");
probe.remove();
return { weak, dark, width: document.scrollingElement.scrollWidth - innerWidth };
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1440])
def test_look(page: Page, site: Site, scheme: str, width: int) -> None:
    """Colours follow the system and have contrast; nothing is wider than the screen."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        with ScriptedServer(answer(frame("word " * 100 + "x" * 500))) as upstream:
            page.open(site.relay(url(upstream)))
            page.ask("y" * 300)
            page.ended()
        chat = page.run(LOOK)
        views = [page.find(f"#{each}").is_displayed() for each in ("chat", "inspector")]
        if width < 500:
            assert [True, False] == views
            page.find("[data-view=timeline]").click()
            assert not page.find("#chat").is_displayed()
        else:
            assert [True, True] == views
        timeline = page.run(LOOK)
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    assert {"weak": [], "dark": scheme == "dark", "width": 0} == chat == timeline


def test_still_where_motion_is_not_wanted(page: Page, site: Site) -> None:
    """Nothing blinks for those who asked for less motion."""
    media = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    with ScriptedServer(gated(frame("A"), end="hold")) as upstream:
        page.open(site.relay(url(upstream)))
        page.ask("Go!")
        page.until_text(".answer", "A")
        moving = page.run("return document.getAnimations().length")
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        still = page.run("return document.getAnimations().length")
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        page.find("#send").click()
        page.ended()

    assert (1, 0) == (moving, still)
