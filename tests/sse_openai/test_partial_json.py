"""PartialJSON: any cut of any JSON text, next to json.loads and to jiter."""

from __future__ import annotations

import json
import math
import sys
from itertools import pairwise
from time import process_time
from typing import Any

import jiter
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sse_openai import PartialJSON
from sse_openai._partial_json import MAX_DEPTH

TEXT = st.text(st.characters() | st.sampled_from('"\\/\ud83d\ude00\n😀é'))
NUMBERS = st.integers() | st.floats(allow_nan=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)
CUTS = st.lists(st.integers(min_value=0), max_size=8)
PIECES_OF_JSON = [
    *'[]{},:"\\ \n\ta1-0.eE+',
    *("true", "false", "null", "nul", "NaN", "Infinity", "-Infinity", "-I", "\\u00e9", "\\ud83d"),
    *("\\ude00", "\\u12", '"a":', '"', "12", "1.5", "1e5", "\ud83d", "\ude00", "\x01", "\x7f"),
]
TEXTS = st.lists(st.sampled_from(PIECES_OF_JSON), max_size=12).map("".join)


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[start:end] for start, end in pairwise(places)]
    return [*pieces, ""]


def read(*pieces: str) -> PartialJSON:
    reader = PartialJSON()
    for piece in pieces:
        reader.receive_text(piece)
    return reader


def outcome(text: str, cuts: list[int], *, look: bool = False) -> tuple[str, str]:
    """Return the value's repr, which tells -0.0, NaN and 1 from 1.0; or that there is none."""
    reader = PartialJSON()
    try:
        for piece in pieces_of(text, cuts):
            reader.receive_text(piece)
            assert not look or repr(reader.value)
        return "value", repr(reader.receive_eof())
    except ValueError:
        return "error", ""


def expected_outcome(text: str) -> tuple[str, str]:
    try:
        return "value", repr(json.loads(text))
    except ValueError:
        return "error", ""


def is_beginning(partial: Any, final: Any) -> bool:
    """Whether a value may have been known while the final one came in."""
    if type(partial) is not type(final):
        return partial is None  # nothing was known
    if isinstance(final, str):
        return final.startswith(partial)
    if isinstance(final, list):
        return len(partial) <= len(final) and are_beginnings(partial, final)
    if isinstance(final, dict):
        keys = list(final)[: len(partial)]
        return list(partial) == keys and are_beginnings(
            list(partial.values()), [final[key] for key in keys]
        )
    return bool(partial == final)


def are_beginnings(partial: list[Any], final: list[Any]) -> bool:
    """All but the last value are what they will be."""
    return partial[:-1] == final[: max(len(partial) - 1, 0)] and all(
        is_beginning(*pair) for pair in zip(partial[-1:], final[len(partial) - 1 :], strict=False)
    )


@given(VALUES, st.booleans(), st.sampled_from([None, 0, 2]), CUTS, st.booleans())
def test_any_value_in_any_cut(
    value: Any, ensure_ascii: bool, indent: int | None, cuts: list[int], look: bool
) -> None:
    """What comes out in the end is what json.loads makes of the text."""
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    assert ("value", repr(json.loads(text))) == outcome(text, cuts, look=look)


@pytest.mark.slow
@given(VALUES, st.booleans())
def test_every_beginning_is_a_beginning(value: Any, ensure_ascii: bool) -> None:
    """Character by character, what is known only grows."""
    text = json.dumps(value, ensure_ascii=ensure_ascii)
    final = json.loads(text)
    reader = PartialJSON()

    for character in text:
        assert not reader.complete
        reader.receive_text(character)
        assert is_beginning(reader.value, final)

    assert final == reader.receive_eof()
    assert reader.complete


@given(VALUES, st.booleans(), st.integers(min_value=0))
def test_as_jiter(value: Any, ensure_ascii: bool, cut: int) -> None:
    """Of a beginning that jiter takes, it knows the same, but shows a number's beginning."""
    text = json.dumps(value, ensure_ascii=ensure_ascii)
    beginning = text[: cut % len(text)].rstrip("-+.0123456789eE")
    try:
        expected = jiter.from_json(
            beginning.encode(), partial_mode="trailing-strings", catch_duplicate_keys=True
        )
    except ValueError:  # lone surrogates, and where nothing is known yet
        return

    if beginning.endswith(("tru", "fals")):  # the e was taken for a number's
        return
    assert repr(expected) == repr(read(beginning).value)


@given(TEXTS, CUTS)
@example('{"a":1,"a":2}', [])
@example('"\\ud83d', [7])
@example('["\\ud83d\\ud83d\\ude00"]', [9, 12, 15])
@example('"\\\\ud83d"', [3])
@example("-", [])
@example("--1", [1])
@example("-Infinity", [1, 2])
@example("1 2", [])
@example("", [])
def test_any_text(text: str, cuts: list[int]) -> None:
    """Where json.loads has a value, it is this value; where it has none, there is none."""
    assert expected_outcome(text) == outcome(text, cuts)
    assert expected_outcome(text) == outcome(text, cuts, look=True)


def fault_of(reader: PartialJSON, *pieces: str) -> str:
    """Read the pieces and the end; return what the error says, "" where there is none."""
    try:
        for piece in pieces:
            reader.receive_text(piece)
        reader.receive_eof()
    except ValueError as exc:
        return str(exc)
    return ""


@given(TEXTS, CUTS)
def test_a_fault_stays(text: str, cuts: list[int]) -> None:
    """What was known stays, and the same error is raised by every later call."""
    reader = PartialJSON()

    if fault := fault_of(reader, *pieces_of(text, cuts)):
        known = repr(reader.value)
        assert [fault, fault] == [fault_of(reader, "]"), fault_of(reader)]
        assert known == repr(reader.value)
        assert not reader.complete


@pytest.mark.parametrize(
    ("pieces", "value"),
    [
        ([""], None),
        ([" "], None),
        (['"'], ""),
        (['"ab'], "ab"),
        (['"a\\'], "a"),
        (['"a\\u00e'], "a"),
        (['"a\\ud83d'], "a"),
        (['"a\\ud83d\\'], "a"),
        (['"a\\ud83d\\ude'], "a"),
        (['"a\\ud83d', "x"], "a\ud83dx"),
        (['"a\\ud83d', '"'], "a\ud83d"),
        (['"a\\ud83d', "\\ude00"], "a😀"),
        (['"a\\ud83d\\ud83d'], "a\ud83d"),
        (['"\ud83d', '\ude00"'], "\ud83d\ude00"),
        (["{"], {}),
        (['{"a'], {}),
        (['{"a"'], {}),
        (['{"a":'], {}),
        (['{"a": "'], {"a": ""}),
        (['{"a": 1'], {}),
        (['{"a": 1,'], {"a": 1}),
        (['{"a": [1, 2'], {"a": [1]}),
        (['{"a": "b", "a": "'], {"a": ""}),
        (["["], []),
        (["[1"], []),
        (["[1 "], [1]),
        (["[tru"], []),
        (["[tr", "ue"], [True]),
        (["[n", "ull"], [None]),
        (["[-"], []),
        (["[-", "Infinit"], []),
        (["[-", "Infinity"], [-math.inf]),
        (["12"], None),
        (["12", " "], 12),
        (["1", "2", ".", "5", "e1", " "], 125.0),
    ],
)
def test_what_is_known(pieces: list[str], value: Any) -> None:
    """Open strings are shown, open numbers, literals and keys are not."""
    assert repr(value) == repr(read(*pieces).value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "expected a value, got 'x' at character 0"),
        ("[1, }", "expected a value, got '}' at character 4"),
        ("[nulL]", "expected a value, got 'nulL' at character 1"),
        ("[01]", "expected a value, got '01' at character 1"),
        ("{1}", "expected a key in quotes, got '1' at character 1"),
        ('{"a" 1}', "expected ':', got '1' at character 5"),
        ('{"a": 1]', "expected ',' or '}', got ']' at character 7"),
        ("[1}", "expected ',' or ']', got '}' at character 2"),
        ("{} {}", "expected nothing more, got '{' at character 3"),
        ('"a\\x"', "an invalid escape at character 2"),
        ('"a\\u12g4"', "an invalid escape at character 2"),
        ('"a\nb"', "a control character at character 2"),
        ("[" * (MAX_DEPTH + 1), "nested more than 200 deep at character 200"),
        ('[{"a": ', "the text ends too early at character 7"),
        ("1.", "expected a value, got '1.' at character 0"),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_faults(text: str, message: str, size: int) -> None:
    """They say what was expected where, whatever the cut."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    assert message == fault_of(PartialJSON(), *pieces)


def test_depth() -> None:
    """As deep as the limit is allowed."""
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert json.loads(text) == read(text).receive_eof()


def test_huge_integer() -> None:
    """int() refuses it, as in json.loads."""
    digits = "9" * (sys.get_int_max_str_digits() + 1)

    with pytest.raises(ValueError, match="integer string conversion"):
        read("[", digits[:9], digits[9:]).receive_text("]")


def test_what_is_shown_is_the_same_object() -> None:
    """It grows; what was taken out of it does not."""
    reader = read('{"a": ["x')
    value, items, string = reader.value, reader.value["a"], reader.value["a"][0]

    reader.receive_text('y", "z"')

    assert reader.value is value
    assert value["a"] is items
    assert ["xy", "z"] == items
    assert "x" == string


# What a text of this shape repeats, between its beginning and its end.
SHAPES = {
    "string": ('{"a": "', r"x = 1\n \u00e9", '"}'),
    "wide string": ('["', "送信する🙂", '"]'),
    "number": ("[0.", "123", "]"),
    "numbers": ("[", "1.5, ", "0]"),
    "objects": ("[", '{"a": [true, "b"]}, ', "0]"),
    "space": ("[", "  \n", "0]"),
    "key": ('{"', "key", '": 0}'),
}


@pytest.mark.sweep(quick=2)
@pytest.mark.parametrize("shape", SHAPES)
def test_linear(shape: str) -> None:
    """Eight times the text, in pieces of 20 and looked at after each, takes about eight times."""
    begin, unit, end = SHAPES[shape]

    def seconds(size: int) -> float:
        text = begin + unit * (size // len(unit)) + end
        reader = PartialJSON()
        started = process_time()
        for at in range(0, len(text), 20):
            reader.receive_text(text[at : at + 20])
            assert reader.value is not None
        taken = process_time() - started
        assert json.loads(text) == reader.receive_eof()
        return taken

    small, large = 32 * 2**10, 256 * 2**10
    assert min(seconds(large) for _ in range(3)) < 24 * min(seconds(small) for _ in range(3))


@pytest.mark.parametrize("cut", range(1, 9))
def test_white_space_by_itself(cut: int) -> None:
    """Pieces that end in white space, at each place where it may stand."""
    text = '{ "a" : [ ] }'

    assert {"a": []} == read(text[:cut], *text[cut:]).value
