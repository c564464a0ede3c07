"""What the shell prints is what was written; what is refused there is one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from telephony.backup.archive import BackupUnusable, look_through
from telephony.commands.output import stderr, stdout
from telephony.people.rules import Person, PersonInvalid, check_person


def test_given_a_line_with_colons_then_it_is_printed_as_it_is() -> None:
    for console in (stdout, stderr):
        with console.capture() as printed:
            console.print("root:x:0", markup=False)
        assert printed.get() == "root:x:0\n"


@pytest.mark.parametrize("field", ["display_name", "department"])
def test_given_a_person_with_a_line_break_in_a_name_then_refused(field: str) -> None:
    person = replace(Person("lina", "李娜", ("admin",)), **{field: "a\nb"})  # type: ignore[arg-type]
    with pytest.raises(PersonInvalid) as caught:
        check_person(person, [])
    assert caught.value.extra["field"] == field


def test_given_a_file_that_is_no_backup_then_one_line_says_so(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.write_text("root:x:0:0:root:/root:/bin/bash\n")
    with pytest.raises(BackupUnusable, match="is no backup") as caught:
        look_through(file)
    assert "\n" not in caught.value.detail
