"""The directory of matters out of a file, CSV or XLSX, and back into one.

The first row that is not empty holds the headings, in Chinese or English, in any order
(:data:`HEADINGS`). CSV may be UTF-8, with a byte order mark or without, or GB18030, as Excel writes
it. A file replaces the whole directory. Every mistake is named by row, column and reason; what is
done with the rows that are right is decided elsewhere (:mod:`telephony.matters.book`).
"""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

from telephony.errors import InvalidValue
from telephony.matters.rules import (
    ZH_DIRECTIONS,
    ZH_FLAGS,
    ZH_URGENCIES,
    Desks,
    Matter,
    clean,
    matter_of,
)
from telephony.matters.search import normal

MAX_BYTES = 5_000_000
MAX_UNPACKED = 100_000_000
"""Bytes of an XLSX file when its parts are unpacked."""
MAX_ROWS = 20_000
MAX_CELLS = 1_000_000
"""Cells of a sheet from its first to its last, the empty ones too: all of them are in memory."""
SAMPLE_FILE = "matters-sample.csv"
BOM = "\ufeff"

Language = Literal["zh", "en"]

# Of each field the headings that are known for it, normalised; the first two are those we write.
HEADINGS: dict[str, tuple[str, ...]] = {
    "code": ("编号", "code", "编码", "代码", "事项编号", "事项编码"),
    "name": ("事项名称", "name", "名称", "事项", "matter"),
    "category": ("类别", "category", "分类", "事项类别"),
    "direction": ("方向", "direction", "转办方向", "流转方向"),
    "desk": ("承办席位", "desk", "席位", "目标席位", "转接席位", "承办单位席位"),
    "urgency": ("紧急程度", "urgency", "紧急"),
    "feedback_h": ("反馈时限(工作小时)", "feedback_h", "反馈时限", "反馈时限(小时)"),
    "keywords": ("关键词", "keywords", "关键字"),
    "stability": ("涉稳", "stability", "涉及社会稳定"),
    "danger": ("涉险", "danger", "危险", "涉及危险"),
    "remark": ("备注", "remark", "note", "说明"),
}
NEEDED = ("code", "name", "category", "direction")
IGNORED = "remark"
COLUMNS = tuple(name for name in HEADINGS if name != IGNORED)
_FIELDS = {normal(text): name for name, texts in HEADINGS.items() for text in texts}


class MatterFileRefused(InvalidValue):
    """A file of matters with mistakes, of which nothing was taken; ``broken`` names each."""

    code = "matter-file-refused"
    title = "The file of matters is wrong"

    def __init__(self, broken: Sequence[Broken], rows: int = 0) -> None:
        shown = "; ".join(map(str, broken[:5]))
        more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""
        super().__init__(f"nothing was taken: {shown}{more}")
        self.broken, self.rows = tuple(broken), rows


@dataclass(frozen=True, slots=True)
class Broken:
    """What is wrong with a file and where: ``row`` as a spreadsheet counts (None: all of it),
    ``column`` its letter and heading. ``code``: of the matter in that row, where it can be read."""

    row: int | None
    column: str | None
    reason: str
    code: str | None = None

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row is not None else []
        where += [f"column {self.column}"] if self.column is not None else []
        return f"{', '.join(where)}: {self.reason}" if where else self.reason


@dataclass(slots=True)
class Read:
    """What a file holds: its matters in their order, and all that is wrong with its other rows."""

    matters: list[Matter] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    rows: int = 0


_Row = tuple[int, list[str]]
"""The number of a row and its cells."""


def read_matters(data: bytes, desks: Desks) -> Read:
    """The matters in the bytes of a CSV or XLSX file.

    Rows that are wrong are in ``broken``. Raises :class:`MatterFileRefused` for a file of which no
    row can be understood: neither kind, without headings, or with a heading that is not known.
    """
    if len(data) > MAX_BYTES:
        raise _refused(f"the file is larger than {MAX_BYTES} bytes")
    rows = _xlsx(data) if data.startswith(b"PK\x03\x04") else _csv(data)
    filled = ((number, cells) for number, cells in rows if any(cell.strip() for cell in cells))
    head = next(filled, None)
    if head is None:
        raise _refused("the file is empty")
    table = _Table(headings=head[1], columns=_columns(*head))
    for number, cells in filled:
        table.found.rows += 1
        if table.found.rows > MAX_ROWS:
            raise _refused(f"there are more than {MAX_ROWS} rows")
        table.take(number, cells, desks)
    if not table.found.rows:
        raise _refused("there is no matter in it, only headings")
    return table.found


@dataclass(slots=True)
class _Table:
    """The rows of a file, as they are read."""

    headings: Sequence[str]
    columns: Sequence[str]
    found: Read = field(default_factory=Read)
    first: dict[tuple[str, str], int] = field(default_factory=dict)
    """The rows of codes and names, each of which stands there once."""

    def take(self, number: int, cells: Sequence[str], desks: Desks) -> None:
        """Read a row: its matter, or all that is wrong with it."""
        values = dict(zip(self.columns, cells, strict=False))
        code = clean(values.get("code", "")) or None
        matter, wrong = matter_of(values, desks)
        said = [(self._column(one.field), one.reason) for one in wrong]
        for place, cell in enumerate(cells):
            if cell.strip() and (place >= len(self.columns) or not self.columns[place]):
                said.append((letters(place), "has no heading"))
        for name in ("code", "name"):
            text = normal(values.get(name, ""))
            before = self.first.setdefault((name, text), number) if text else number
            if before != number:
                reason = f"{values[name].strip()!r} stands in row {before} already"
                said.append((self._column(name), reason))
        if said:
            self.found.broken += [Broken(number, column, why, code) for column, why in said]
        elif matter is not None:
            self.found.matters.append(matter)

    def _column(self, field: str) -> str:
        if field not in self.columns:
            return HEADINGS[field][0]
        place = self.columns.index(field)
        return f"{letters(place)} ({self.headings[place].strip()})"


def _columns(number: int, headings: Sequence[str]) -> list[str]:
    """The fields of the columns, in order; raises :class:`MatterFileRefused`."""
    wrong: list[Broken] = []
    columns: list[str] = []
    for place, text in enumerate(headings):
        name = _FIELDS.get(normal(text), "")
        if not text.strip():
            columns.append("")
            continue
        where = f"{letters(place)} ({text.strip()})"
        if not name:
            known = ", ".join(HEADINGS[one][0] for one in COLUMNS)
            wrong.append(Broken(number, where, f"is no heading that is known: {known}, 备注"))
        elif name != IGNORED and name in columns:
            wrong.append(Broken(number, where, "is there twice"))
        columns.append(name)
    for name in NEEDED:
        if name not in columns:
            zh, en = HEADINGS[name][:2]
            wrong.append(Broken(number, None, f"there is no column {zh} ({en})"))
    if wrong:
        raise MatterFileRefused(wrong)
    return columns


def letters(place: int) -> str:
    """A column's letters as a spreadsheet shows them: 0 is A, 26 is AA."""
    text = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _refused(reason: str) -> MatterFileRefused:
    return MatterFileRefused([Broken(None, None, reason)])


# -- CSV ------------------------------------------------------------------------------------------


def _csv(data: bytes) -> Iterator[_Row]:
    text = _text(data)
    # A tab or a semicolon, as some spreadsheets write, is seen in the row of headings.
    head = text.lstrip("\n").split("\n", 1)[0]
    comma = max(",\t;", key=head.count)
    rows = csv.reader(io.StringIO(text), delimiter=comma, strict=True)
    number = 1
    try:
        for row in rows:
            begin, number = number, rows.line_num + 1
            yield begin, row
    except csv.Error as error:
        raise MatterFileRefused([Broken(number, None, f"is no CSV: {error}")]) from None


def _text(data: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text.replace("\r\n", "\n").replace("\r", "\n")
    raise _refused("the file is neither XLSX nor text in UTF-8 or GB18030")


# -- XLSX -----------------------------------------------------------------------------------------

# The place of a cell that holds something: those that are only formatted are not read.
_PLACE = re.compile(
    rb"""<(?:\w+:)?c\s(?:[^<>]*\s)?r=["']([A-Z]{1,3})([0-9]{1,7})["'](?:[^<>]*[^/<>])?>"""
)
_PLACED = re.compile(rb"""<(?:\w+:)?c\s(?:[^<>]*\s)?r=["']""")
_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_ROW = re.compile(rb"""<(?:\w+:)?row\s(?:[^<>]*\s)?r=["']([0-9]{1,7})["']""")


def _xlsx(data: bytes) -> Iterator[_Row]:
    """The rows of the one sheet that is not empty."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        _check_size(data)
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheets = {
            name: book.get_sheet_by_name(name).to_python(skip_empty_area=False)
            for name in book.sheet_names
        }
    except (CalamineError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise _refused(f"the file is no XLSX that can be read: {error}") from None
    filled = [name for name, rows in sheets.items() if any(map(any, rows))]
    if len(filled) > 1:
        raise _refused(f"there are several sheets: {', '.join(filled)}; leave one")
    for number, row in enumerate(sheets[filled[0]] if filled else (), 1):
        yield number, [_cell(value) for value in row]


def _check_size(data: bytes) -> None:
    """Refuse a file that is small and fills the memory when it is read.

    What it says of its own size is not believed: its parts are unpacked as far as they may go.
    """
    rest = MAX_UNPACKED
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        for part in parts.infolist():
            unpacked = _unpacked(data, part, rest + 1)
            rest -= len(unpacked)
            if rest < 0:
                raise _refused(f"the file unpacks to more than {MAX_UNPACKED} bytes")
            _check_reach(unpacked)
        names = {part.filename.lower() for part in parts.infolist()}
    if "xl/workbook.xml" not in names or names & {"content.xml", "xl/workbook.bin"}:
        raise _refused("the file is no XLSX: save it as XLSX or CSV")


def _unpacked(data: bytes, part: zipfile.ZipInfo, most: int) -> bytes:
    """The bytes of a part, at most so many, whatever length is written beside it."""
    name, extra = struct.unpack_from("<HH", data, part.header_offset + 26)
    begin = part.header_offset + 30 + name + extra
    packed = data[begin : begin + part.compress_size]
    if part.compress_type == zipfile.ZIP_STORED:
        return packed[:most]
    if part.compress_type == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
    raise _refused("the file is packed in a way that is not known")


def _check_reach(part: bytes) -> None:
    """Refuse a sheet with a cell far from the others, as a stray key leaves it."""
    rows = columns = 0
    for letter, row in _PLACE.findall(part):
        rows = max(rows, int(row))
        columns = max(columns, _number(letter))
    if len(_CELL.findall(part)) > len(_PLACED.findall(part)):  # cells that only their row places
        rows = max([rows, *map(int, _ROW.findall(part))])
        columns = max(columns, 1)
    if rows * columns > MAX_CELLS:
        raise _refused(
            f"a sheet reaches to column {letters(columns - 1)} and row {rows}: "
            "delete what stands far below or to the right"
        )


def _number(column: bytes) -> int:
    """The number of a column: A is 1, AA is 27."""
    number = 0
    for letter in column:
        number = number * 26 + letter - ord("A") + 1
    return number


def _cell(value: Any) -> str:
    # A spreadsheet holds every number as a float: 110 comes as 110.0.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# -- what ships, and the way back -----------------------------------------------------------------


def sample() -> bytes:
    """The sample that ships: the categories of the source, and matters made up for each."""
    return (files("telephony") / "data" / SAMPLE_FILE).read_bytes()


def csv_of_matters(
    matters: Iterable[Matter], language: Language = "zh", *, bom: bool = True
) -> str:
    """The directory as CSV, which :func:`read_matters` reads back as it is.

    ``bom``: with a byte order mark, by which Excel knows UTF-8.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    place = 0 if language == "zh" else 1
    writer.writerow([HEADINGS[name][place] for name in COLUMNS])
    for one in matters:
        values = _written(one, language)
        writer.writerow([values[name] for name in COLUMNS])
    return (BOM if bom else "") + buffer.getvalue()


def _written(one: Matter, language: Language) -> Mapping[str, str]:
    zh = language == "zh"
    flags = ZH_FLAGS if zh else {True: "yes", False: "no"}
    return {
        "code": one.code,
        "name": one.name,
        "category": one.category,
        "direction": ZH_DIRECTIONS[one.direction] if zh else one.direction,
        "desk": one.desk,
        "urgency": ZH_URGENCIES[one.urgency] if zh else one.urgency,
        "feedback_h": "" if one.feedback_h is None else str(one.feedback_h),
        "keywords": ";".join(one.keywords),
        "stability": flags[one.stability],
        "danger": flags[one.danger],
    }
