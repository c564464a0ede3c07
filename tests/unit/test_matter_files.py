"""Files of matters: CSV and XLSX, every mistake by its place, and the way back."""

from __future__ import annotations

import io
import zipfile

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from telephony.matters.files import (
    MAX_BYTES,
    MatterFileRefused,
    csv_of_matters,
    letters,
    read_matters,
    sample,
)
from telephony.matters.rules import DIRECTIONS, URGENCIES, Desks, Matter

DESKS = Desks(frozenset({"110", "12345", "122"}))
HEAD = "编号,名称,类别,方向,席位,反馈时限,涉稳,备注\n"
GOOD = "101,噪声,治安,双向,12345,24,否,说明\n102,火灾,灾害,12345转110,,2,,\n"


def xlsx(*sheets: list[list[object]]) -> bytes:
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    for rows in sheets:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()
    return buffer.getvalue()


def codes(data: bytes) -> list[str]:
    found = read_matters(data, DESKS)
    assert found.broken == []
    return [one.code for one in found.matters]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_given_csv_in_any_of_the_encodings_then_it_is_read(encoding: str, ends: str) -> None:
    assert codes((HEAD + "\n" + GOOD).replace("\n", ends).encode(encoding)) == ["101", "102"]


def test_given_english_headings_or_tabs_or_semicolons_then_it_is_read() -> None:
    english = "code,name,category,direction\n1,Fire,Disaster,to_110\n"
    assert codes(english.encode()) == ["1"]
    assert codes(english.replace(",", "\t").encode()) == ["1"]
    assert codes(english.replace(",", ";").encode()) == ["1"]


def test_given_xlsx_with_numbers_and_flags_then_it_is_read_as_it_looks() -> None:
    rows: list[list[object]] = [
        [],
        ["编号", "名称", "类别", "方向", "席位", "反馈时限", "涉稳"],
        [101, "噪声", "治安", "双向", 12345, 24, False],
        ["", "", "", "", "", "", ""],
        [102, "火灾", "灾害", "12345转110", "", "", True],
    ]
    found = read_matters(xlsx(rows, []), DESKS)
    assert found.broken == []
    assert [(one.code, one.desk, one.feedback_h, one.stability) for one in found.matters] == [
        ("101", "12345", 24, False),
        ("102", "110", None, True),
    ]


def test_given_wrong_rows_then_each_is_named_by_row_column_and_reason_and_the_rest_is_read() -> (
    None
):
    text = HEAD + GOOD + '\n"103","多\n行",,双向,12345,x,否,\n101,别的,治安,双向,12345,,,\n'
    text += "104,火灾,灾害,双向,119,,,,多\n"
    found = read_matters(text.encode(), DESKS)
    assert [one.code for one in found.matters] == ["101", "102"]
    assert found.rows == 5
    assert [(one.row, one.column, one.code) for one in found.broken] == [
        (5, "B (名称)", "103"),
        (5, "C (类别)", "103"),
        (5, "F (反馈时限)", "103"),
        (7, "A (编号)", "101"),
        (8, "E (席位)", "104"),
        (8, "I", "104"),
        (8, "B (名称)", "104"),
    ]
    assert str(found.broken[3]) == "row 7, column A (编号): '101' stands in row 2 already"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (HEAD.encode(), "only headings"),
        (b"a,b\n", "column A (a): is no heading"),
        ("编号,名称,类别\n".encode(), "there is no column 方向 (direction)"),
        ("编号,名称,类别,方向,编码\n".encode(), "column E (编码): is there twice"),
        (b"\x00\x01\x02", "neither XLSX nor text"),
        ('编号,名称,类别,方向\n1,"x"y,c,双向\n'.encode(), "row 2: is no CSV"),
        (b"PK\x03\x04 but no more", "no XLSX"),
        (xlsx([["编号"]], [["编号"]]), "several sheets: Sheet1, Sheet2"),
        (xlsx(), "is empty"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_given_a_file_that_is_none_then_it_is_refused_with_the_reason(
    data: bytes, reason: str
) -> None:
    with pytest.raises(MatterFileRefused) as refused:
        read_matters(data, DESKS)
    assert reason in refused.value.detail
    assert refused.value.detail.startswith("nothing was taken: ")


def test_given_a_small_file_that_unpacks_to_a_huge_one_then_it_is_not_unpacked() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/worksheets/sheet1.xml", b"0" * 101_000_000)
    assert len(buffer.getvalue()) < MAX_BYTES
    with pytest.raises(MatterFileRefused, match="unpacks to more"):
        read_matters(buffer.getvalue(), DESKS)


@given(st.binary(max_size=200))
def test_given_any_bytes_then_a_directory_or_a_refusal_and_nothing_else(data: bytes) -> None:
    for head in (b"", HEAD.encode(), b"PK\x03\x04"):
        try:
            found = read_matters(head + data, DESKS)
        except MatterFileRefused as refused:
            told: object = refused.broken
        else:
            told = found.broken or found.matters
        assert told


def test_given_the_sample_then_it_is_whole_marked_and_names_the_categories_of_the_source() -> None:
    found = read_matters(sample(), DESKS)
    assert found.broken == []
    assert all(one.is_sample for one in found.matters)
    assert {
        *("刑事案件", "治安案件", "道路交通案事件", "群体性事件", "公共设施险情", "灾害事故"),
        *("其他紧急求助", "警务投诉", "咨询", "建议", "求助", "表扬", "投诉"),
    } == {one.category for one in found.matters}
    assert {one.direction for one in found.matters} == set(DIRECTIONS)
    assert any(one.stability for one in found.matters)
    assert any(one.danger for one in found.matters)


TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Co", "Cn")),
    min_size=1,
    max_size=20,
).filter(lambda text: text == text.strip() and text[0] not in "=+-@＝＋－＠")
WORD = st.text("交通事故abc1", min_size=1, max_size=6)
MATTERS = st.lists(
    st.builds(
        Matter,
        code=st.from_regex(r"[A-Z][A-Z0-9._-]{0,8}", fullmatch=True).filter(
            lambda text: text.lower() not in ("export", "import", "versions")
        ),
        name=TEXT,
        category=TEXT,
        direction=st.sampled_from(DIRECTIONS),
        desk=st.just("122"),
        urgency=st.sampled_from(URGENCIES),
        feedback_h=st.none() | st.integers(1, 2000),
        keywords=st.lists(WORD, max_size=4, unique=True).map(tuple),
        stability=st.booleans(),
        danger=st.booleans(),
    ),
    min_size=1,
    max_size=5,
    unique_by=(lambda one: one.code, lambda one: one.name.casefold()),
)


@given(MATTERS, st.sampled_from(["zh", "en"]))
def test_given_any_directory_when_written_and_read_then_it_is_the_same(
    matters: list[Matter], language: str
) -> None:
    text = csv_of_matters(matters, language)  # type: ignore[arg-type]
    found = read_matters(text.encode(), DESKS)
    said = {one.reason for one in found.broken}
    # Names that differ only in width or case are one name.
    assert found.matters == matters or all("stands in row" in reason for reason in said)


def test_given_places_then_columns_are_named_as_spreadsheets_do() -> None:
    assert [letters(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


def test_given_a_cell_far_from_the_others_then_the_empty_ones_between_fill_no_memory() -> None:
    rows: list[list[object]] = [["编号", "名称", "类别", "方向"], [1, "火灾", "灾害", "转110"]]
    near = io.BytesIO(xlsx(rows))
    assert codes(near.getvalue()) == ["1"]
    for far in (b'<c r="XFD1048576"><v>1</v></c>', b"<c><v>1</v></c>"):
        row = b'<row r="1048576">' + far + b"</row></sheetData>"
        stray = repacked(near, "xl/worksheets/sheet1.xml", b"</sheetData>", row)
        wide = repacked(
            io.BytesIO(stray), "xl/worksheets/sheet1.xml", b"<sheetData>",
            b'<sheetData><row r="1"><c r="XFD1"><v>1</v></c></row>',
        )  # fmt: skip
        with pytest.raises(MatterFileRefused, match="to column XFD and row 1048576"):
            read_matters(wide, DESKS)
    formatted = b'<row r="1048576"><c r="XFD1048576" s="1"/></row></sheetData>'
    assert codes(repacked(near, "xl/worksheets/sheet1.xml", b"</sheetData>", formatted)) == ["1"]


def test_given_a_part_that_lies_about_its_length_then_it_is_not_unpacked_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("telephony.matters.files.MAX_UNPACKED", 50_000)
    fine = xlsx([["编号", "名称", "类别", "方向"], [1, "火灾", "灾害", "转110"]])
    assert codes(fine) == ["1"]
    large = repacked(io.BytesIO(fine), "docProps/app.xml", b"</Properties>", b" " * 100_000)
    with zipfile.ZipFile(io.BytesIO(large)) as parts:
        length = parts.getinfo("docProps/app.xml").file_size
    lies = large.replace(length.to_bytes(4, "little"), b"\x09\x00\x00\x00")
    assert lies != large
    with pytest.raises(MatterFileRefused, match="unpacks to more"):
        read_matters(lies, DESKS)


def test_given_another_kind_of_spreadsheet_then_it_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as parts:
        parts.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        parts.writestr("content.xml", "<x/>")
    with pytest.raises(MatterFileRefused, match="save it as XLSX or CSV"):
        read_matters(buffer.getvalue(), DESKS)


def repacked(book: io.BytesIO, name: str, before: bytes, after: bytes) -> bytes:
    """The workbook with other bytes in one of its parts."""
    made = io.BytesIO()
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            data = old.read(part)
            if part.filename == name:
                assert before in data
                data = data.replace(before, after, 1)
            new.writestr(part.filename, data)
    return made.getvalue()
