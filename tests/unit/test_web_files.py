"""The files of the web pages: vendored ones are what they say, words are there in both languages,
nothing stands in a page that its Content-Security-Policy forbids.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "api" / "web"
FIRST_LOAD_LIMIT = 200_000
PAGES = sorted(WEB.glob("*/index.html"))
WORKED_AT = [page for page in PAGES if page.parent.name != "docs"]
"""Pages that people work at all day; /docs is read by who connects another system."""
ADDRESS = r'(?:src|href)="/([^"]+\.\w+)"'
MODULES = sorted(file for file in WEB.rglob("*.js") if file.parent.name != "vendor")


def test_each_vendored_file_has_its_licence_version_and_checksum() -> None:
    readme = (WEB / "vendor" / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.-]+)` .*`([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    files = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (WEB / "vendor").iterdir()
        if file.suffix in {".js", ".css", ".woff2"}
    }
    assert rows == files
    for licence in re.findall(r"\]\((LICENSE[\w.-]+)\)", readme):
        assert (WEB / "vendor" / licence).stat().st_size > 500


def test_every_word_is_there_in_chinese_and_in_english() -> None:
    checked = 0
    for module in MODULES:
        for zh, en in re.findall(
            r"words\(\{\s*zh: \{(.*?)\n  \},\s*en: \{(.*?)\n  \},?\s*\}\)",
            module.read_text(),
            re.DOTALL,
        ):
            keys = [re.findall(r'(?:^|[,{\s])"([\w.-]+)": ', part) for part in (zh, en)]
            assert keys[0], module
            assert keys[0] == keys[1], module
            assert len(set(keys[0])) == len(keys[0]), module
            checked += len(keys[0])
    assert checked > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_a_page_holds_no_inline_script_or_style_and_names_files_that_exist(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text)
    for address in re.findall(ADDRESS, text):
        assert (WEB / address).is_file(), address


@pytest.mark.parametrize("page", WORKED_AT, ids=lambda page: page.parent.name)
def test_the_first_load_is_below_200_kb_gzipped(page: Path) -> None:
    todo = [WEB / name for name in re.findall(ADDRESS, page.read_text())]
    seen = {page}
    while todo:
        file = todo.pop().resolve()
        if file in seen:
            continue
        seen.add(file)
        if file.suffix == ".js" and file.parent.name != "vendor":
            text = file.read_text()
            todo += [file.parent / name for name in re.findall(r'from "(\.[^"]+)"', text)]
    total = sum(len(gzip.compress(file.read_bytes(), mtime=0)) for file in seen)
    assert total < FIRST_LOAD_LIMIT, f"{total} bytes: {sorted(file.name for file in seen)}"


def test_modules_import_files_that_exist() -> None:
    for module in MODULES:
        names = re.findall(r'(?:from|import)\s*\(?\s*"(\.[^"]+)"', module.read_text())
        assert [name for name in names if not (module.parent / name).is_file()] == [], module
