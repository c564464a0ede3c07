"""The directory of matters in the database: versions, ways back, two who import at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import insert

from telephony.cases.store import CASES
from telephony.database import Database
from telephony.errors import CaseNotFound
from telephony.legs.model import moment
from telephony.matters.book import MatterBook, MatterUnknown, MatterVersionNotFound
from telephony.matters.files import MatterFileRefused, Read, read_matters, sample
from telephony.matters.rules import Matter
from telephony.models import CaseRecord
from telephony.responsibility import GENESIS
from telephony.settings import Settings

CASE = "20261124-1795496800.0"


@pytest.fixture
def book(database: Database) -> MatterBook:
    return MatterBook(database, Settings())


def of(book: MatterBook, *matters: Matter) -> Read:
    found = read_matters(sample(), book.desks)
    return replace(found, matters=list(matters) or found.matters)


async def take(book: MatterBook, *matters: Matter) -> int | None:
    return (await book.take(of(book, *matters), source="f.csv", by="admin")).version


async def test_given_imports_then_each_is_a_version_and_the_same_again_is_none(
    book: MatterBook, database: Database
) -> None:
    assert (await book.refresh()).version == 0
    first = await book.take(of(book), source="f.csv", by="admin")
    assert (first.version, len(first.difference.new)) == (1, len(of(book).matters))
    assert await take(book) == 1
    one, two, *rest = of(book).matters
    changed = [replace(two, feedback_h=5), one, *rest[1:]]
    preview = await book.take(of(book, *changed), source="f.csv", by="admin", dry_run=True)
    assert preview.version is None
    assert book.directory.version == 1
    done = await book.take(of(book, *changed), source="g.csv", by="boss")
    assert done.version == 2
    assert done.difference == preview.difference
    assert (done.difference.changed, done.difference.removed) == ((two.code,), (rest[0].code,))
    # Another process sees it, in the file's order, and finds it by how it is spoken.
    other = await MatterBook(database, Settings()).refresh()
    assert other.version == 2
    assert [one.code for one in other.matters] == [one.code for one in changed]
    assert other.matters == book.directory.matters
    assert other.search("daolujiaotong").matters[0].name == "道路交通事故"
    told = [(one.version, one.source, one.imported_by) for one in await book.versions()]
    assert told == [(2, "g.csv", "boss"), (1, "f.csv", "admin")]


async def test_given_an_earlier_version_when_restored_then_it_is_the_newest_and_all_stay(
    book: MatterBook,
) -> None:
    await take(book)
    only = of(book).matters[0]
    await take(book, only)
    back = await book.restore(1, by="admin")
    assert (back.version, back.difference.unchanged) == (3, 1)
    assert (await book.restore(1, by="admin")).version == 3
    assert [one.code for one in await book.matters_of(2)] == [only.code]
    assert await book.matters_of(3) == await book.matters_of(1)
    assert [one.restored_from for one in await book.versions()] == [1, None, None]
    for version in (0, 4):
        with pytest.raises(MatterVersionNotFound):
            await book.restore(version, by="admin")


async def test_given_wrong_rows_then_nothing_is_taken_unless_asked_and_what_they_name_stays(
    book: MatterBook,
) -> None:
    await take(book)
    before = book.directory
    text = (
        sample().decode().replace("SAMPLE-121,道路交通事故,道路交通案事件,12345转110,122,紧急", "X")
    )
    text = text.replace("SAMPLE-122,有人受伤的交通事故", "SAMPLE-122,=1")
    text = text.replace("SAMPLE-103,案件线索举报", "SAMPLE-103,案件线索")
    read = read_matters(text.encode(), book.desks)
    with pytest.raises(MatterFileRefused) as refused:
        await book.take(read, source="f.csv", by="admin")
    assert {one.code for one in refused.value.broken} == {"SAMPLE-122", "X"}
    assert (await book.refresh()) is before
    done = await book.take(read, source="f.csv", by="admin", skip_broken=True)
    assert (done.version, done.kept) == (2, ("SAMPLE-122",))
    assert done.difference.changed == ("SAMPLE-103",)
    assert done.difference.removed == ("SAMPLE-121",)  # nothing in the file says that it is meant
    kept = book.directory.get("SAMPLE-122")
    assert kept is not None
    assert kept.name == "有人受伤的交通事故"


async def test_given_a_file_without_one_right_row_then_the_directory_is_not_emptied(
    book: MatterBook,
) -> None:
    await take(book)
    read = read_matters("编号,名称,类别,方向\nx,,,\n".encode(), book.desks)
    with pytest.raises(MatterFileRefused):
        await book.take(read, source="f.csv", by="admin", skip_broken=True)
    assert (await book.refresh()).version == 1


async def test_given_two_who_import_at_once_then_both_are_versions(
    book: MatterBook, database: Database
) -> None:
    other = MatterBook(database, Settings())
    one, two, *_ = of(book).matters
    found = await asyncio.gather(take(book, one), take(other, two), take(book, one, two))
    assert sorted(version or 0 for version in found) == [1, 2, 3]
    assert [one.version for one in await book.versions()] == [3, 2, 1]


async def test_given_a_matter_of_a_case_then_it_stays_as_it_was_when_it_was_chosen(
    book: MatterBook, database: Database
) -> None:
    at = moment(1_795_496_800_000_000)
    case = CaseRecord(case_id=CASE, pbx="pbx1", opened_at=at, state="taken", head=GENESIS)
    async with database.writing() as connection:
        await connection.execute(insert(CASES).values(case.model_dump()))
        assert await book.find(connection, "anything") is None  # no directory: any word will do
    await take(book)
    async with database.writing() as connection:
        chosen = await book.find(connection, "SAMPLE-121")
        assert chosen is not None
        await book.note(connection, CASE, chosen, by="8001")
        with pytest.raises(MatterUnknown) as unknown:
            await book.find(connection, "道路交通大事故")
    assert unknown.value.extra["nearest"].split(", ")[0] == "道路交通事故"
    await take(book, of(book).matters[0])
    now = await book.of_case(CASE)
    assert now.matter is not None
    assert (now.version, now.matter.name, now.matter.desk) == (1, "道路交通事故", "122")
    async with database.writing() as connection:
        assert await book.noted(connection, CASE) == (1, "SAMPLE-121")
        await book.note(connection, CASE, None, by="8001")
    assert (await book.of_case(CASE)).matter is None
    with pytest.raises(CaseNotFound):
        await book.of_case("20261124-1.1")
