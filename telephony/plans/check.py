"""``check``: everything that is known to go wrong with a dialplan, before a call finds it.

The files are read twice: by rules of ours, which know what a caller meets, and by a scratch
Asterisk of the PBX's version, which knows what it would load. Where the two read a file differently
that is a finding too, so nothing passes that one of them has not understood.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from telephony.asterisk_program import AsteriskProgram, find_asterisk
from telephony.dialplan import HEADER, SOUNDS
from telephony.plans import wanted
from telephony.plans.config_lines import Resolve, read_config
from telephony.plans.devices import check_devices, known_devices
from telephony.plans.dialplan_lines import Context, Plan, merged, read_plan
from telephony.plans.findings import Finding, Findings
from telephony.plans.flow import check_contexts, check_flow
from telephony.plans.mirror import Mirror, compare_with
from telephony.plans.names import Names, check_names
from telephony.plans.others import FORKS, check_others, check_sections
from telephony.plans.ours import compare
from telephony.plans.places import Places, check_targets
from telephony.plans.prompts import Exists, SoundFolders, check_prompts
from telephony.plans.scratch import judge, names_of
from telephony.plans.sources import beside_on_disk, gather
from telephony.settings import Settings

Texts = Mapping[str, str]
"""Files of a configuration by their path below its folder, such as ``hotline/features.conf``."""
EXTENSIONS = "hotline/extensions/"
ELSEWHERE = ("parkedcalls",)
"""Contexts that Asterisk's modules make by themselves."""


def check(
    files: Texts,
    settings: Settings,
    roots: Sequence[str] = (),
    *,
    beside: Texts | None = None,
    program: AsteriskProgram | None = None,
    resolve: Resolve | None = None,
) -> Findings:
    """Check files that are to be loaded together.

    ``roots``: those that Asterisk would read first (default: every dialplan among the files).
    ``beside``: what is loaded with them and not looked at itself (default: what the settings make).
    ``resolve``: what an include brings (default: one of the files).
    Blocks for a second or two: in a service call it in a thread. Raises
    :class:`~telephony.errors.SetupError` when no Asterisk can be started to ask.
    """
    program = program or find_asterisk()
    with ThreadPoolExecutor(1) as aside:
        asking = aside.submit(names_of, program)
        reference = Reference(rendered(settings))
        all_files = {**beside_on_disk(settings.pbx.etc), **files}
        roots = roots or _roots(files)
        found = Set(all_files, settings, reference, roots, beside=beside, resolve=resolve)
        names = asking.result()
    if modules := loaded_modules(all_files):
        names = replace(names, loaded=modules)
    return judged(found, names, sounds_of(settings, program), program)


def judged(found: Set, names: Names, exists: Exists, program: AsteriskProgram) -> Findings:
    """What our rules find in files that are loaded together, and what Asterisk says of them."""
    mirror = Mirror(found.configs)
    with ThreadPoolExecutor(1) as aside:
        judging = aside.submit(judge, program, mirror.files, list(found.own.contexts))
        findings = found.examine(names, exists)
        verdict = judging.result()
    return Findings([*findings, *compare_with(verdict, mirror, found.own, findings)])


def check_files(
    paths: Sequence[Path],
    settings: Settings,
    *,
    folder: Path | None = None,
    program: AsteriskProgram | None = None,
) -> Findings:
    """Check files on disk, as :func:`check`; without any, what would be loaded.

    ``folder``: the PBX's configuration folder, below which includes are looked for.
    """
    if not paths:
        return check_wanted(settings, program=program)
    sources = gather(paths, folder)
    if not sources.roots:
        return Findings(sources.findings)
    findings = check(
        sources.texts, settings, sources.roots, program=program, resolve=sources.resolve
    )
    return Findings([*sources.findings, *findings])


def check_wanted(settings: Settings, *, program: AsteriskProgram | None = None) -> Findings:
    """Check what ``load`` would put on a PBX: ours, and the admin's own beside it."""
    ours = rendered(settings)
    folder = wanted.custom_folder(settings)
    own = sorted(folder.glob("*.conf")) if folder.is_dir() else []
    sources = gather(own, folder)
    texts = {**ours, **{name: sources.texts[name] for name in sources.roots}}
    roots = [*_roots(ours), *sources.roots]
    resolve = sources.resolve if own else None
    findings = check(texts, settings, roots, beside=ours, program=program, resolve=resolve)
    return Findings([*sources.findings, *findings])


def rendered(settings: Settings) -> dict[str, str]:
    """What the settings make and ``load`` loads, without the admin's own."""
    return wanted.rendered(settings)


def is_dialplan(name: str) -> bool:
    """Whether a file of a configuration is (part of) a dialplan."""
    return name.startswith(EXTENSIONS) or posixpath.basename(name).startswith("extensions")


def sounds_of(settings: Settings, program: AsteriskProgram) -> Exists:
    """The sounds that a PBX of this program has beside ours, for the languages of the lines."""
    data = program.data / "sounds"
    english = [one for one in sorted(data.glob("en*")) if one.is_dir()]
    languages = {line.language for line in settings.every_line}
    return SoundFolders(
        {
            one: [SOUNDS / one, data / one, data / one.split("_")[0], data]
            for one in sorted(languages)
        },
        [*english, SOUNDS / "en"],
    )


def loaded_modules(files: Texts) -> frozenset[str] | None:
    """The modules that ``modules.conf`` names, where it says that no others are loaded."""
    named = (text for name, text in files.items() if posixpath.basename(name) == "modules.conf")
    text = next(named, None)
    if text is None or FORKS.search(text):
        # What it includes may load more.
        return None
    lines = [
        line for section in read_config("modules.conf", text).sections for line in section.lines
    ]
    if not any(
        line.key == "autoload" and line.value.lower() in ("no", "false", "0", "off")
        for line in lines
    ):
        return None
    return frozenset(
        line.value.removesuffix(".so")
        for line in lines
        if line.key in ("load", "preload", "require", "preload-require")
    )


class Reference:
    """What the settings make: files, the dialplan in them, and which file has which contexts."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.plan = _plan_of(texts)
        self.homes = {
            name: list(read_plan(read_config(name, text)).contexts)
            for name, text in texts.items()
            if is_dialplan(name)
        }


class Set:
    """Files that are loaded together, read by our rules. Pure."""

    def __init__(
        self,
        files: Texts,
        settings: Settings,
        reference: Reference,
        roots: Sequence[str] = (),
        *,
        beside: Texts | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        beside = reference.texts if beside is None else beside
        self._shared = settings.trunk_context
        self.reference = reference.plan
        self._reference_texts = reference.texts
        self._given = set(files)
        self._homes = reference.homes
        self.configs = [
            read_config(root, files[root], resolve or _resolver(files))
            for root in roots or _roots(files)
        ]
        self.read = {name for config in self.configs for name in config.texts}
        self.own = merged([read_plan(config) for config in self.configs])
        self.expected = self._expected()
        others = {
            name: text
            for name, text in beside.items()
            if is_dialplan(name) and not self._covers(name)
        }
        self.beside = _plan_of(others)
        self.plan = merged([self.own, replace(self.beside, findings=[])])
        self.other_files = {
            **{name: text for name, text in beside.items() if not is_dialplan(name)},
            **{name: text for name, text in files.items() if name not in self.read},
        }

    def _covers(self, name: str) -> bool:
        """Whether a file of the reference is among those that are checked, by name or header."""
        return self._found_as(name) is not None or self._whole()

    def _whole(self) -> bool:
        """All of ours are meant when some of ours come by an include."""
        brought = {
            one for config in self.configs for _, _, names in config.includes for one in names
        }
        return any(self._is_ours(one) for one in brought)

    def _is_ours(self, name: str) -> bool:
        base = posixpath.basename(name)
        return EXTENSIONS + base in self._homes and any(
            HEADER in config.texts.get(name, "") or EXTENSIONS in f"/{name}"
            for config in self.configs
        )

    def _found_as(self, reference: str) -> str | None:
        base = posixpath.basename(reference)
        return next(
            (
                one
                for one in sorted(self.read)
                if posixpath.basename(one) == base and self._is_ours(one)
            ),
            None,
        )

    def _expected(self) -> dict[str, tuple[str, int]]:
        """Contexts of ours that must be as the settings make them, and where each would stand."""
        whole = self._whole()
        wanted_: dict[str, tuple[str, int]] = {}
        for home, contexts in self._homes.items():
            found = self._found_as(home)
            line = 1
            for name in contexts:
                there = self.own.contexts.get(name)
                if there is not None and (name != self._shared or found or whole):
                    wanted_[name] = (there.file, there.line)
                    line = _last_line(there) if there.file == found else line
                elif there is None and (found or whole):
                    wanted_[name] = (found or self._includer(), line)
        return wanted_

    def _strangers(self) -> list[Finding]:
        """Contexts in our files that are none of ours."""
        return [
            Finding("ours-added", context.file, context.line, {"what": f"[{context.name}]"})
            for context in self.own.contexts.values()
            if context.name not in self.reference.contexts and self._is_ours(context.file)
        ]

    def _includer(self) -> str:
        places = [
            (config, where)
            for config in self.configs
            for where, _, names in config.includes
            if any(self._is_ours(one) for one in names)
        ]
        return places[0][1] if places else next(iter(self.read), "")

    def examine(self, names: Names, exists: Exists) -> list[Finding]:
        """What our rules find in the files; what stands beside them is not looked at."""
        places = Places(self.plan, ELSEWHERE)
        # Of a part of a dialplan nobody knows what else keys and rooms lead to.
        own = {
            name: text
            for name, text in self.other_files.items()
            if name in self._given and (name in self._reference_texts or self._whole())
        }
        found = [
            *self.own.findings,
            *compare(self.reference, self.own, self.expected, self._shared),
            *self._strangers(),
            *check_targets(places),
            *check_flow(places, self._asked()),
            *check_contexts(places, self._entered(), self.reference.contexts),
            *check_names(self.plan, names),
            *check_prompts(self.plan, exists),
            *check_devices(self.plan, known_devices(self.other_files)),
            *check_sections(self.plan, self.other_files),
            *check_others(own, self._reference_texts, places),
        ]
        return [one for one in found if one.file in self.read or one.file in own]

    def _asked(self) -> set[str]:
        """Contexts that the keys of a room run."""
        texts = self.other_files.values()
        return {one for text in texts for one in re.findall(r"dialplan_exec\(\s*([\w.-]+)", text)}

    def _entered(self) -> set[str]:
        """Contexts that something else than the dialplan names."""
        named = {self._shared, "default"}
        for text in self.other_files.values():
            named |= set(re.findall(r"context\s*=>?\s*([\w.-]+)", text))
            named |= set(re.findall(r"(?:Gosub|Goto|dialplan_exec)\(\s*([\w.-]+)", text))
        return named


def _last_line(context: Context) -> int:
    return max(
        [context.line] + [step.line for steps in context.extens.values() for step in steps.values()]
    )


def _plan_of(files: Texts) -> Plan:
    return merged(
        [read_plan(read_config(name, files[name])) for name in sorted(files) if is_dialplan(name)]
    )


def _roots(files: Texts) -> list[str]:
    named = [name for name in sorted(files) if is_dialplan(name)]
    if "extensions.conf" in files:
        return ["extensions.conf"]
    return named or sorted(files)


def _resolver(files: Texts) -> Resolve:
    def resolve(where: str, what: str) -> list[tuple[str, str]]:
        pattern = posixpath.normpath(what)
        found = [
            name
            for name in sorted(files)
            if fnmatch.fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
        ]
        return [(name, files[name]) for name in found]

    return resolve
