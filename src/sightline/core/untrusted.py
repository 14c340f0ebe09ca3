"""Texts of strangers: patterns that no text can slow down, and cells that a spreadsheet would compute."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 128  # characters of a text; a longer one matches nothing
MAX_WAYS = (LONGEST + 1) ** 3  # in which a text may be tried: some ten milliseconds


def check_pattern(pattern: str) -> None:
    """Raises ValueError for what is not a pattern, or may be tried in too many ways: nothing else runs meanwhile."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a valid pattern ({error}). Write one in the syntax of Python's re") from error
    if _ways(parser.parse(pattern)) > MAX_WAYS:
        raise ValueError(
            "may take minutes over a single text: it can be tried in too many ways. Let at most three repeats have "
            r"open ends and none lie within another: say how many (\d{6}), or make them possessive (\d++)"
        )


def match(pattern: str, text: str) -> re.Match[str] | None:
    """The match of the whole text, None where there is none."""
    return re.fullmatch(pattern, text) if len(text) <= LONGEST else None


def _ways(nodes: Iterable[tuple[Any, Any]]) -> int:
    """In how many ways the parts of a pattern can share a text, at most; not counted beyond `MAX_WAYS`."""
    ways = 1
    for code, value in nodes:
        ways = min(ways * max(1, _ways_of(code, value)), MAX_WAYS + 1)
    return ways


def _ways_of(code: Any, value: Any) -> int:
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        least, most, within = value
        most = min(int(most), LONGEST)
        inner = _ways(within)
        each = MAX_WAYS + 1 if inner > 1 and most > 20 else inner**most
        return each if code is codes.POSSESSIVE_REPEAT else each * (most - min(int(least), most) + 1)
    if code is codes.BRANCH:
        return sum(_ways(option) for option in value[1])
    if code is codes.SUBPATTERN:
        return _ways(value[-1])
    if code is codes.ATOMIC_GROUP:
        return _ways(value)
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return _ways(value[1])
    if code is codes.GROUPREF_EXISTS:
        return _ways(value[1]) + _ways(value[2] or ())
    return 1


# What a spreadsheet computes at the start of a cell; it also takes these for the ends of cells, as its language has it.
_START = r"(^|[;|\t\r\n,\"])(\s*)"
_FORMULA = r"'*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r]"
# With the quotes that stand there already: one more is put before them, so that the text comes back as it was.
_BARE = re.compile(f"{_START}(?={_FORMULA})")
_QUOTED = re.compile(f"{_START}'(?={_FORMULA})")


def cell(text: str) -> str:
    """A text as a cell: a quote stands before what would be computed. Numbers stay as they are."""
    return text if _is_number(text) else _BARE.sub(r"\1\2'", text)


def plain(text: str) -> str:
    """The text of a cell that `cell` has written."""
    return _QUOTED.sub(r"\1\2", text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
