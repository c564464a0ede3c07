"""``hotline dialplan check`` against dialplans with one thing changed: what is refused.

Usage: python -m bench.dialplan_mutations [COUNT] [SEED] [--rules]
COUNT dialplans of ours that are broken (each sends a caller elsewhere) and COUNT that are not, of
all kinds in turn, by SEED. None of the broken may pass, none of the others be refused: exit 1 else.
A scratch Asterisk reads each too, but for broken ones that the rules have found; ``--rules``: none.
Then an admin's own dialplan (custom_plan.conf), which has no settings to be compared with: which
kinds a check finds there, and which nobody can tell from an intention.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from bench.dialplan_mutants import BROKEN, HARMLESS, Mutant, file_gone, mutants, reordered
from telephony.asterisk_program import find_asterisk
from telephony.plans.check import Reference, Set, is_dialplan, judged, rendered, sounds_of
from telephony.plans.findings import Findings
from telephony.plans.scratch import names_of
from telephony.settings import Settings, load_settings

CUSTOM = Path(__file__).with_name("custom_plan.conf")
ROOT = {"extensions.conf": '#include "hotline/extensions/*.conf"\n'}


class Checker:
    """Checks whole sets of files, knowing everything that does not change between them."""

    def __init__(self, settings: Settings, *, scratch: bool) -> None:
        self.settings = settings
        self.program = find_asterisk()
        self.reference = Reference(rendered(settings))
        self.names = names_of(self.program)
        self.sounds = sounds_of(settings, self.program)
        self.scratch = scratch

    def ours(self) -> dict[str, str]:
        """The dialplans that the settings make."""
        return {name: text for name, text in self.reference.texts.items() if is_dialplan(name)}

    def check(self, mutant: Mutant, roots: list[str], *, judge: bool) -> Findings:
        """What is found in a mutant; Asterisk is asked when the rules find nothing, or always."""
        beside = self.reference.texts if "extensions.conf" not in mutant.files else None
        others = {n: t for n, t in self.reference.texts.items() if not is_dialplan(n)}
        files = {**others, **mutant.files}
        found = Set(files, self.settings, self.reference, roots, beside=beside)
        findings = Findings(found.examine(self.names, self.sounds))
        if self.scratch and (judge or findings.ok):
            findings = judged(found, self.names, self.sounds, self.program)
        return findings


def run(checker: Checker, what: str, made: Iterable[Mutant], roots: list[str], *, bad: bool) -> int:
    """Check mutants and print them by kind; returns how many came out wrong."""
    all_, refused, near = Counter[str](), Counter[str](), Counter[str]()
    wrong = []
    for mutant in made:
        findings = checker.check(mutant, roots, judge=not bad)
        all_[mutant.kind] += 1
        refused[mutant.kind] += not findings.ok
        near[mutant.kind] += any(
            one.file == mutant.file and abs(one.line - mutant.line) <= 1 for one in findings.errors
        )
        if findings.ok == bad:
            wrong.append((mutant, findings))
    print(f"\n{what}: {all_.total()} in {len(all_)} classes, {refused.total()} refused")
    for kind in all_:
        told = f", the line told in {near[kind]}" if bad else ""
        print(f"  {kind:40} {refused[kind]:4} of {all_[kind]:3} refused{told}")
    for mutant, findings in wrong:
        print(f"  WRONG {mutant.kind}: {mutant.file}:{mutant.line}: {mutant.what[:150]}")
        for one in findings.errors[:2]:
            print(f"        {one}")
    return len(wrong)


def custom(checker: Checker, count: int, seed: int) -> int:
    """An admin's own plan: kinds that are found, and those that look like what was meant."""
    files = {CUSTOM.name: CUSTOM.read_text(encoding="utf-8")}
    all_, refused = Counter[str](), defaultdict[str, int](int)
    for mutant in mutants(files, BROKEN, count, seed):
        all_[mutant.kind] += 1
        findings = checker.check(mutant, [CUSTOM.name], judge=False)
        refused[mutant.kind] += not findings.ok
    print(
        f"\nbroken, an admin's own, nothing to compare with: {sum(refused.values())} of "
        f"{all_.total()} refused"
    )
    for kind, made in all_.items():
        seen = refused[kind]
        word = "found" if seen == made else "NOT FOUND" if not seen else "found in part"
        print(f"  {kind:40} {seen:4} of {made:3}  {word}")
    harmless = mutants(files, HARMLESS, count // 2, seed)
    return run(checker, "harmless, an admin's own", harmless, [CUSTOM.name], bad=False)


def main() -> int:
    """Print what comes of each class; 1 when a broken one passes or a harmless one is refused."""
    numbers = [int(one) for one in sys.argv[1:] if one.isdecimal()]
    count, seed = [*numbers, *(200, 1)[len(numbers) :]][:2]
    settings = load_settings(pbx={"ami_secret": "not-needed-here"})
    checker = Checker(settings, scratch="--rules" not in sys.argv)
    files = {**checker.ours(), **ROOT}
    roots = ["extensions.conf"]
    gone = [file_gone(files, seed + number) for number in range(3)]
    broken = islice([*gone, *mutants(files, BROKEN, count, seed)], count)
    wrong = run(checker, "broken, ours", broken, roots, bad=True)
    shuffled = [reordered(files, seed + number) for number in range(max(count // 10, 1))]
    harmless = islice([*shuffled, *mutants(files, HARMLESS, count, seed)], count)
    wrong += run(checker, "harmless, ours", harmless, roots, bad=False)
    wrong += custom(checker, count // 2, seed)
    print(f"\nseed {seed}: {wrong} came out wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
