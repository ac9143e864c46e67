"""Scripts of the mock: what they say, which request gets which answer, and what is no script."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from sse_openai.mock import MockOpenAI, MockServer, Recording, Script, ScriptError
from sse_openai.mock.turn import pace, split

ASK = [{"role": "user", "content": "What is the weather?"}]


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer() as served:
        yield served


def ask(server: MockServer, path: str = "chat/completions", **fields: Any) -> httpx.Response:
    body = {"model": "m", "messages": ASK, **fields}
    headers = {"authorization": f"Bearer {server.api_key}"}
    return httpx.post(f"{server.base_url}/{path}", json=body, headers=headers, trust_env=False)


def message(server: MockServer, **fields: Any) -> Any:
    return ask(server, **fields).json()["choices"][0]["message"]


def deltas(server: MockServer, **fields: Any) -> list[Any]:
    events = ask(server, stream=True, **fields).text.split("\n\n")[:-2]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


# What it says


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, big world.", ["Hello,", " big", " world."]),
        ("  a\n\nb  ", ["  a", "\n\nb", "  "]),
        ("文字を ok", ["文", "字", "を", " ok"]),
        ("", []),
    ],
)
def test_split(text: str, tokens: list[str]) -> None:
    """Words go with the space before them, other characters one by one; nothing is lost."""
    assert tokens == split(text)
    assert text == "".join(tokens)


def test_everything_a_chat_can_say(server: MockServer) -> None:
    """Reasoning, text, refusal and calls come in this order, token by token."""
    server.script(
        {
            "reasoning": ["Hm", "m."],
            "text": "Let me see.",
            "refusal": "No.",
            "calls": [
                {"name": "weather", "arguments": {"city": "東京"}, "id": "call_1"},
                {"name": "now"},
                {"name": "raw", "arguments": '{"half'},
                {"name": "cut", "arguments": ['{"a', '": 1}']},
                {"name": "nothing", "arguments": ""},
            ],
            "times": 2,
        }
    )

    found = deltas(server)
    one = message(server)

    assert {"role": "assistant", "content": ""} == found[0]
    assert [{"reasoning_content": "Hm"}, {"reasoning_content": "m."}] == found[1:3]
    assert [{"content": "Let"}, {"content": " me"}, {"content": " see."}] == found[3:6]
    assert {"refusal": "No."} == found[6]
    begun = {"index": 0, "id": "call_1", "type": "function"}
    assert {"tool_calls": [{**begun, "function": {"name": "weather", "arguments": ""}}]} == found[7]
    assert '{"city":"東京"}' == "".join(
        call["function"]["arguments"]
        for delta in found[8:]
        for call in delta.get("tool_calls", ())
        if call["index"] == 0
    )
    assert {"reasoning_content": "Hmm.", "content": "Let me see.", "refusal": "No."} == {
        key: one[key] for key in ("reasoning_content", "content", "refusal")
    }
    assert [
        ("weather", '{"city":"東京"}'),
        ("now", "{}"),
        ("raw", '{"half'),
        ("cut", '{"a": 1}'),
        ("nothing", ""),
    ] == [(call["function"]["name"], call["function"]["arguments"]) for call in one["tool_calls"]]


@pytest.mark.parametrize(
    ("answer", "content", "reason"),
    [
        ({"text": ""}, "", "stop"),
        ({"text": []}, "", "stop"),
        ({"text": "a", "finish_reason": "content_filter"}, "a", "content_filter"),
        ({"refusal": "no"}, None, "stop"),
        ({"calls": [{"name": "f"}]}, None, "tool_calls"),
        ({"calls": [{"name": "f"}], "finish_reason": "stop"}, None, "stop"),
        ({"reasoning": "a"}, "", "stop"),
    ],
    ids=str,
)
def test_ends(server: MockServer, answer: Any, content: str | None, reason: str) -> None:
    """There is content unless there is something in its place; the reason follows from that."""
    server.script(answer)

    found = ask(server, logprobs=True).json()["choices"][0]

    assert (content, reason) == (found["message"]["content"], found["finish_reason"])
    assert (content is None) == (found["logprobs"] is None)


def test_text_is_said_as_it_is_written(server: MockServer) -> None:
    """Neither limits of tokens nor stop strings shorten what a script says."""
    server.script({"text": "a b c"})

    assert "a b c" == message(server, max_tokens=1, stop="b")["content"]


def test_made_up_but_for_its_end(server: MockServer) -> None:
    """An answer that says nothing is made up; its end and its usage can be scripted still."""
    server.script({"finish_reason": "length", "usage": {"input_tokens": 3}})

    found = ask(server).json()

    assert found["choices"][0]["message"]["content"].startswith("Server-Sent Events")
    assert "length" == found["choices"][0]["finish_reason"]
    assert 3 == found["usage"]["prompt_tokens"]


def test_logprobs_are_of_the_text(server: MockServer) -> None:
    """Other tokens have none."""
    server.script({"reasoning": "Hm", "text": "a b"})

    found = ask(server, logprobs=True).json()["choices"][0]

    assert ["a", " b"] == [each["token"] for each in found["logprobs"]["content"]]


# Which request gets which answer


def test_in_order(server: MockServer) -> None:
    """Each answer is given once, or as often as it says; then there is none."""
    server.script({"text": "one"}, {"text": "two", "times": 2})
    server.script({"text": "three"})

    assert ["one", "two", "two", "three"] == [message(server)["content"] for _ in range(4)]
    exhausted = ask(server)
    assert (400, "script_exhausted") == (
        exhausted.status_code,
        exhausted.json()["error"]["code"],
    )


def test_without_end(server: MockServer) -> None:
    """``times: null`` is for ever."""
    server.script({"text": "one"}, {"text": "more", "times": None})

    assert ["one", "more", "more", "more"] == [message(server)["content"] for _ in range(4)]


def test_first_that_fits(server: MockServer) -> None:
    """``when`` looks at the path, the model and the user's last message."""
    server.script(
        {"when": {"model": "big-*"}, "text": "big", "times": None},
        {"when": {"user": "weather", "model": "small"}, "text": "sunny", "times": None},
        {"when": {"path": "/responses"}, "text": "response"},
        {"text": "first"},
        {"text": "rest", "times": None},
    )

    def said(model: str, *messages: tuple[str, str]) -> str:
        conversation = [{"role": role, "content": text} for role, text in messages]
        content: str = message(server, model=model, messages=conversation or ASK)["content"]
        return content

    assert "big" == said("big-1")
    assert "first" == said("middle")
    assert "sunny" == said("small")
    assert "rest" == said("small", ("system", "weather"), ("user", "hi"))
    assert "sunny" == said("small", ("user", "the weather"), ("assistant", "weather?"))
    assert "rest" == said("small", ("user", "weather"), ("user", "no"))
    assert "big" == said("big-2")
    response = ask(server, "responses", input="weather").json()
    assert "response" == response["output"][0]["content"][0]["text"]


def test_requests_without_a_body(server: MockServer) -> None:
    """They are answered by what names their path and says nothing; else as ever."""
    headers = {"authorization": f"Bearer {server.api_key}"}
    server.script(
        {"text": "a"},
        {"when": {"path": "/models"}, "text": "b"},
        {"when": {"path": "/models"}, "status": 503},
        {"when": {"path": "/models"}, "fault": {"content_type": "text/plain"}},
    )

    found = [
        httpx.get(f"{server.base_url}/models", headers=headers, trust_env=False) for _ in range(3)
    ]

    assert [503, 200, 200] == [response.status_code for response in found]
    assert ["text/plain", "application/json"] == [
        response.headers["content-type"] for response in found[1:]
    ]
    assert found[1].content == found[2].content


def test_other_paths_are_not_scripted(server: MockServer) -> None:
    """What is scripted for one path leaves the others as they are."""
    server.script({"when": {"path": "/responses*"}, "status": 503})

    assert message(server)["content"].startswith("Server-Sent Events")
    assert 503 == ask(server, "responses", input="a").status_code
    assert 400 == ask(server, "responses", input="a").status_code


def test_refused_requests_take_no_answer(server: MockServer) -> None:
    """A request that is none is told so, and the script waits for the next."""
    server.script({"text": "one"})

    assert 400 == ask(server, n=0).status_code
    assert "one" == message(server)["content"]


def test_replies(server: MockServer) -> None:
    """Any body, any status, any header."""
    server.script(
        {"status": 204, "body": ""},
        {"body": "data: x\n\n", "headers": {"X-One": "1", "X-Two": 2}},
        {"text": "hi", "headers": {"x-ratelimit-remaining-requests": "9"}},
    )

    empty, event, said = ask(server), ask(server), ask(server)

    assert 204 == empty.status_code
    assert "text/event-stream; charset=utf-8" == event.headers["content-type"]
    assert ("1", "2", "data: x\n\n") == (event.headers["x-one"], event.headers["x-two"], event.text)
    assert "9" == said.headers["x-ratelimit-remaining-requests"]


# When it says it


def pauses(answers: Any, **options: Any) -> list[float]:
    """Return the pauses before the pieces of an answer, without a network."""
    app = MockOpenAI(**options)
    if answers is not None:
        app.script(answers)
    headers = [(b"authorization", b"Bearer k")]
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    body = json.dumps({"model": "m", "messages": ASK, "stream": True}).encode()
    messages = [{"type": "http.request", "body": body}]
    found: list[float] = []

    async def receive() -> Any:
        if not messages:
            await anyio.Event().wait()  # the client stays
        return messages.pop()

    async def send(message: Any) -> None: ...

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anyio, "sleep", sleep)
        anyio.run(app, scope, receive, send)
    return found


def test_pauses() -> None:
    """Numbers among the tokens are pauses, null is one for ever; the last is before the end."""
    answer = {
        "reasoning": [1, "a", 2],
        "text": [0.5, "b", "c", None],
        "calls": [{"name": "f", "arguments": ["{", 3, "}", 4]}],
    }

    assert [0, 1, 2.5, 0, math.inf, 0, 3, 4, 0] == pauses(answer)


@pytest.mark.parametrize(
    ("options", "answer", "expected"),
    [
        ({"delay": 0.5}, {"text": "a b"}, [0, 0.5, 0.5, 0, 0]),
        ({"rate": 4}, {"text": ["a", 1, " b"]}, [0, 0.25, 1.25, 0, 0]),
        ({"rate": 4}, {"text": "a b", "rate": 2}, [0, 0.5, 0.5, 0, 0]),
        ({"rate": 4, "jitter": 1}, {"text": "a b", "jitter": 0}, [0, 0.25, 0.25, 0, 0]),
    ],
    ids=str,
)
def test_rate(options: Any, answer: Any, expected: list[float]) -> None:
    """The rate is that of the answer, else that of the mock."""
    assert expected == pauses(answer, **options)


def test_jitter() -> None:
    """Delays differ, within bounds, and are the same again for the same seed."""
    first, again, other = (pauses(None, rate=10, jitter=0.5, seed=seed)[1:-2] for seed in (1, 1, 2))

    assert first == again
    assert first != other
    assert 20 < len(set(first))
    assert all(0.05 <= pause <= 0.15 for pause in first)
    assert 0.08 < sum(first) / len(first) < 0.12


def test_jitter_of_an_answer() -> None:
    """An answer can be irregular on its own."""
    found = pauses({"text": "a b c", "rate": 10, "jitter": 0.5})[1:-2]

    assert 3 == len(set(found))


def test_pace_goes_on() -> None:
    """There is no end of it."""
    assert [0.1] * 1000 == list(itertools.islice(pace(0.1, 0, ""), 1000))


@pytest.mark.parametrize(
    "options",
    [{"rate": 0}, {"rate": -1}, {"rate": 1, "delay": 1}, {"delay": -1}, {"jitter": 1.1}],
    ids=str,
)
def test_numbers_out_of_range(options: Any) -> None:
    """A mistake in a number is told at once."""
    with pytest.raises(ValueError, match="expected"):
        MockOpenAI(**options)


# What is no script


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({}, ": expected a list, got an object"),
        ("a", ': expected a list, got "a"'),
        ([1], "[0]: expected an object, got 1"),
        ([{}, {"txt": "a"}], "[1]: unknown key 'txt'; did you mean 'text'? (known: when, times,"),
        ([{"zzz": 1}], "[0]: unknown key 'zzz' (known: "),
        ([{"text": 1}], "[0].text: expected a string, or a list of strings and pauses, got 1"),
        ([{"text": ["a", -1]}], "[0].text[1]: expected a number, at least 0, got -1"),
        ([{"text": [True]}], "[0].text[0]: expected a number, at least 0, got true"),
        ([{"text": [math.nan]}], "[0].text[0]: expected a number, at least 0, got nan"),
        ([{"calls": {}}], "[0].calls: expected a list, got an object"),
        ([{"calls": [{}]}], "[0].calls[0]: expected a 'name'"),
        ([{"calls": [{"name": None}]}], "[0].calls[0].name: expected a string, got null"),
        (
            [{"calls": [{"name": "a", "arguments": 1}]}],
            "[0].calls[0].arguments: expected a string, or a list",
        ),
        (
            [{"calls": [{"name": "a", "arguments": {"a": object}}]}],
            "[0].calls[0].arguments: cannot be written as JSON: ",
        ),
        ([{"times": 0}], "[0].times: expected a whole number, at least 1, got 0"),
        ([{"times": 1.0}], "[0].times: expected a whole number, at least 1, got 1.0"),
        ([{"rate": 0}], "[0].rate: expected a number, above 0, got 0"),
        ([{"jitter": 2}], "[0].jitter: expected a number, from 0 to 1, got 2"),
        ([{"status": 700}], "[0].status: expected a whole number, from 200 to 599, got 700"),
        ([{"status": 200}], "[0].status: below 400, it needs 'body' beside it"),
        ([{"error": {"code": []}}], "[0].error.code: expected a string, a whole number or null"),
        ([{"error": {"param": 1}}], "[0].error.param: expected a string, got 1"),
        ([{"error": {}, "shape": "x" * 99}], "[0].shape: expected one of openai, done, string,"),
        ([{"shape": "done"}], "[0].shape: it needs 'error' beside it, and no 'status'"),
        ([{"shape": "done", "error": {}, "status": 500}], "[0].shape: it needs 'error'"),
        ([{"status": 500, "text": "a"}], "[0]: 'status' and 'text' are two different answers"),
        ([{"body": "", "usage": {}}], "[0]: 'body' and 'usage' are two different answers"),
        ([{"body": "", "error": {}}], "[0].error: it cannot stand beside 'body'"),
        ([{"content_type": "a/b"}], "[0].content_type: it needs 'body' beside it"),
        ([{"headers": []}], "[0].headers: expected an object, got a list"),
        ([{"headers": {"a": "b\n"}}], '[0].headers.a: expected printable ASCII, got "b\\n"'),
        ([{"headers": {"a": None}}], "[0].headers.a: expected a string, got null"),
        ([{"headers": {"a b": "c"}}], '[0].headers: expected a header name, got "a b"'),
        (
            [{"headers": {"Content-Length": 1}}],
            "[0].headers.Content-Length: this header",
        ),
        ([{"retry_after": "a\r\nb"}], "[0].retry_after: expected printable ASCII"),
        ([{"body": "", "content_type": "é"}], "[0].content_type: expected printable ASCII"),
        ([{"status": 204, "body": "a"}], "[0].body: it has to be empty with this status"),
        ([{"wait": 10**400}], "[0].wait: expected a number, at least 0, got 1000000"),
        ([{"retry_after": -1}], "[0].retry_after: expected a number, at least 0, got -1"),
        ([{"usage": {"prompt_tokens": 1}}], "[0].usage: unknown key 'prompt_tokens'"),
        ([{"when": {"model": 1}}], "[0].when.model: expected a string, got 1"),
        ([{"recording": "no.sse"}], "[0].recording: expected a recording: "),
        ([{"fault": {"by": "fin"}}], "[0].fault.by: it needs 'cut' beside it"),
        ([{"fault": {"cut": 1, "by": "tcp"}}], "[0].fault.by: expected one of fin, reset, got"),
        ([{"fault": {"comments": None}}], "[0].fault.comments: comments without end need 'every'"),
        ([{"fault": {"bom": 1}}], "[0].fault.bom: expected true or false, got 1"),
        ([{"fault": {"done": False}, "body": ""}], "[0].fault.done: it cannot stand beside 'body'"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_misfits(value: Any, error: str) -> None:
    """A mistake is named with its place, and what was expected there."""
    with pytest.raises(ScriptError) as caught:
        Script.from_value(value)

    assert str(caught.value).startswith(f"script{error}")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'[\n {"text": "a",}\n]', ": line 2, column "),
        (b"", ": line 1, column 1: Expecting value"),
        (b"[NaN]", ": not JSON in UTF-8: NaN is not a number in JSON"),
        (b'["\xff"]', ": not JSON in UTF-8: "),
        (b"[" * 100_000, ": not JSON in UTF-8: "),
        (b'[{"text": 1}]', "[0].text: expected a string"),
    ],
    ids=lambda content: repr(content[:10]),
)
def test_bad_files(tmp_path: Path, content: bytes, error: str) -> None:
    """A file that is no script is named, with the place in it."""
    path = tmp_path / "chat.json"
    path.write_bytes(content)

    with pytest.raises(ScriptError) as caught:
        Script.from_path(path)

    assert str(caught.value).startswith(f"{path}{error}")


def test_all_or_none(server: MockServer, tmp_path: Path) -> None:
    """A bad answer among good ones adds none of them."""
    path = tmp_path / "script.json"
    path.write_text('[{"text": "from a file"}]')
    with pytest.raises(ScriptError):
        server.script({"text": "a"}, {"text": 1})
    with pytest.raises(OSError, match=r"no\.json"):
        server.script({"text": "a"}, str(tmp_path / "no.json"))

    server.script(str(path), Script.from_value([{"text": "from a value"}]))

    assert "from a file" == message(server)["content"]
    assert "from a value" == message(server)["content"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (["a", "b"], "ab"),
        ([], ""),
        (Script.from_value([{"text": "c"}]), "c"),
        ([{"text": "d"}], "d"),
    ],
    ids=str,
)
def test_given_at_once(script: Any, said: str) -> None:
    """The mock takes tokens, answers or a script."""
    with MockServer(MockOpenAI(script)) as server:
        assert said == message(server)["content"]


def test_recordings_of_the_mock_come_first() -> None:
    """A model that is a recording gets that, script or not."""
    recordings = {"tape": Recording.from_bytes(b"data: a\n\n")}
    with MockServer(MockOpenAI([{"text": "b"}], recordings=recordings)) as server:
        assert "data: a\n\n" == ask(server, model="tape", stream=True).text
        assert "b" == message(server)["content"]
