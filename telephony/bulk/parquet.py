"""Parquet, by Apache Arrow: an extra, since it is large and few need it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from telephony.bulk.tables import Column
from telephony.errors import HotlineError


class ParquetMissing(HotlineError):
    """The program was installed without what writes Parquet."""

    code = "parquet-missing"
    status = 422
    title = "Parquet is not installed"


def check_installed() -> None:
    """Raise :class:`ParquetMissing` where pyarrow is not there."""
    if find_spec("pyarrow") is None:
        raise ParquetMissing(
            "Parquet needs the extra `parquet`: pip install 'hotline-telephony[parquet]', "
            "or choose csv or xlsx"
        )


class ParquetWriter:
    """A file that is being written, one row group a batch; :meth:`close` finishes it."""

    def __init__(self, file: Path, columns: Sequence[Column], heads: Sequence[str]) -> None:
        check_installed()
        import pyarrow as arrow  # type: ignore[import-untyped]
        from pyarrow import parquet

        self._arrow = arrow
        kinds = {
            "int": arrow.int64(),
            "float": arrow.float64(),
            "bool": arrow.bool_(),
            "time": arrow.timestamp("us", tz="UTC"),
        }
        self._columns = columns
        self._schema = arrow.schema(
            [
                (head, kinds.get(column.kind, arrow.string()))
                for head, column in zip(heads, columns, strict=True)
            ]
        )
        self._target = file.open("wb")
        self._writer = parquet.ParquetWriter(self._target, self._schema, compression="zstd")

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows, by the names of the columns."""
        arrays = []
        for column, field in zip(self._columns, self._schema, strict=True):
            found = [row[column.name] for row in rows]
            if column.kind == "json":
                found = [orjson.dumps(value).decode() for value in found]
            arrays.append(self._arrow.array(found, type=field.type))
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._target.close()

    def abandon(self) -> None:
        """Let go of the file, whatever is in it."""
        with suppress(OSError):  # what could not be written is thrown away anyhow
            self._target.close()
