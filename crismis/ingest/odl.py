"""Labels in ODL and PVL (PDS3, ISIS): bounded, case-blind, and forgiving.

The parsers at hand fail on labels that start their objects with ``Object`` instead of
``OBJECT``, on record-wise labels, and on hostile input; this one reads a label in one pass.
"""

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

__all__ = ["Block", "Measure", "parse_label"]

MAX_LABEL = 1 << 20
_MAX_DEPTH = 16
_MOST_TOKENS = 200_000
_TOKEN = re.compile(
    r"""\s+ | /\*.*?(?:\*/|$)            # blanks, comments
    |  "(?P<text>[^"]*)" | '(?P<symbol>[^']*)'
    |  (?P<mark>[=(){},]) | <(?P<unit>[^<>]*)> | (?P<word>[^\s=(){},<>"']+) | (?P<junk>.)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_OPENERS = {"OBJECT", "GROUP", "BEGIN_OBJECT", "BEGIN_GROUP"}
_CLOSERS = {"END_OBJECT", "END_GROUP"}
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d{1,3})?")
_BASED = re.compile(r"(\d{1,2})#([+-]?[0-9A-Za-z]{1,64})#")


class Measure(NamedTuple):
    """A number with the unit that the label gives it.

    Examples
    --------
    >>> from crismis.ingest.odl import Measure
    >>> exposure = Measure(250, "ms")
    >>> exposure.value, exposure.unit
    (250, 'ms')
    """

    value: object
    unit: str


@dataclass
class Block:
    """An object or group of a label.

    Parameters
    ----------
    kind : str
        Its name in capitals; empty for the label itself.
    values : dict
        Keyword in capitals -> number, text, `Measure`, or list of these. The first of
        repeated keywords counts.
    blocks : list of Block
        The objects and groups inside.

    Examples
    --------
    >>> from crismis.ingest.odl import Block
    >>> label = Block("", {"TARGET_NAME": "MERCURY"}, [Block("IMAGE", {"LINES": 1024})])
    >>> [block.values["LINES"] for block in label.blocks if block.kind == "IMAGE"]
    [1024]
    """

    kind: str = ""
    values: dict = field(default_factory=dict)
    blocks: list = field(default_factory=list)

    def get(self, keyword, default=None):
        """Return a value of this block, without its unit."""
        value = self.values.get(keyword, default)
        return value.value if isinstance(value, Measure) else value

    def find(self, kind):
        """Return the first block of a kind, at any depth, or `None`."""
        return next((b for b in self.walk() if b.kind == kind), None)

    def walk(self):
        """Yield the blocks inside, at any depth, in the order of the label."""
        for block in self.blocks:
            yield block
            yield from block.walk()

    def flat(self, skip=()):
        """Return all values with those of the inner blocks; outer ones count first."""
        values = dict(self.values)
        for block in self.blocks:
            if block.kind not in skip:
                values = block.flat(skip) | values
        return values


def parse_label(text):
    """Parse a label up to its ``END``.

    Parameters
    ----------
    text : str
        The label; only its first MiB is looked at.

    Returns
    -------
    Block

    Raises
    ------
    ValueError
        If blocks are nested more than 16 deep.

    Examples
    --------
    >>> from crismis.ingest.odl import parse_label
    >>> label = parse_label('''EXPOSURE_DURATION = 7 <MS>
    ... OBJECT = IMAGE
    ...   LINES = 2#101#
    ... END_OBJECT = IMAGE
    ... END''')
    >>> label.values["EXPOSURE_DURATION"], label.find("IMAGE").get("LINES")
    (Measure(value=7, unit='MS'), 5)
    """
    root = Block()
    stack = [root]
    tokens = _Tokens(text[:MAX_LABEL])
    while (keyword := tokens.next_keyword()) is not None:
        name = keyword.upper()
        if name == "END":
            break
        if not tokens.take("="):
            if name in _CLOSERS and len(stack) > 1:
                stack.pop()
            continue
        value = tokens.value()
        if name in _OPENERS:
            if len(stack) > _MAX_DEPTH:
                raise ValueError(f"label nests more than {_MAX_DEPTH} blocks")
            stack.append(Block(str(value).upper()))
            stack[-2].blocks.append(stack[-1])
        elif name in _CLOSERS:
            if len(stack) > 1:
                stack.pop()
        else:
            stack[-1].values.setdefault(name, value)
    return root


class _Tokens:
    """A cursor over the tokens of a label."""

    def __init__(self, text):
        matches = (m for m in _TOKEN.finditer(text) if m.lastgroup)
        self._matches = islice(matches, _MOST_TOKENS)
        self._ahead = next(self._matches, None)

    def _step(self):
        token, self._ahead = self._ahead, next(self._matches, None)
        return token

    def next_keyword(self):
        while self._ahead is not None:
            token = self._step()
            if token["word"]:
                return token["word"]
        return None

    def take(self, mark):
        if self._ahead is not None and self._ahead["mark"] == mark:
            self._step()
            return True
        return False

    def value(self):
        if self._ahead is None:
            return ""
        if self._ahead["mark"] in ("(", "{"):
            return self._with_unit(self._sequence())
        token = self._step()
        if token["text"] is not None:
            return self._with_unit(" ".join(token["text"].split()))
        if token["symbol"] is not None:
            return self._with_unit(token["symbol"].strip())
        return self._with_unit(_number(token["word"] or ""))

    def _sequence(self):
        """Collect the scalars up to the bracket that closes this one; nesting is flattened."""
        self._step()
        depth, found = 1, []
        while self._ahead is not None and depth:
            mark = self._ahead["mark"]
            if mark in ("(", "{"):
                depth += 1
            elif mark in (")", "}"):
                depth -= 1
            elif mark == "=":
                break
            elif not mark and not self._ahead["junk"] and self._ahead["unit"] is None:
                found.append(self.value())
                continue
            self._step()
        return found

    def _with_unit(self, value):
        if self._ahead is not None and self._ahead["unit"] is not None:
            return Measure(value, self._step()["unit"].strip())
        return value


def _number(word):
    if _INTEGER.fullmatch(word):
        return int(word)
    if _REAL.fullmatch(word):
        return float(word.upper().replace("D", "E"))
    based = _BASED.fullmatch(word)
    if based and 2 <= int(based[1]) <= 36:
        try:
            return int(based[2], int(based[1]))
        except ValueError:
            return word
    return word
