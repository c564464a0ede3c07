"""The record in bulk: cells, formats, and files that are whole or not there."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from pyarrow import parquet  # type: ignore[import-untyped]
from python_calamine import CalamineWorkbook
from sqlalchemy import update

from telephony.bulk import csv as bulk_csv
from telephony.bulk import export, xlsx
from telephony.bulk import rows as bulk_rows
from telephony.bulk.cells import CHINA, cell
from telephony.bulk.parquet import ParquetMissing
from telephony.bulk.tables import TABLES, Format, Spec, What, spec_of
from telephony.database import Database
from telephony.errors import DatabaseUnavailable, InvalidValue
from telephony.masking import mask_leg
from telephony.record import queries
from telephony.record.queries import CaseFilter, HandoverFilter, LedgerFilter, LegFilter
from telephony.record.store import LEGS
from tests.conftest import _create_database as create_database
from tests.unit.day_of_calls import DAY, make

TRANSFER = "20261124-1795497294.19"
WHOLE = Spec("legs", LegFilter(), whole=True)
CITIZEN = "1795497294.19"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("p", marks=pytest.mark.postgres)])
def stored_day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with a day of recorded calls; tests change single legs of it."""
    folder = tmp_path_factory.mktemp("day")
    url = f"sqlite:///{folder}/record.sqlite"
    if request.param == "p":
        server: str = request.getfixturevalue("postgres_server")
        asyncio.run(create_database(server, "bulk"))
        url = server.replace("/postgres?", "/bulk?")

    async def fill() -> None:
        database = Database(url)
        await database.migrate()
        (folder / "Master.csv").write_bytes(DAY)
        await make(database, folder).catch_up()
        await database.close()

    asyncio.run(fill())
    return url


@pytest.fixture
async def day(stored_day: str) -> AsyncIterator[Database]:
    """A database with a day of recorded calls."""
    database = Database(stored_day)
    yield database
    await database.close()


async def text(database: Database, spec: Spec) -> str:
    return b"".join([piece async for piece in bulk_csv.chunks(database, spec)]).decode()


def read(found: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found, newline="")))


async def everything(database: Database, spec: Spec) -> list[dict[str, Any]]:
    return [row async for batch in bulk_rows.values(database, spec) for row in batch]


def left(folder: Path, pattern: str = "*legs*") -> list[str]:
    return [one.name for one in folder.glob(pattern)]


async def change(database: Database, uniqueid: str, **values: Any) -> None:
    async with database.writing() as connection:
        here = LEGS.c.uniqueid == uniqueid
        await connection.execute(update(LEGS).where(here).values(values))


ALL: list[Spec] = [
    Spec("legs", LegFilter(), whole=True),
    Spec("cases", CaseFilter(), whole=True),
    Spec("ledger", LedgerFilter(), whole=True),
    Spec("handovers", HandoverFilter(), whole=True),
]


async def test_given_cells_of_the_database_then_they_are_those_of_python(day: Database) -> None:
    await change(day, CITIZEN, caller="=1+1", party="04212800122", department='车管,"窗口"\n')
    for spec in ALL:
        await same_cells(day, spec)
        await same_cells(day, Spec(spec.what, spec.filters, headings="en", bom=True, whole=True))


async def same_cells(day: Database, spec: Spec) -> None:
    people = spec.headings != "names"
    found = list(csv.reader(io.StringIO(await text(day, spec), newline="")))
    rows = await everything(day, spec)
    assert len(found) == len(rows) + 1 > 3
    for cells, row in zip(found[1:], rows, strict=True):
        for got, column in zip(cells, spec.chosen, strict=True):
            want = cell(row[column.name], column, people=people, excel=people)
            if column.kind == "time" and want and not people:
                assert datetime.fromisoformat(got) == row[column.name]
            elif column.kind == "json":
                assert orjson.loads(got) == orjson.loads(want)
            elif column.kind in ("float", "int") and want is not None:
                assert float(got) == want
            else:
                assert got == ("" if want is None else want), column.name


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.what)
def test_given_a_table_then_its_columns_are_those_of_the_list(spec: Spec) -> None:
    database = Database("sqlite:///nothing.sqlite")
    known = {column.key for column in spec.table.select(database, spec.filters).selected_columns}
    assert [column.name for column in spec.chosen if column.name not in known] == []
    assert known - {column.name for column in spec.chosen} <= {"_at"}
    for headings in ("zh", "en"):
        heads = Spec(spec.what, spec.filters, headings=headings).heads
        assert len(set(heads)) == len(heads)
        assert all(heads)
    assert spec_of(spec.to_dict()) == spec


async def test_given_an_export_then_lists_are_json_and_all_legs_are_there(day: Database) -> None:
    rows = read(await text(day, WHOLE))
    whole = (await queries.list_legs(day, LegFilter(), limit=500)).items
    assert [row["uniqueid"] for row in rows] == [leg["uniqueid"] for leg in reversed(whole)]
    for row, leg in zip(rows, reversed(whole), strict=True):
        assert orjson.loads(row["segments"]) == leg["segments"]
        assert orjson.loads(row["channels"]) == leg["channels"]
        assert row["hold_s"] == ""
        assert datetime.fromisoformat(row["started_at"]) == leg["started_at"]


async def test_given_pieces_of_any_size_then_the_file_is_the_same(
    day: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one = await text(day, WHOLE)
    monkeypatch.setattr(bulk_rows, "_PIECE", 1)
    assert await text(day, WHOLE) == in_one
    assert len(read(in_one)) > 10


async def test_given_text_of_a_caller_then_no_spreadsheet_takes_it_for_a_formula(
    day: Database,
) -> None:
    texts = [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ("+", "'+"),
        ("+86138\n", "'+86138\n"),
        ("+8613804210001", "+8613804210001"),
        ("13804210001", "13804210001"),
        ("a=b", "a=b"),
    ]
    legs = [leg["uniqueid"] for leg in (await queries.list_legs(day, LegFilter())).items]
    for leg, (given, _) in zip(legs, texts, strict=False):
        await change(day, leg, party=given, talk_s=-1.5)
    rows = {row["uniqueid"]: row for row in read(await text(day, WHOLE))}
    assert [rows[leg]["party"] for leg, _ in zip(legs, texts, strict=False)] == [
        shown for _, shown in texts
    ]
    assert float(rows[legs[0]]["talk_s"]) == -1.5  # a number is no text


async def test_given_an_empty_export_then_the_header_is_there(database: Database) -> None:
    assert (await text(database, WHOLE)).startswith("pbx,uniqueid,channels,")


async def test_given_excel_then_there_is_a_bom_and_numbers_keep_their_zeros(day: Database) -> None:
    await change(day, CITIZEN, caller="04212800122", party="anonymous")
    names = ("caller", "uniqueid", "party", "started_at", "talk_s")
    spec = Spec("legs", LegFilter(case=TRANSFER), names, "zh", bom=True, whole=True)
    found = await text(day, spec)
    assert found.startswith("\ufeff来电号码,话路号,参与方,开始（北京时间）,通话（秒）")
    (row,) = [one for one in read(found) if one["话路号"] == f"\t{CITIZEN}"]
    assert (row["\ufeff来电号码"], row["参与方"]) == ("\t04212800122", "anonymous")
    assert row["开始（北京时间）"] == "2026-11-24 13:14:54"
    plain = read(await text(day, Spec("legs", LegFilter(case=TRANSFER), names, whole=True)))
    assert plain[0]["caller"] == "04212800122"


async def test_given_a_masked_export_then_no_number_is_in_it(day: Database, tmp_path: Path) -> None:
    number = "13812345678"
    await change(day, CITIZEN, caller=number, party=number)
    legs = (await queries.list_legs(day, LegFilter(case=TRANSFER))).items
    for spec in (Spec("legs", LegFilter(case=TRANSFER)), Spec("cases", CaseFilter())):
        found = await text(day, spec)
        assert number not in found
        assert number[-4:] in found
    target = tmp_path / "legs.parquet"
    await export.write(day, Spec("legs", LegFilter(case=TRANSFER), format="parquet"), target)
    callers = set(parquet.read_table(target)["caller"].to_pylist())
    assert callers == {mask_leg(leg)["caller"] for leg in legs}


async def test_given_a_spreadsheet_then_texts_are_texts_and_times_are_times(
    day: Database, tmp_path: Path
) -> None:
    await change(day, CITIZEN, caller="04212800122", party="=HYPERLINK(1)")
    for what in TABLES:
        await a_spreadsheet(day, tmp_path, what)
    assert left(tmp_path, ".*") == []


async def a_spreadsheet(day: Database, tmp_path: Path, what: What) -> None:
    target = tmp_path / "x.xlsx"
    spec = Spec(what, TABLES[what].filters(), headings="en", format="xlsx", whole=True)
    written = await export.write(day, spec, target)
    assert written.bytes == target.stat().st_size
    sheet = CalamineWorkbook.from_path(str(target)).get_sheet_by_index(0).to_python()
    rows = await everything(day, spec)
    assert sheet[0] == spec.heads
    assert len(sheet) == written.rows + 1 == len(rows) + 1
    for cells, row in zip(sheet[1:], rows, strict=True):
        for got, column in zip(cells, spec.chosen, strict=True):
            want = row[column.name]
            if want is None:
                assert got == ""
            elif column.kind == "time":
                clock = want.astimezone(CHINA).replace(tzinfo=None)
                assert abs((got - clock).total_seconds()) < 0.002
            elif column.kind == "json":
                assert orjson.loads(str(got)) == want
            else:
                assert got == want
                assert isinstance(got, str) == isinstance(want, str)


async def test_given_more_rows_than_a_sheet_holds_then_they_go_on_in_another(
    day: Database, tmp_path: Path
) -> None:
    spec = Spec("legs", LegFilter(), ("uniqueid", "segments"), "zh", "xlsx", whole=True)
    rows = await everything(day, spec)
    rows[0]["segments"] = ["x" * 40_000]  # more than a cell holds
    target = tmp_path / "legs.xlsx"
    writer = xlsx.XlsxWriter(target, "通话", spec.chosen, spec.heads, max_rows=20)
    writer.write(rows)
    writer.close()
    book = CalamineWorkbook.from_path(str(target))
    assert book.sheet_names[:2] == ["通话", "通话 2"]
    sheets = [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]
    assert {tuple(sheet[0]) for sheet in sheets} == {("话路号", "通话段")}
    assert [len(sheet) for sheet in sheets[:-1]] == [20] * (len(sheets) - 1)
    found = [row[0] for sheet in sheets for row in sheet[1:]]
    assert found == [row["uniqueid"] for row in rows]
    assert len(str(sheets[0][1][1])) == xlsx.MAX_TEXT
    assert xlsx.MAX_ROWS == 2**20


async def test_given_parquet_then_kinds_are_kept(day: Database, tmp_path: Path) -> None:
    target = tmp_path / "legs.parquet"
    spec = Spec("legs", LegFilter(), format="parquet", whole=True)
    written = await export.write(day, spec, target)
    rows = await everything(day, spec)
    found = parquet.read_table(target).to_pylist()
    assert len(found) == written.rows == len(rows)
    for got, row in zip(found, rows, strict=True):
        assert orjson.loads(got["segments"]) == row["segments"]
        for name in ("uniqueid", "caller", "started_at", "talk_s", "cause"):
            assert got[name] == row[name]


async def test_given_no_pyarrow_then_it_says_what_to_install(
    day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.bulk.parquet.find_spec", lambda _: None)
    spec = Spec("legs", LegFilter(), format="parquet")
    with pytest.raises(ParquetMissing, match=r"pip install 'hotline-telephony\[parquet\]'"):
        await export.write(day, spec, tmp_path / "legs.parquet")
    assert left(tmp_path) == []


async def test_given_a_disk_that_fills_up_then_it_says_so_and_leaves_no_half_file(
    day: Database, tmp_path: Path
) -> None:
    for form in get_args(Format):
        target = tmp_path / f"legs.{form}"
        # The file that is written is a device that is full.
        target.with_name(f".{target.name}.part").symlink_to("/dev/full")
        with pytest.raises(export.DiskFull, match="is full"):
            await export.write(day, Spec("legs", LegFilter(), format=form, whole=True), target)
        assert left(tmp_path) == []


async def test_given_no_room_then_it_is_refused_beforehand(day: Database, tmp_path: Path) -> None:
    with pytest.raises(export.DiskFull, match="MB are to stay free"):
        await export.write(day, WHOLE, tmp_path / "x.csv", keep_free=2**60)
    with pytest.raises(export.NotWritable):
        await export.write(day, WHOLE, tmp_path / "none" / "x.csv")


async def test_given_an_export_that_is_given_up_then_nothing_is_left(
    day: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in get_args(Format):
        spec = Spec("legs", LegFilter(), format=form, whole=True)
        writing = asyncio.create_task(export.write(day, spec, tmp_path / f"legs.{form}"))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert left(tmp_path) == []
    async for _ in bulk_csv.chunks(day, WHOLE):
        break  # whoever fetches it goes away
    assert len(read(await text(day, WHOLE))) > 10


async def test_given_a_column_that_is_not_there_then_it_is_named(day: Database) -> None:
    for columns, said in ((("nothing",), "no column is called nothing"), (("pbx", "pbx"), "twice")):
        with pytest.raises(InvalidValue, match=said):
            await text(day, Spec("legs", LegFilter(), columns))


async def test_given_no_tables_then_the_database_is_named(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    for whole in (True, False):
        with pytest.raises(DatabaseUnavailable):
            await text(database, Spec("legs", LegFilter(), whole=whole))
    await database.close()
