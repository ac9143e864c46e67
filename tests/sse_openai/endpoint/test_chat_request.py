"""What chat_request asks for, from its arguments and the environment."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sse_openai
import sse_openai.sync
from sse_core import Request
from sse_openai import chat_request

VARIABLES = [
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENAI_PROJECT_ID",
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the developer's own environment counts."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def asked(**arguments: Any) -> Request:
    return chat_request(**{"model": "m", "messages": [], **arguments})


def fields_of(request: Request) -> dict[str, str]:
    """Return the header fields, each of which is there once."""
    fields = {name.decode(): value.decode() for name, value in request.headers}
    assert len(fields) == len(request.headers)
    return fields


def body_of(request: Request) -> Any:
    return json.loads(request.body)


def test_request() -> None:
    """One POST with a JSON body that asks for a stream and its usage."""
    messages = [{"role": "user", "content": "こんにちは"}]
    request = asked(messages=messages, api_key="k")

    assert ("POST", "https://api.openai.com/v1/chat/completions") == (
        request.method,
        str(request.url),
    )
    assert {
        "model": "m",
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    } == body_of(request)
    fields = fields_of(request)
    assert "Bearer k" == fields["authorization"]
    assert "application/json" == fields["content-type"]
    assert "text/event-stream" == fields["accept"]
    assert not {"openai-organization", "openai-project"} & fields.keys()


@pytest.mark.parametrize(
    ("variables", "arguments", "expected"),
    [
        ({"OPENAI_API_KEY": "env"}, {}, "Bearer env"),
        ({"OPENAI_API_KEY": "env"}, {"api_key": "given"}, "Bearer given"),
        ({"OPENAI_API_KEY": "env"}, {"api_key": "", "base_url": "http://h"}, None),
        ({"OPENAI_API_KEY": ""}, {"base_url": "http://h"}, None),
        ({}, {"base_url": "http://h"}, None),
    ],
)
def test_api_key(
    variables: dict[str, str],
    arguments: dict[str, Any],
    expected: str | None,
    environment: pytest.MonkeyPatch,
) -> None:
    """The argument wins over the environment; an empty one sends none."""
    for name, value in variables.items():
        environment.setenv(name, value)

    assert expected == fields_of(asked(**arguments)).get("authorization")


@pytest.mark.parametrize(
    ("variable", "argument", "expected"),
    [
        (None, "http://h/v1", "http://h/v1/chat/completions"),
        (None, "http://h/v1//", "http://h/v1/chat/completions"),
        (None, "http://h", "http://h/chat/completions"),
        ("http://env:8000/v1/", None, "http://env:8000/v1/chat/completions"),
        ("http://env/v1", "http://h/v1", "http://h/v1/chat/completions"),
        ("http://env/v1", "", "http://env/v1/chat/completions"),
        ("", None, "https://api.openai.com/v1/chat/completions"),
    ],
)
def test_base_url(
    variable: str | None, argument: str | None, expected: str, environment: pytest.MonkeyPatch
) -> None:
    """The argument, else the environment, else OpenAI's own; a slash at its end is no matter."""
    if variable is not None:
        environment.setenv("OPENAI_BASE_URL", variable)

    assert expected == str(asked(api_key="k", base_url=argument).url)


@pytest.mark.parametrize(
    ("variable", "argument", "field"),
    [
        ("OPENAI_ORG_ID", "organization", "openai-organization"),
        ("OPENAI_PROJECT_ID", "project", "openai-project"),
    ],
)
def test_organization_and_project(
    variable: str, argument: str, field: str, environment: pytest.MonkeyPatch
) -> None:
    """From the argument, else from the environment."""
    environment.setenv(variable, "env")

    assert "env" == fields_of(asked(api_key="k"))[field]
    assert "given" == fields_of(asked(api_key="k", **{argument: "given"}))[field]
    assert argument not in body_of(asked(api_key="k", **{argument: "given"}))


@pytest.mark.parametrize("arguments", [{}, {"api_key": ""}, {"base_url": ""}])
def test_no_endpoint(arguments: dict[str, Any]) -> None:
    """Without a key and a base URL nobody is asked."""
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        asked(**arguments)


def test_headers() -> None:
    """Headers of the caller are sent, and win over ours whatever their case."""
    request = asked(
        api_key="k",
        organization="o",
        headers=MappingProxyType(
            {"X-Key": "v", "authorization": "Basic x", "OPENAI-ORGANIZATION": "p", "Accept": "a/b"}
        ),
    )

    assert {
        "x-key": "v",
        "authorization": "Basic x",
        "openai-organization": "p",
        "accept": "a/b",
    }.items() <= fields_of(request).items()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, None),
        ({"stream_options": {}}, {}),
        ({"stream_options": MappingProxyType({"include_usage": False})}, {"include_usage": False}),
        (
            {"stream_options": {"include_usage": True, "include_obfuscation": False}},
            {"include_usage": True, "include_obfuscation": False},
        ),
    ],
)
def test_stream_options(arguments: dict[str, Any], expected: Any) -> None:
    """Usage is asked for unless the caller says otherwise, or says nothing at all."""
    body = body_of(asked(api_key="k", **arguments))

    assert expected == body.get("stream_options")
    assert ("stream_options" in body) is (expected is not None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
NOT_FIELDS = {
    *("model", "messages", "api_key", "base_url", "organization", "project", "headers"),
    *("stream", "stream_options"),
}


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=9).filter(lambda name: name not in NOT_FIELDS), JSON))
def test_any_field(fields: dict[str, Any]) -> None:
    """Every other argument is a field of the body, as it was given; null too."""
    body = body_of(asked(api_key="k", **fields))

    assert fields == {
        name: value
        for name, value in body.items()
        if name not in ("model", "messages", "stream", "stream_options")
    }


@pytest.mark.parametrize("stream", [False, None, 0, 1, "true"])
def test_stream_is_true(stream: Any) -> None:
    """Anything else is refused: there is nothing else to read here."""
    with pytest.raises(ValueError, match="stream is always true"):
        asked(api_key="k", stream=stream)
    assert True is body_of(asked(api_key="k", stream=True))["stream"]


def test_messages_of_any_iterable() -> None:
    """A generator will do."""
    request = asked(api_key="k", messages=({"content": text} for text in "ab"))

    assert [{"content": "a"}, {"content": "b"}] == body_of(request)["messages"]


@pytest.mark.parametrize(
    ("arguments", "exception"),
    [
        ({"api_key": "k\n"}, ValueError),
        ({"api_key": "schlüssel"}, ValueError),
        ({"base_url": "h/v1"}, ValueError),
        ({"temperature": float("nan")}, ValueError),
        ({"metadata": object()}, TypeError),
        ({"messages": 5}, TypeError),
    ],
)
@pytest.mark.parametrize("ask", [chat_request, sse_openai.stream_chat, sse_openai.sync.stream_chat])
def test_what_cannot_be_sent(
    arguments: dict[str, Any], exception: type[Exception], ask: Any
) -> None:
    """A mistake of the caller is raised by the call itself."""
    with pytest.raises(exception):
        ask(**{"model": "m", "messages": [], "api_key": "k", **arguments})


@pytest.mark.parametrize("name", ["model", "messages"])
def test_required(name: str) -> None:
    """Model and messages are asked for by the signature."""
    arguments: dict[str, Any] = {"model": "m", "messages": [], "api_key": "k"}
    del arguments[name]

    with pytest.raises(TypeError, match=name):
        chat_request(**arguments)


@pytest.mark.parametrize("base_url", ["http://h/v1?api-version=1", "http://h/v1/?api-version=1"])
def test_query_of_the_base_url(base_url: str) -> None:
    """It stays behind the path that is added."""
    request = chat_request(model="m", messages=[], base_url=base_url)

    assert "http://h/v1/chat/completions?api-version=1" == str(request.url)
