"""Tables of the terminal: numbers stay in one piece and names readable, however narrow it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

#: A column of text has at least so many characters, if it needs them, and more where a word, as
#: far as the second number, would be broken.
_TEXT, _WORD = 14, 20


#: Of a name that is shortened at least so many characters at its end are left.
_TAIL = 4
#: Cells for what is not known, or not there.
_NOTHING = ("", "-")


def printable(text: str) -> str:
    """`text` from a file without what a terminal would act on: control characters as escapes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(frozen=True)
class _Width:
    """What a column takes: `least` to be readable, `whole` for every cell on one line."""

    least: int
    whole: int


class ConsoleTable:
    """A plain table whose cells are printed as they are, less what a terminal would act on.

    Columns whose name begins with `>` hold numbers: right-aligned and never broken. Others are
    folded, but the first, of names: those are shortened in the middle where they still differ.
    A column that says nothing in any row is left out. Where the columns do not fit, gaps
    shrink first; then those of the names `optional` are left out, the first of them first. Lines
    end with their last character.
    """

    def __init__(self, title: str, columns: Sequence[str], optional: Sequence[str] = ()) -> None:
        self._title = title
        self._columns = [printable(column.removeprefix(">")) for column in columns]
        self._numbers = [column.startswith(">") for column in columns]
        self._optional = tuple(optional)
        self._rows: list[tuple[str, ...]] = []
        self._sections: set[int] = set()

    def add_row(self, *cells: str) -> None:
        """Add a row: a text for each column. Raises `ValueError` for another number of them."""
        if len(cells) != len(self._columns):
            raise ValueError(f"{len(cells)} cells for {len(self._columns)} columns")
        self._rows.append(tuple(printable(cell) for cell in cells))

    def add_section(self) -> None:
        """Rule off the rows so far."""
        self._sections.add(len(self._rows))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [self._width(i) for i in range(len(self._columns))]
        shown, padding = self._fit(widths, options.max_width)
        room = options.max_width - _gaps(len(shown), padding)
        table = Table(
            title=Text(printable(self._title), style="table.title"),
            box=box.SIMPLE,
            title_justify="left",
            pad_edge=False,
            padding=(0, padding),
        )
        shares = _shares([widths[i] for i in shown], room)
        for column, width in zip(shown, shares, strict=True):
            table.add_column(
                Text(self._columns[column]),
                justify="right" if self._numbers[column] else "left",
                overflow="fold",
                width=width,
            )
        names = _shortened([row[0] for row in self._rows], shares[0])
        for number, (name, row) in enumerate(zip(names, self._rows, strict=True), start=1):
            cells = (name, *(row[i] for i in shown[1:]))
            table.add_row(*map(Text, cells), end_section=number in self._sections)
        # Cells are padded to the width of their column, which only costs room in a log.
        for line in console.render_lines(table, options, pad=False):
            yield from _stripped(line)
            yield Segment.line()

    def _width(self, column: int) -> _Width:
        title = self._columns[column]
        cells = [row[column] for row in self._rows]
        whole = max(map(cell_len, cells), default=0)
        least = whole
        if not self._numbers[column]:
            least = min(whole, max(_TEXT, min(_longest_word(cells), _WORD)))
        return _Width(max(least, _longest_word([title]), 1), max(whole, cell_len(title), 1))

    def _says_something(self, column: int) -> bool:
        return not self._rows or any(row[column].strip() not in _NOTHING for row in self._rows)

    def _fit(self, widths: Sequence[_Width], room: int) -> tuple[list[int], int]:
        """The columns that are shown, and the padding of their cells."""
        shown = [i for i in range(len(widths)) if i == 0 or self._says_something(i)]
        for leave_out in (None, *self._optional):
            shown = [i for i in shown if self._columns[i] != leave_out]
            needed = sum(widths[i].least for i in shown)
            for padding in (1, 0):
                if needed + _gaps(len(shown), padding) <= room:
                    return shown, padding
        return shown, 0


def _shortened(names: Sequence[str], width: int) -> list[str]:
    """Names of `width` characters at most, without their middle, all as different as before.

    As they are where some would become the same, or where characters are wider than one.
    """
    if all(cell_len(name) == len(name) for name in names):
        for head in (*range(_TEXT, width - _TAIL), *range(_TEXT - 1, _TAIL - 1, -1)):
            tail = width - head - 1
            if tail < _TAIL:
                break
            short = {x: x if len(x) <= width else f"{x[:head]}…{x[-tail:]}" for x in names}
            if len(set(short.values())) == len(short):
                return [short[name] for name in names]
    return list(names)


def _stripped(line: Sequence[Segment]) -> list[Segment]:
    """A line without the blanks at its end."""
    kept = list(line)
    while kept and not kept[-1].text.rstrip():
        kept.pop()
    if kept:
        text, style, _ = kept[-1]
        kept[-1] = Segment(text.rstrip(), style)
    return kept


def _longest_word(texts: Sequence[str]) -> int:
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def _gaps(columns: int, padding: int) -> int:
    """Characters between and beside columns: one of the box each, and padding between cells."""
    return columns + 1 + 2 * padding * (columns - 1)


def _shares(widths: Sequence[_Width], room: int) -> list[int]:
    """A width for each column, `room` together at most: the least, and what is left in turns."""
    shares = [width.least for width in widths]
    left = room - sum(shares)
    while left > 0:
        wanting = [i for i, width in enumerate(widths) if shares[i] < width.whole]
        if not wanting:
            break
        for column in wanting[:left]:
            shares[column] += 1
            left -= 1
    while left < 0 and max(shares) > 1:  # too narrow for anything: the widest give
        shares[shares.index(max(shares))] -= 1
        left += 1
    return shares
