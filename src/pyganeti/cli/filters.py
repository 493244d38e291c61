"""Which objects are meant: names, patterns, and the filter language that Ganeti's lists take.

``gnt-instance list 'status == "running" and be/memory > 2048'`` becomes the nested lists that the
master daemon understands. Words without any of the language's signs are names, or, with ``*`` or
``?``, patterns in the way of host names: ``web*`` is web1 and web1.example.com, not web.x.y.

    or:   and { ("or" | "|") and }          and:  not { ("and" | "&") not }
    not:  ["not" | "!"] one                 one:  "(" or ")" | value ["not"] "in" field | comparison
    comparison:  field [operator value]     operator: == != = < > <= >= =~ !~ =* !*
    value: number | "text" | 'text'         regular expression: m/…/flags or /…/flags
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyganeti.base import errors

Filter = list[Any]

_SIGNS: Final = frozenset("()=/!~'\"\\<>&|") | frozenset(" \t\n")
_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<regex>m?(?P<mark>[/\#^|])(?P<pattern>(?:\\.|(?!(?P=mark)).)+)(?P=mark)(?P<flags>[is]*))
  | (?P<operator>==|!=|<=|>=|=~|!~|=\*|!\*|=|<|>)
  | (?P<sign>[()&|!])
  | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>-?[0-9]+(?![A-Za-z0-9_./-]))
  | (?P<word>[A-Za-z_][A-Za-z0-9_./-]*)
    """,
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(r"\\(.)")


def of_words(
    words: Sequence[str], *, field: str = "name", force: bool = False, numeric: bool = False
) -> Filter | None:
    """Return what a list's words mean: a filter, names or patterns; None for all.

    ``force``: the words are a filter, whatever they look like. Raises BadInput.
    """
    if not words:
        return None
    if force or (len(words) == 1 and set(words[0]) & _SIGNS):
        if len(words) > 1:
            raise errors.BadInput("a filter is one word: put it into quotes")
        return parse(words[0])
    parts = [_named(word, field, numeric=numeric) for word in words]
    return ["|", *parts]


def parse(text: str) -> Filter:
    """Return a filter from its text; raises BadInput, saying where it goes wrong."""
    return _Parser(text).whole()


def glob(pattern: str) -> str:
    """Return the regular expression for a host name's pattern: ``*`` and ``?`` stay in one part."""
    parts = {"*": "[^.]*", "?": "[^.]"}
    expression = "".join(parts.get(letter) or re.escape(letter) for letter in pattern)
    return f"^{expression}(\\..*)?$"


def _named(word: str, field: str, *, numeric: bool) -> Filter:
    if set(word) & set("*?"):
        return ["=~", field, glob(word)]
    if numeric:
        try:
            return ["==", field, int(word)]
        except ValueError as error:
            raise errors.BadInput(f"{word!r} is not a number") from error
    return ["==", field, word]


class _Parser:
    """A filter's text, read from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, Any, int]] = []
        at = 0
        while at < len(text):
            expects_pattern = bool(self._tokens) and self._tokens[-1][:2] in _BEFORE_PATTERN
            match = _TOKEN.match(text, at)
            if match is not None and match.lastgroup == "regex" and not expects_pattern:
                match = _WITHOUT_PATTERN.match(text, at)
            if match is None:
                raise self._wrong(at)
            kind = str(match.lastgroup)
            if kind != "space":
                self._tokens.append((kind, _value(kind, match), at))
            at = match.end()
        self._next = 0

    def whole(self) -> Filter:
        found = self._any()
        if self._next < len(self._tokens):
            raise self._wrong(self._tokens[self._next][2])
        return found

    def _any(self) -> Filter:
        return self._series("|", {"or", "|"}, self._all)

    def _all(self) -> Filter:
        return self._series("&", {"and", "&"}, self._not)

    def _series(self, operator: str, signs: set[str], one: Callable[[], Filter]) -> Filter:
        parts = [one()]
        while self._take(signs):
            parts.append(one())
        return parts[0] if len(parts) == 1 else [operator, *parts]

    def _not(self) -> Filter:
        if self._take({"not", "!"}):
            return ["!", self._not()]
        if self._take({"("}):
            found = self._any()
            if not self._take({")"}):
                raise self._wrong(self._place(), "a closing parenthesis is missing")
            return found
        return self._comparison()

    def _comparison(self) -> Filter:
        kind, value, at = self._pop()
        if kind in {"text", "number"}:
            is_negated = self._take({"not"})
            if not self._take({"in"}):
                raise self._wrong(self._place(), "a value is followed by 'in' and a field")
            field_kind, field, place = self._pop()
            if field_kind != "word":
                raise self._wrong(place, "a field is missing")
            found: Filter = ["=[]", field, value]
            return ["!", found] if is_negated else found
        if kind != "word":
            raise self._wrong(at)
        if self._next < len(self._tokens) and self._tokens[self._next][0] == "operator":
            operator = str(self._pop()[1])
            return self._compared(value, operator)
        return ["?", value]

    def _compared(self, field: str, operator: str) -> Filter:
        kind, value, at = self._pop()
        if operator in {"=~", "!~"}:
            if kind not in {"regex", "text"}:
                raise self._wrong(at, "a regular expression, such as m/web[0-9]/, is missing")
            found: Filter = ["=~", field, value]
        elif kind not in {"text", "number"}:
            raise self._wrong(at, "a value, a number or text in quotes, is missing")
        elif operator in {"=*", "!*"}:
            found = ["=~", field, glob(str(value))]
        elif operator == "=":
            found = ["==", field, value]
        else:
            found = [operator, field, value]
        return ["!", found] if operator in {"!~", "!*"} else found

    def _take(self, wanted: set[str]) -> bool:
        if self._next < len(self._tokens):
            kind, value, _ = self._tokens[self._next]
            if kind in {"sign", "word"} and value in wanted:
                self._next += 1
                return True
        return False

    def _pop(self) -> tuple[str, Any, int]:
        if self._next >= len(self._tokens):
            raise self._wrong(len(self._text), "something is missing at its end")
        self._next += 1
        return self._tokens[self._next - 1]

    def _place(self) -> int:
        return self._tokens[self._next][2] if self._next < len(self._tokens) else len(self._text)

    def _wrong(self, at: int, why: str = "this is not understood") -> errors.BadInput:
        return errors.BadInput(f"the filter {self._text!r} is wrong at {self._text[at:]!r}: {why}")


_BEFORE_PATTERN: Final = {("operator", "=~"), ("operator", "!~")}
_WITHOUT_PATTERN: Final = re.compile(
    _TOKEN.pattern.replace("(?P<regex>", "(?P<regex>(?!)", 1), re.VERBOSE
)


def _value(kind: str, match: re.Match[str]) -> Any:  # noqa: ANN401 - text or a number
    if kind == "regex":
        flags = "".join(sorted(set(match["flags"])))
        return f"(?{flags}){match['pattern']}" if flags else match["pattern"]
    if kind == "text":
        return _ESCAPE.sub(r"\1", match[0][1:-1])
    if kind == "number":
        return int(match[0])
    return match[0]
