"""Redaction and output: laws over streams that come in any pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sequential_adaptor.runners.container.supervising import Output, Redactor
from sequential_adaptor.runners.container.supervising.outputs import Kept

LETTERS = st.text(alphabet="abé\n", min_size=4, max_size=12)
STREAMS = st.lists(st.one_of(st.text(alphabet="abcé\n", max_size=8), LETTERS), max_size=12)


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def _redacted(secrets: list[str], pieces: list[bytes]) -> bytes:
    redactor = Redactor(secrets)
    return b"".join([*map(redactor.feed, pieces), redactor.rest()])


@given(st.lists(LETTERS, max_size=3), STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_how_a_stream_is_cut_makes_no_difference(secrets: list[str], words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode()
    assert _redacted(secrets, _cut(data, cuts)) == _redacted(secrets, [data])


@given(LETTERS, STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_no_secret_is_left_in_a_stream(secret: str, words: list[str], cuts: list[int]) -> None:
    data = secret.join(words).encode()
    assert secret.encode() not in _redacted([secret], _cut(data, cuts))


@given(STREAMS, st.lists(st.integers(0, 200), max_size=8))
def test_what_is_no_secret_comes_through_as_it_is(words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode()
    assert _redacted(["never-said"], _cut(data, cuts)) == data
    assert _redacted([], _cut(data, cuts)) == data


def test_the_longer_lines_of_a_secret_are_hidden_by_themselves() -> None:
    secret = "-----BEGIN-----\nMIIBVgIBADAN\nab\n-----END-----"
    assert _redacted([secret], [b"> MIIBVgIBADAN <\n", b"> ab <"]) == b"> *** <\n> ab <"
    assert _redacted([secret], [secret.encode()]) == b"***"


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 60))
def test_the_first_and_the_last_half_of_a_long_stream_are_kept(chunks: list[bytes], limit: int) -> None:
    kept, data = Kept(limit), b"".join(chunks)
    for chunk in chunks:
        kept.add(chunk)
    half = max(limit // 2, 1)
    if len(data) <= 2 * half:
        assert kept.content == data
    else:
        note = b"\n[... %d bytes left out ...]\n" % (len(data) - 2 * half)
        assert kept.content == data[:half] + note + data[-half:]


@given(st.text(max_size=60), st.lists(st.integers(0, 300), max_size=8))
def test_lines_are_the_text_however_it_is_cut(text: str, cuts: list[int]) -> None:
    data, lines = text.encode("utf-8", "surrogatepass"), list[str]()
    output = Output("stdout", (), 10_000, lines.append)
    for piece in _cut(data, cuts):
        output.feed(piece)
    output.end()
    shown = data.decode("utf-8", "backslashreplace")
    expected = shown.split("\n")
    assert lines == [line.removesuffix("\r") for line in (expected if expected[-1] else expected[:-1])]
    assert output.text == shown


def test_a_line_without_an_end_is_passed_on_in_pieces() -> None:
    lines: list[str] = []
    output = Output("stderr", (), 100, lines.append)
    output.feed(b"x" * 1_000_000)
    assert lines
    output.end()
    assert "".join(lines) == "x" * 1_000_000
