"""Terminology: does an answer use the house's terms, and none of the variants that its glossary forbids?

Knows nothing about definitions' truth; compares words, without regard to case and to full or half width.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.scorers.text import CJK, fold
from tunewise.store import read_jsonl


@dataclass(frozen=True, slots=True)
class GlossaryEntry:
    """A term as the house wants it, the variants that it forbids, and what it means."""

    term: str
    variants: tuple[str, ...] = ()
    definition: str = ""


def _entry(value: Any, where: str, faults: list[str]) -> GlossaryEntry | None:
    if not isinstance(value, dict):
        faults.append(f"{where}: not a JSON object")
        return None
    unknown = sorted(set(value) - {"term", "variants", "definition"})
    if unknown:
        faults.append(f"{where}: unknown field {', '.join(unknown)}; known: term, variants, definition")
    term, variants, definition = value.get("term"), value.get("variants", []), value.get("definition", "")
    fits = isinstance(variants, list) and all(isinstance(item, str) and item.strip() for item in variants)
    if not isinstance(term, str) or not term.strip() or not fits or not isinstance(definition, str):
        faults.append(f"{where}: needs term (text), variants (list of texts), definition (text)")
        return None
    return GlossaryEntry(term.strip(), tuple(item.strip() for item in variants), definition)


def load_glossary(path: Path) -> tuple[GlossaryEntry, ...]:
    """A glossary from JSONL (`{"term", "variants": [], "definition"}`) or CSV (`term,variants,definition`, variants
    separated by `|`); `DataMistake` with every fault."""
    path = Path(path)
    if not path.is_file():
        raise DataMistake(f"no glossary at {path}", tip="give a .jsonl or .csv file with one term on each line")
    faults: list[str] = []
    entries: list[GlossaryEntry] = []
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows: list[tuple[int, Any]] = [
                (number, {k: [v for v in (value or "").split("|") if v.strip()] if k == "variants" else value or ""
                          for k, value in row.items() if k is not None})
                for number, row in enumerate(csv.DictReader(file), 2)
            ]
    else:
        rows = list(read_jsonl(path))
    for number, value in rows:
        entry = _entry(value, f"{path}:{number}", faults)
        if entry is not None:
            entries.append(entry)
    seen: set[str] = set()
    for entry in entries:
        if fold(entry.term) in seen:
            faults.append(f"{path}: the term {entry.term!r} stands twice")
        seen.add(fold(entry.term))
    for entry in entries:
        faults.extend(f"{path}: {variant!r} is a term and a forbidden variant of {entry.term!r}"
                      for variant in entry.variants if fold(variant) in seen)
    if faults:
        raise DataMistake(f"{len(faults)} fault(s) in the glossary {path}", tip="mend the lines named",
                          faults=tuple(faults))
    return tuple(entries)


def _pattern(phrases: Sequence[str]) -> re.Pattern[str] | None:
    """One pattern for whole phrases, longest first; letters of an alphabet end at word ends, Chinese needs no ends."""
    edged = []
    for phrase in sorted({fold(p).strip() for p in phrases if p.strip()}, key=len, reverse=True):
        body = r"\s+".join(re.escape(word) for word in phrase.split())
        before = rf"(?<![^\W{CJK}])" if re.match(rf"[^\W{CJK}]", phrase) else ""
        after = rf"(?![^\W{CJK}])" if re.search(rf"[^\W{CJK}]$", phrase) else ""
        edged.append((before, after, body))
    # Neighbours share their edges: a thousand look-arounds take seconds to compile.
    parts = [
        f"{edges[0]}(?:{'|'.join(body for _, _, body in some)}){edges[1]}"
        for edges, some in groupby(edged, key=lambda one: one[:2])
    ]
    return re.compile("|".join(parts)) if parts else None


@lru_cache(maxsize=8)
def _glossary_patterns(entries: tuple[GlossaryEntry, ...]) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    return (_pattern([entry.term for entry in entries]),
            _pattern([variant for entry in entries for variant in entry.variants]))


@lru_cache(maxsize=65536)
def _term_pattern(term: str) -> re.Pattern[str] | None:
    return _pattern([term])


def forbidden(text: str, glossary: Sequence[GlossaryEntry]) -> list[str]:
    """The forbidden variants that a text uses; a variant inside a proper term ("label" in "return label") does not
    count."""
    terms, variants = _glossary_patterns(tuple(glossary))
    if variants is None:
        return []
    rest = fold(text)
    if terms is not None:
        rest = terms.sub("\x00", rest)
    return variants.findall(rest)


def phrases_in(text: str, glossary: Sequence[GlossaryEntry]) -> frozenset[str]:
    """The glossary's terms and forbidden variants that a text uses, folded."""
    terms, variants = _glossary_patterns(tuple(glossary))
    folded = fold(text)
    found = [_space(phrase) for phrase in terms.findall(folded)] if terms else []
    return frozenset([*found, *(_space(phrase) for phrase in (variants.findall(folded) if variants else ()))])


def uses(text: str, phrase: str) -> bool:
    """Whether a text uses a phrase, as whole words."""
    pattern = _term_pattern(phrase)
    return pattern is not None and pattern.search(fold(text)) is not None


def _space(phrase: str) -> str:
    return " ".join(phrase.split())


def terms_scores(
    text: str, required: Sequence[str], glossary: Sequence[GlossaryEntry] = (), expected: Sequence[str] = ()
) -> dict[str, float]:
    """Four readings of an answer's terms, each absent where it does not apply.

    `term_coverage`: share of the required terms that the text uses. `terms`: the same, but 0 as soon as it uses a
    forbidden variant. `forbidden_terms`: 1 when it uses one (with a glossary that has variants, non-empty answers).
    `term_precision`: of the glossary's terms that it uses, the share that is required or stands in `expected` (gold
    answers and question); a forbidden variant is never right.
    """
    scores: dict[str, float] = {}
    wrong = forbidden(text, glossary)
    wanted = [pattern for pattern in (_term_pattern(term) for term in required) if pattern is not None]
    if wanted:
        folded = fold(text)
        share = sum(pattern.search(folded) is not None for pattern in wanted) / len(wanted)
        scores |= {"terms": 0.0 if wrong else share, "term_coverage": share}
    terms, variants = _glossary_patterns(tuple(glossary))
    if variants is not None and text.strip():
        scores["forbidden_terms"] = float(bool(wrong))
    used = {_space(phrase) for phrase in terms.findall(fold(text))} if terms is not None else set()
    if used or wrong:
        asked = fold("\n".join([*required, *expected]))
        right = {_space(phrase) for phrase in terms.findall(asked)} if terms is not None else set()
        scores["term_precision"] = len(used & right) / (len(used) + len(set(wrong)))
    return scores
