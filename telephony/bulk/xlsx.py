"""XLSX, written row by row: memory stays the same whatever its length.

Numbers of telephones are texts, so 0421… keeps its zero; no text becomes a formula, a link or a
number. A sheet holds 1,048,576 rows with its heading; what is more goes on in another sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.exceptions import FileCreateError  # type: ignore[import-untyped]

from telephony.bulk.cells import china_clock
from telephony.bulk.tables import Column

MAX_ROWS = 1_048_576
MAX_TEXT = 32_767
_CUT = "…"


class XlsxWriter:
    """A workbook that is being written; :meth:`close` finishes it.

    Raises OSError when the disk is full.
    """

    def __init__(
        self,
        file: Path,
        title: str,
        columns: Sequence[Column],
        heads: Sequence[str],
        *,
        max_rows: int = MAX_ROWS,
    ) -> None:
        # Sheets are put together in files beside the target: the same disk, which was looked at.
        options = {"constant_memory": True, "tmpdir": str(file.parent)}
        self._target = _Target(file)
        self._book = xlsxwriter.Workbook(self._target, options)
        self._book.use_zip64()
        self._bold = self._book.add_format({"bold": True})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._title, self._columns, self._heads = title, columns, heads
        self._max = max_rows
        self._sheets = 0
        self._new_sheet()

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows, by the names of the columns."""
        for row in rows:
            if self._next == self._max:
                self._new_sheet()
            for place, column in enumerate(self._columns):
                value = row[column.name]
                if value is not None:
                    self._cell(place, column, value)
            self._next += 1

    def close(self) -> None:
        """Finish the file."""
        try:
            self._book.close()
        except FileCreateError as error:
            raise error.args[0] from None  # what the disk said
        self._target.close()

    def abandon(self) -> None:
        """Let go of the file, whatever is in it, and of those beside it."""
        self._target.give_up()
        for sheet in self._book.worksheets():
            sheet.row_data_fh.close()
            Path(sheet.row_data_filename).unlink(missing_ok=True)
        self._book.fileclosed = True

    def _new_sheet(self) -> None:
        self._sheets += 1
        name = self._title if self._sheets == 1 else f"{self._title} {self._sheets}"
        self._sheet = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        for place, (column, head) in enumerate(zip(self._columns, self._heads, strict=True)):
            self._sheet.set_column(place, place, _WIDTHS.get(column.kind, 14))
            self._sheet.write_string(0, place, head, self._bold)
        self._next = 1

    def _cell(self, place: int, column: Column, value: Any) -> None:
        sheet, at = self._sheet, self._next
        match column.kind:
            case "int" | "float":
                sheet.write_number(at, place, value)
            case "bool":
                sheet.write_boolean(at, place, value)
            case "time":
                moment: datetime = china_clock(value)
                sheet.write_datetime(at, place, moment, self._time)
            case kind:
                text = orjson.dumps(value).decode() if kind == "json" else value
                if len(text) > MAX_TEXT:  # a cell cannot hold more
                    text = text[: MAX_TEXT - 1] + _CUT
                sheet.write_string(at, place, text)


class _Target:
    """The file; once it is given up nothing is written any more, though zipfile still tries."""

    def __init__(self, file: Path) -> None:
        self._file: BinaryIO | None = file.open("wb")
        self._at = 0

    def give_up(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written is thrown away anyhow
                file.close()

    def write(self, data: bytes) -> int:
        self._at += len(data)
        return len(data) if self._file is None else self._file.write(data)

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset if self._file is None else self._file.seek(offset)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


_WIDTHS = {"time": 20, "number": 18, "e164": 18, "id": 26}
