"""`evaluate`: ask × questions × score → Run, row by row on the disk, so that a killed run goes on where it stopped.

Knows nothing about models, retrieval or what a score means: it takes two callables. A run's folder holds
`identity.json` (written first), `rows.jsonl` (a row as soon as it is answered) and `manifest.json` (written last, so
a folder without it is not finished).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewise.errors import Damaged, DataMistake, Failed, UserMistake
from tunewise.nouns import (
    Answer,
    Approach,
    Chunk,
    Citation,
    Cost,
    Decoding,
    Hit,
    Question,
    Retrieval,
    Row,
    Run,
    to_json,
)
from tunewise.store import append_jsonl, fingerprint, lock, read_json, recover_jsonl, sha256, write_json

Ask = Callable[[Sequence[Question]], list[Answer]]
Score = Callable[[Question, Answer], Mapping[str, float]]


def run_fingerprint(approach: Approach, identity: Mapping[str, Any]) -> str:
    """What makes two runs the same run: the approach and its identity (models, index, prompt, questions, seeds)."""
    return fingerprint({"approach": to_json(approach), "identity": to_json(identity)})


def run_folder(root: Path, approach: Approach, identity: Mapping[str, Any]) -> Path:
    """The folder of a run under `root`: a readable name and the start of its fingerprint."""
    plain = unicodedata.normalize("NFC", approach.name)
    name = re.sub(r"[^\w\-]+", "-", plain).strip("-")[:40] or "run"
    return Path(root) / f"{name}-{run_fingerprint(approach, identity)[:12]}"


# ------------------------------------------------------------------------------------------- rows on the disk


class _Rows:
    """The log of a run's rows. Each passage is written once, with the first row that has it; hits point at it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, tuple[Row, str]] = {}
        self._chunks: dict[Chunk, int] = {}
        numbered: list[Chunk] = []
        for value in recover_jsonl(path):
            try:
                for fields in value["chunks"]:
                    lists = {key: tuple(fields[key]) for key in ("groups", "parent") if fields.get(key) is not None}
                    numbered.append(Chunk(**{**fields, **lists}))
                row = _row(value, numbered)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise Damaged(f"{path}: a row is not what was written: {error!r}",
                              tip=f"delete the folder {path.parent} and run again") from error
            self.rows[row.question] = (row, value["asked"])
        self._chunks = {chunk: number for number, chunk in enumerate(numbered)}

    def append(self, row: Row, asked: str, *, sync: bool) -> None:
        fresh: list[Chunk] = []
        hits = []
        for hit in row.answer.hits:
            if hit.chunk not in self._chunks:
                self._chunks[hit.chunk] = len(self._chunks)
                fresh.append(hit.chunk)
            hits.append([self._chunks[hit.chunk], hit.score, hit.rank, [list(leg) for leg in hit.legs]])
        answer = to_json(replace(row.answer, hits=())) | {"hits": hits}
        value = {"question": row.question, "asked": asked, "answer": answer, "scores": dict(row.scores),
                 "chunks": [to_json(chunk) for chunk in fresh]}
        append_jsonl(self.path, value, sync=sync)
        self.rows[row.question] = (row, asked)


def _row(value: Mapping[str, Any], chunks: Sequence[Chunk]) -> Row:
    answer = dict(value["answer"])
    answer["hits"] = tuple(
        Hit(chunks[number], score, rank, tuple((name, place) for name, place in legs))
        for number, score, rank, legs in answer["hits"]
    )
    answer["citations"] = tuple(Citation(**citation) for citation in answer["citations"])
    return Row(value["question"], Answer(**answer), dict(value["scores"]))


# ------------------------------------------------------------------------------------------- asking


def _ask_batch(ask: Ask, questions: Sequence[Question]) -> list[Answer]:
    """One answer for each question, in order; whatever the approach raises becomes an answer with `error`.

    A batch that fails is asked again question by question, so that one bad question costs only itself. A user's mistake
    (a missing model, a wrong flag) would fail every question alike: it passes through, as Ctrl-C does.
    """
    try:
        answers = list(ask(questions))
        if [answer.question for answer in answers] != [question.id for question in questions]:
            raise Failed(f"asked {len(questions)} question(s), got answers to others or {len(answers)} of them")
        return answers
    except UserMistake:
        raise
    except Exception as error:
        if len(questions) == 1:
            return [Answer(questions[0].id, "", error=f"{type(error).__name__}: {error}")]
        return [_ask_batch(ask, [question])[0] for question in questions]


def _scored(question: Question, answer: Answer, score: Score) -> Row:
    """The row of an answer; one that no scorer can read costs itself alone, not those that were asked with it."""
    try:
        scores = score(question, answer)
    except UserMistake:
        raise
    except Exception as error:
        answer = Answer(question.id, "", error=f"it could not be scored: {type(error).__name__}: {error}")
        scores = score(question, answer)
    return Row(question.id, answer, {name: float(value) for name, value in scores.items()})


def _check_questions(questions: Sequence[Question], score: Score) -> None:
    """Refuse before the first answer what would fail after the last: no questions, double ids, questions that can not
    be scored."""
    ids = [question.id for question in questions]
    if not ids:
        raise DataMistake("there are no questions to ask", tip="choose a split that has questions")
    double = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    if double:
        raise DataMistake(f"question id(s) that stand more than once: {', '.join(double[:10])}",
                          tip="give each question an id of its own", faults=tuple(double))
    faults = []
    for question in questions:
        try:
            score(question, Answer(question.id, ""))
        except DataMistake as mistake:
            faults.append(f"{question.id}: {mistake.message}")
    if faults:
        raise DataMistake(f"{len(faults)} question(s) can not be scored: {faults[0]}",
                          tip="mend the questions named", faults=tuple(faults))


def evaluate(
    ask: Ask,
    questions: Sequence[Question],
    *,
    approach: Approach,
    score: Score,
    folder: Path,
    identity: Mapping[str, Any],
    rules: str = "",
    batch: int = 16,
    cost: Callable[[], Cost] = Cost,
    trained_on: frozenset[str] = frozenset(),
    progress: Callable[[str, int, int], None] | None = None,
) -> Run:
    """Ask every question, score every answer, keep every row in `folder` (take `run_folder`), and return the Run.

    Questions are asked in the order given, `batch` at a time. Rows that the folder already has for exactly the same
    question are not asked again; rows with an error are. `rules` names what `score` holds for right: answers that were
    scored by others are scored anew, never asked anew. A failed question is a row with `Answer.error`, its scores
    those of an empty answer. `Failed` when the folder holds another run or another process writes there;
    `DataMistake` for questions that can not be scored, before the first is asked. `progress` gets (approach name,
    done, all). `cost` is called once, after the last answer.
    """
    folder = Path(folder)
    _check_questions(questions, score)
    mark = run_fingerprint(approach, identity)
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / ".lock"):
        known = folder / "identity.json"
        before = read_json(known) if known.exists() else None
        if before is not None and before["fingerprint"] != mark:
            raise Failed(f"{folder} holds a run of another approach, model, index or question set",
                         tip="take a folder of its own for each run (evaluation.run_folder), or delete this one")
        about = {"fingerprint": mark, "approach": to_json(approach), "identity": to_json(identity), "rules": rules}
        if before is None:
            write_json(known, about)
        rows = _Rows(folder / "rows.jsonl")
        asked = {question.id: fingerprint(to_json(question)) for question in questions}
        todo = [
            question
            for question in questions
            if question.id not in rows.rows
            or rows.rows[question.id][1] != asked[question.id]
            or rows.rows[question.id][0].answer.error is not None
        ]
        done = len(questions) - len(todo)
        stale = before is not None and before.get("rules", "") != rules
        earlier = folder / "manifest.before.json"
        if (todo or stale) and (folder / "manifest.json").is_file():
            # Until the last row is there, nobody may take this folder for a finished run; what it cost is kept.
            (folder / "manifest.json").replace(earlier)
        if stale:
            left = {question.id for question in todo}
            kept = [question for question in questions if question.id not in left]
            fresh = [_scored(question, rows.rows[question.id][0].answer, score) for question in kept]
            changed = [row for row in fresh if row != rows.rows[row.question][0]]
            for place, row in enumerate(changed, 1):
                rows.append(row, asked[row.question], sync=place == len(changed))
            # Only now: whoever is killed before scores them once more.
            write_json(known, about)
        if progress is not None:
            progress(approach.name, done, len(questions))
        for start in range(0, len(todo), batch):
            part = todo[start : start + batch]
            for place, (question, answer) in enumerate(zip(part, _ask_batch(ask, part), strict=True), 1):
                rows.append(_scored(question, answer, score), asked[question.id], sync=place == len(part))
            done += len(part)
            if progress is not None:
                progress(approach.name, done, len(questions))
        write_json(folder / "manifest.json", {
            "fingerprint": mark,
            "approach": to_json(approach),
            "identity": to_json(identity),
            "cost": to_json(_cost(earlier, cost(), anew=len(todo) / len(questions))),
            "trained_on": sorted(trained_on),
            "questions": [question.id for question in questions],
            "errors": sum(rows.rows[question.id][0].answer.error is not None for question in questions),
            "rows_sha256": sha256(folder / "rows.jsonl"),
        })
        earlier.unlink(missing_ok=True)
    return load_run(folder)


def scored_by(folder: Path) -> str:
    """The `rules` by which a run's rows were scored; empty where nobody said."""
    return str(read_json(folder / "identity.json").get("rules", ""))


def _cost(earlier: Path, now: Cost, *, anew: float) -> Cost:
    """What a run cost: as measured when most of it was asked, not by a process that asked a small share `anew`."""
    file = earlier if earlier.is_file() else earlier.with_name("manifest.json")
    if not file.is_file() or anew > 0.5:
        return now
    then = _read_cost(read_json(file)["cost"])
    memory = max(then.peak_memory_bytes, now.peak_memory_bytes) if anew else then.peak_memory_bytes
    return replace(then, peak_memory_bytes=memory)


def _read_cost(value: Mapping[str, Any]) -> Cost:
    return Cost(**{**value, "alone_seconds": tuple(value["alone_seconds"])})


def load_run(folder: Path) -> Run:
    """A finished run, as `evaluate` returned it; `Damaged` when it is not finished or not what was written."""
    folder = Path(folder)
    if not (folder / "manifest.json").exists():
        raise Damaged(f"the run in {folder} is not finished", tip="run the same command again: it goes on")
    manifest = read_json(folder / "manifest.json")
    path = folder / "rows.jsonl"
    if not path.exists() or sha256(path) != manifest["rows_sha256"]:
        raise Damaged(f"{path} is not what its manifest says", tip=f"delete the folder {folder} and run again")
    rows = _Rows(path).rows
    fields = dict(manifest["approach"])
    fields["retrieval"] = Retrieval(**fields["retrieval"])
    fields["decoding"] = Decoding(**fields["decoding"])
    return Run(
        approach=Approach(**fields),
        identity=manifest["identity"],
        rows=tuple(rows[name][0] for name in manifest["questions"]),
        cost=_read_cost(manifest["cost"]),
        trained_on=frozenset(manifest["trained_on"]),
    )
