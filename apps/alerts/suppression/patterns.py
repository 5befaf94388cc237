"""Regular expressions of people, matched in time proportional to text times pattern, whatever they wrote. Pure.

Python's engine backtracks: `(a+)+$` on thirty letters takes minutes, and a matcher runs against every open alert.
This one follows all the ways at once (Thompson), so there is nothing to backtrack over. It knows literals, `.`,
classes, `\\d \\w \\s`, groups, `|` and `* + ? {m,n}`, with `(?i)` in front; the whole value must match. Look-around
and back-references do not exist here, as in RE2.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

LONGEST_PATTERN = 200
LONGEST_VALUE = 1000
MOST_STATES = 1000
MOST_REPEATS = 100
DEEPEST = 20

Test = Callable[[str], bool]
_SHORT: dict[str, Test] = {
    "d": str.isdecimal,
    "w": lambda c: c.isalnum() or c == "_",
    "s": str.isspace,
}
_CONTROL = {"n": "\n", "t": "\t", "r": "\r"}


class PatternRefused(ValueError):
    """What cannot be read, in a sentence."""


@dataclass
class _Net:
    """States by number: a test and where it leads, or free ways (a test of None)."""

    tests: list[Test | None] = field(default_factory=list)
    ways: list[list[int]] = field(default_factory=list)

    def state(self, test: Test | None = None) -> int:
        if len(self.tests) >= MOST_STATES:
            raise PatternRefused(
                f"The pattern is too large once its repeats are written out (over {MOST_STATES} states)."
            )
        self.tests.append(test)
        self.ways.append([])
        return len(self.tests) - 1


Piece = Callable[[_Net, int], int]
"""Draws itself into the net from a state on; gives the state it ends in."""


class Pattern:
    """A pattern that was read; `fits(value)` says whether the whole of it matches."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_PATTERN:
            raise PatternRefused(f"The pattern is longer than {LONGEST_PATTERN} characters.")
        self.fold = text.startswith("(?i)")
        reader = _Reader(text[4:] if self.fold else text, self.fold)
        self._net = _Net()
        self._start = self._net.state()
        self._end = reader.read()(self._net, self._start)
        self._from = self._free({self._start})

    def fits(self, value: str) -> bool:
        """Whether all of the value matches; a value beyond 1,000 characters is cut there first."""
        text = value[:LONGEST_VALUE]
        here, tests = self._from, self._net.tests
        for character in text.casefold() if self.fold else text:
            reached = set()
            for state in here:
                test = tests[state]
                if test is not None and test(character):
                    reached.update(self._net.ways[state])
            if not reached:
                return False
            here = self._free(reached)
        return self._end in here

    def _free(self, states: set[int]) -> set[int]:
        """With all that is reached without reading."""
        found, left = set(states), list(states)
        while left:
            state = left.pop()
            if self._net.tests[state] is None:
                fresh = [way for way in self._net.ways[state] if way not in found]
                found.update(fresh)
                left += fresh
        return found


@lru_cache(maxsize=2000)
def compiled(text: str) -> Pattern:
    """Read once; PatternRefused when it cannot be."""
    return Pattern(text)


class _Reader:
    """Recursive descent over the pattern's text."""

    def __init__(self, text: str, fold: bool) -> None:
        self.text, self.at, self.depth, self.fold = text, 0, 0, fold

    def read(self) -> Piece:
        piece = self._either()
        if self.at < len(self.text):
            raise PatternRefused("It has a ) without its (.")
        return piece

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise PatternRefused("It ends in the middle of something.")
        self.at += 1
        return character

    def _either(self) -> Piece:
        self.depth += 1
        if self.depth > DEEPEST:
            raise PatternRefused(f"Groups are nested deeper than {DEEPEST}.")
        ways = [self._sequence()]
        while self._peek() == "|":
            self.at += 1
            ways.append(self._sequence())
        self.depth -= 1
        return ways[0] if len(ways) == 1 else _either(ways)

    def _sequence(self) -> Piece:
        pieces = []
        while self._peek() not in ("", "|", ")"):
            pieces.append(self._repeated())
        return _sequence(pieces)

    def _repeated(self) -> Piece:
        piece = self._one()
        if bounds := self._bounds():
            piece = _repeat(piece, *bounds)
            if self._peek() == "?":  # lazy or greedy: the same whole values fit
                self.at += 1
            if self._peek() in ("*", "+", "?") or self._peek() == "{":
                raise PatternRefused("A repeat of a repeat; put the inner one into a group.")
        return piece

    def _bounds(self) -> tuple[int, int | None] | None:
        sign = self._peek()
        if sign in ("*", "+", "?") and sign:
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        return self._counted() if sign == "{" else None

    def _counted(self) -> tuple[int, int | None]:
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at + 1 : max(end, 0)].partition(",")
        if not _number(low) or (high and not _number(high)):
            raise PatternRefused(
                "A { that begins no repeat such as {2} or {1,3}; write \\{ for the character."
            )
        self.at = end + 1
        least = int(low)
        most = int(high) if high else (None if comma else least)
        if least > MOST_REPEATS or (most or 0) > MOST_REPEATS or (most is not None and most < least):
            raise PatternRefused(f"Repeats go from 0 to {MOST_REPEATS}, the smaller number first.")
        return least, most

    def _one(self) -> Piece:
        character = self._take()
        if character == "(":
            return self._group()
        if character == "[":
            return _single(self._class())
        if character == ".":
            return _single(lambda c: c != "\n")
        if character == "\\":
            return _single(self._escaped())
        if character in "*+?{":
            raise PatternRefused(f"A {character} with nothing before it to repeat.")
        if character in "^$":  # the whole value must match anyway
            return _sequence([])
        return _single(self._same(character))

    def _group(self) -> Piece:
        if self._peek() == "?":
            if not self.text.startswith("?:", self.at):
                raise PatternRefused(
                    "Of groups with (? only (?: is known: no look-around, no names, no flags but (?i) in front."
                )
            self.at += 2
        piece = self._either()
        if self._peek() != ")":
            raise PatternRefused("It has a ( without its ).")
        self.at += 1
        return piece

    def _escaped(self) -> Test:
        character = self._take()
        if character.lower() in _SHORT:
            test = _SHORT[character.lower()]
            return test if character.islower() else lambda c: not test(c)
        if character in _CONTROL:
            return self._same(_CONTROL[character])
        if character.isalnum():
            raise PatternRefused(f"\\{character} is not known here: no back-references, no word boundaries.")
        return self._same(character)

    def _same(self, character: str) -> Test:
        wanted = character.casefold() if self.fold else character
        return lambda c: c == wanted

    def _class(self) -> Test:
        inverted = self._peek() == "^"
        self.at += inverted
        tests: list[Test] = []
        while self._peek() != "]" or not tests:
            tests.append(self._member())
        self.at += 1
        return lambda c: any(test(c) for test in tests) is not inverted

    def _member(self) -> Test:
        character = self._take()
        if character == "\\":
            if self._peek().isalnum():
                return self._escaped()
            character = self._take()
        if self._peek() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return self._same(character)
        self.at += 1
        last = self._take()
        last = self._take() if last == "\\" else last
        if last < character:
            raise PatternRefused(f"The range {character}-{last} runs backwards.")
        if self.fold:
            return lambda c: character <= c <= last or character <= c.upper() <= last
        return lambda c: character <= c <= last


def _number(text: str) -> bool:
    return 0 < len(text) < 4 and text.isascii() and text.isdecimal()


# --- Drawing the net ----------------------------------------------------------------------------------------
def _single(test: Test) -> Piece:
    def draw(net: _Net, start: int) -> int:
        reader, end = net.state(test), net.state()
        net.ways[start].append(reader)
        net.ways[reader].append(end)
        return end

    return draw


def _sequence(pieces: list[Piece]) -> Piece:
    def draw(net: _Net, start: int) -> int:
        for piece in pieces:
            start = piece(net, start)
        return start

    return draw


def _either(ways: list[Piece]) -> Piece:
    def draw(net: _Net, start: int) -> int:
        end = net.state()
        for way in ways:
            begin = net.state()
            net.ways[start].append(begin)
            net.ways[way(net, begin)].append(end)
        return end

    return draw


def _repeat(piece: Piece, least: int, most: int | None) -> Piece:
    def draw(net: _Net, start: int) -> int:
        for _ in range(least):
            start = piece(net, start)
        if most is None:
            loop = net.state()
            net.ways[start].append(loop)
            net.ways[piece(net, loop)].append(loop)
            return loop
        end = net.state()
        for _ in range(most - least):
            net.ways[start].append(end)
            start = piece(net, start)
        net.ways[start].append(end)
        return end

    return draw
