"""The judge of a project: verdicts on the answers of finished runs, kept by what was judged.

Judging comes after all answering: the judge's model takes no memory from an approach, a change of the judge asks no
approach again, and equal answers of two approaches are judged once. Kept are hashes and verdicts, no words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.jobs.foreign import refuse_leaving
from tunewise.models import describe_model, load_model
from tunewise.nouns import Answer, Decoding, Question, Row, Run
from tunewise.scorers.judging import RUBRIC, evident, rubric, verdict
from tunewise.store import append_jsonl, fingerprint, project_folder, read_json, recover_jsonl, write_json

if TYPE_CHECKING:
    from tunewise.project import Project

_BATCH = 16
_DECODING = Decoding(max_new_tokens=8)


def check_judge(project: Project) -> None:
    """Refuse, before anything is answered, a judge that cannot be had or to which data may not go."""
    if project.judge:
        refuse_leaving(project, project.judge, "what the judge reads")
        describe_model(project.judge)


def _key(question: Question, answer: Answer) -> str:
    return fingerprint([question.question, list(question.answers), answer.text.strip()])


def _folder(project: Project) -> Path:
    return project_folder(project.root) / "judged"


def judge_runs(
    project: Project, runs: Sequence[Run], questions: Sequence[Question], *,
    progress: Callable[[str, int, int], None], note: Callable[[str], None],
) -> list[Run]:
    """The runs with `judged` in their scores; what this judge has not judged yet is asked now, and kept reply by reply.

    A reply that is no verdict gives no score; `note` is told how many. Without a judge the runs come back as they are.
    """
    if not project.judge:
        return list(runs)
    identity = {"model": describe_model(project.judge), "rubric": fingerprint(RUBRIC)}
    # Another model, or another rubric, has a file of its own.
    place = _folder(project) / f"{fingerprint(identity)[:16]}.jsonl"
    kept = _kept(place)
    by_id = {question.id: question for question in questions}
    wanted: dict[str, tuple[Question, Answer]] = {}
    for run in runs:
        for row in run.rows:
            question = by_id[row.question]
            if question.answers and evident(question, row.answer) is None:
                wanted.setdefault(_key(question, row.answer), (question, row.answer))
    todo = [(key, pair) for key, pair in wanted.items() if key not in kept]
    phase = f"judge by {project.judge}"
    if todo:
        progress(phase, 0, len(todo))
        model = load_model(project.judge)
        for start in range(0, len(todo), _BATCH):
            part = todo[start : start + _BATCH]
            replies = model.generate([rubric(*pair) for _, pair in part], _DECODING)
            for (key, _), reply in zip(part, replies, strict=True):
                kept[key] = verdict(reply.text)
                append_jsonl(place, {"key": key, "verdict": kept[key]})
            progress(phase, start + len(part), len(todo))
    if unread := sum(kept[key] is None for key in wanted):
        note(f"{unread} of {len(wanted)} replies of the judge {project.judge} were neither yes, partly nor no: "
             "no verdict there")
    # What `known_verdicts` reads, which must not need the judge nor its address.
    write_json(_folder(project) / "last.json", {"judge": project.judge, "file": place.name, "identity": identity})
    return [_with(run, by_id, kept, identity) for run in runs]


def known_verdicts(project: Project, runs: Sequence[Run], questions: Sequence[Question]) -> list[Run]:
    """The runs with the verdicts that are kept; as they are where one is missing, since means over different questions
    compare nothing."""
    pointer = _folder(project) / "last.json"
    last = read_json(pointer) if pointer.is_file() else {}
    if not project.judge or last.get("judge") != project.judge:
        return list(runs)
    kept = _kept(_folder(project) / last["file"])
    by_id = {question.id: question for question in questions}
    needed = {_key(by_id[row.question], row.answer) for run in runs for row in run.rows
              if by_id[row.question].answers and evident(by_id[row.question], row.answer) is None}
    return [_with(run, by_id, kept, last["identity"]) for run in runs] if needed <= kept.keys() else list(runs)


def _kept(place: Path) -> dict[str, float | None]:
    return {value["key"]: value["verdict"] for value in recover_jsonl(place)}


def _with(
    run: Run, by_id: Mapping[str, Question], kept: Mapping[str, float | None], identity: Mapping[str, Any]
) -> Run:
    def row(one: Row) -> Row:
        question = by_id[one.question]
        found = evident(question, one.answer)
        if found is None and question.answers:
            found = kept[_key(question, one.answer)]
        return one if found is None else replace(one, scores={**one.scores, "judged": found})

    return replace(run, rows=tuple(map(row, run.rows)), identity={**run.identity, "judge": identity})
