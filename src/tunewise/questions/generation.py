"""Questions made from documents: drafted by a model or by forms, then filtered; what falls away is counted by reason.

Knows nothing about models or indexes: `write` (messages → texts) and `retrieve` (questions → hits) are handed in.
Drafts are kept passage by passage in a log, so that a killed run goes on; questions are appended to a file that a
person may edit meanwhile: what was written once is never written again, not even after it was deleted there.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.nouns import Chunk, Gold, Hit, Question, to_json
from tunewise.questions.files import question_json
from tunewise.questions.leaks import near_pairs, plain
from tunewise.questions.patterns import Draft, drafts
from tunewise.sentences import prompt_language, sentences, terms
from tunewise.store import append_jsonl, recover_jsonl, sha256

Write = Callable[[Sequence[list[dict[str, str]]]], list[str]]
Retrieve = Callable[[Sequence[str]], list[list[Hit]]]
Progress = Callable[[str, int, int], None]

_ASK = {
    "en": "Passage from {where}:\n{text}\n\nWrite {count} different questions that this passage answers. Each question "
    "must be clear without the passage: name what it is about. Copy each answer word for word from the passage, as "
    "short as possible. Write nothing but lines of this form:\nQ: the question\nA: the answer",
    "zh": "《{where}》中的一段：\n{text}\n\n请写出{count}个不同的、可以由这段文字回答的问题。"
    "每个问题脱离原文也要清楚：写明所问的对象。答案必须逐字摘自原文，越短越好。只写如下格式的行：\nQ: 问题\nA: 答案",
}
_PAIR = re.compile(
    r"^\W*(?:Q|Question|问|问题)\s*\d*\s*[:：.]\s*(.+?)\s*\n"
    r"\W*(?:A|Answer|答|答案)\s*\d*\s*[:：.]\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(this|the|above|given) (passage|text|paragraph|excerpt|section|table)\b|according to (it|the above)|"
    # Not what only begins like a word for a text: 该文件夹, 这节能灯, 该表面, 以上文化程度.
    r"(本|这|该|此|上述|以上)(段(?!时|期|路|距|航|视频|录音)|文(?!化|具|员|凭|档|明|物|学|科|秘|体|旅|字处|献|件[夹柜袋盒架名系服])"
    r"|表(?!面|示|现|演|决|皮|带)|节(?!能|日|目|约|点|拍|奏|省|假|气|电|水|课|车|油))|根据(原文|上文|以上)|"
    # 英文中级班 holds these two signs as well.
    r"(^|[^一-鿿]|请问|根据|按照|依据|在|从|据)文中(?!级|心|学|文|英)|"
    r"(^|[^一-鿿]|根据|按照|在|从)原文|原文(中|里|提|所)", re.IGNORECASE,
)
_SHORTEST = {"en": 6, "zh": 5}
"""Signs of a usable question: 保修多久？ is one."""
_RUN = re.compile(r"[一-鿿]+|[^\W_一-鿿]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the filter: what it looks at, and how many questions came in and stayed."""

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Report:
    """What generation did. `rejected` holds (question, reason) of everything that fell away."""

    passages: int
    steps: tuple[Step, ...]
    rejected: tuple[tuple[str, str], ...]
    written: int
    known: int
    """Questions that an earlier run of the same kind had written already."""
    unread: int = 0
    """Passages about which the model wrote nothing that could be read as a question with its answer."""


def messages(chunk: Chunk, count: int) -> list[dict[str, str]]:
    """What a model is asked for one passage."""
    language = "zh" if chunk.language == "zh" else "en"
    where = " > ".join(filter(None, (chunk.title, chunk.heading.removeprefix(chunk.title).removeprefix(" > "))))
    text = _ASK[language].format(where=where or chunk.document, text=chunk.text.strip(), count=count)
    return [{"role": "user", "content": text}]


def read_pairs(text: str) -> list[tuple[str, str]]:
    """(question, answer) pairs of a model's text: `Q:` and `A:` lines, or JSON objects with question and answer."""
    pairs = []
    for found in re.findall(r"\{[^{}]*\}", text):
        try:
            value = json.loads(found)
        except ValueError:
            continue
        if isinstance(value.get("question"), str) and isinstance(value.get("answer"), str):
            pairs.append((value["question"].strip(), value["answer"].strip()))
    return pairs or [(q.strip("*_ "), a.strip("*_ \"“”")) for q, a in _PAIR.findall(text)]


def place(answer: str, chunk: Chunk) -> tuple[str, int, int] | None:
    """The answer as the passage writes it and the span of the sentence that holds it; None where it is not verbatim."""
    words = answer.strip().rstrip(".。").split()
    if not words:
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), chunk.text, re.IGNORECASE)
    if not match:
        return None
    for start, end in sentences(chunk.text, 0, len(chunk.text)):
        if start <= match.start() and match.end() <= end:
            return match.group(), chunk.start + start, chunk.start + end
    return match.group(), chunk.start + match.start(), chunk.start + match.end()


def _from_model(chunk: Chunk, text: str) -> list[Draft]:
    made = []
    for question, answer in read_pairs(text):
        found = place(answer, chunk)
        # Not verbatim: kept as a draft without a span, so that the filter can count it.
        made.append(Draft(question, *(found or (answer, 0, 0)), "generated"))
    return made


def draft(
    chunks: Sequence[Chunk], *, log: Path, write: Write | None, count: int, batch: int = 8, progress: Progress
) -> list[tuple[Chunk, Draft]]:
    """Drafts of every passage, from the log where an earlier run left them; a batch done is on the disk."""
    kept = {line["passage"]: line["drafts"] for line in recover_jsonl(log) if "passage" in line}
    waiting = [chunk for chunk in chunks if chunk.id not in kept]
    for begin in range(0, len(waiting), batch):
        part = waiting[begin : begin + batch]
        progress("draft questions", len(chunks) - len(waiting) + begin, len(chunks))
        said = write([messages(chunk, count) for chunk in part]) if write else [""] * len(part)
        for number, (chunk, text) in enumerate(zip(part, said, strict=True), 1):
            made = _from_model(chunk, text) if write else drafts(chunk)
            kept[chunk.id] = to_json(made)
            append_jsonl(log, {"passage": chunk.id, "drafts": kept[chunk.id]}, sync=number == len(part))
    progress("draft questions", len(chunks), len(chunks))
    return [(chunk, Draft(**value)) for chunk in chunks for value in kept[chunk.id]]


# ------------------------------------------------------------------------------------------------ filters

_Pair = tuple[Chunk, Draft]


def _verbatim(chunk: Chunk, one: Draft) -> str:
    inside = chunk.start <= one.start < one.end <= chunk.end
    evidence = chunk.text[one.start - chunk.start : one.end - chunk.start] if inside else ""
    return "" if one.answer in evidence else "its answer does not stand in its passage"


def _form(chunk: Chunk, one: Draft) -> str:
    shortest = _SHORTEST[prompt_language(one.question)]
    if not one.question.endswith(("?", "？")) or not shortest <= len(one.question) <= 240:
        return "it is no question of a usable length"
    if _POINTS.search(one.question):
        return "it points at a passage that its reader does not see"
    return "its answer is longer than 200 characters" if len(one.answer) > 200 else ""


def _title(chunk: Chunk, one: Draft) -> str:
    answer = plain(one.answer)
    if not answer or answer in plain(one.question):
        return "its answer stands in the question"
    title = f"{chunk.title} {chunk.heading}".casefold()
    known = set(terms(title))
    # Words in any order, but Chinese as it stands: single signs of an answer are in many a title.
    runs = _RUN.findall(one.answer.casefold())
    told = all(run in (title if prompt_language(run) == "zh" else known) for run in runs)
    return "the title alone answers it" if told else ""


def _unique(pairs: Sequence[_Pair], existing: Sequence[str]) -> dict[int, str]:
    """Places of doubles, with the reason: the same words, or nearly the same about the same fact."""
    gone: dict[int, str] = {}
    by_words: dict[str, list[int]] = defaultdict(list)
    for i, (_, one) in enumerate(pairs):
        by_words[plain(one.question)].append(i)
    for same in by_words.values():
        if len({plain(pairs[i][1].answer) for i in same}) > 1:
            gone |= dict.fromkeys(same, "passages answer it differently")
        else:
            gone |= dict.fromkeys(same[1:], "another one asks the same")
    texts = [one.question for _, one in pairs]
    for i, j, _ in near_pairs(texts, texts):
        a, b = pairs[i][1], pairs[j][1]
        one_fact = plain(a.answer) == plain(b.answer) or (
            pairs[i][0].document == pairs[j][0].document and a.start < b.end and b.start < a.end
        )
        if i < j and i not in gone and one_fact:
            gone.setdefault(j, "another one asks nearly the same")
    known = {plain(text) for text in existing}
    for i, text in enumerate(texts):
        if plain(text) in known:
            gone.setdefault(i, "the question file has it already")
    for _, j, _ in near_pairs(existing, texts):
        gone.setdefault(j, "the question file has nearly the same")
    return gone


def _lost(pairs: Sequence[_Pair], retrieve: Retrieve, progress: Progress) -> dict[int, str]:
    gone = {}
    for begin in range(0, len(pairs), 32):
        progress("retrieve", begin, len(pairs))
        part = pairs[begin : begin + 32]
        found = retrieve([one.question for _, one in part])
        for i, ((chunk, one), hits) in enumerate(zip(part, found, strict=True), begin):
            if not any(hit.chunk.document == chunk.document and hit.chunk.start <= one.start
                       and one.end <= hit.chunk.end for hit in hits):
                gone[i] = "retrieval does not bring its passage back"
    return gone


def sift(
    pairs: Sequence[_Pair], *, existing: Sequence[str], retrieve: Retrieve | None, progress: Progress
) -> tuple[list[_Pair], list[Step], list[tuple[str, str]]]:
    """Filter drafts step by step; every step says how many came in and how many stayed, nothing falls away unsaid."""
    kept, steps, rejected = list(pairs), [], []

    def step(name: str, gone: Mapping[int, str]) -> None:
        nonlocal kept
        rejected.extend((kept[i][1].question, gone[i]) for i in sorted(gone))
        stay = [pair for i, pair in enumerate(kept) if i not in gone]
        steps.append(Step(name, len(kept), len(stay)))
        kept = stay

    for name, look in (("answer verbatim in its passage", _verbatim), ("form", _form),
                       ("not answered by title or question", _title)):
        step(name, {i: why for i, (chunk, one) in enumerate(kept) if (why := look(chunk, one))})
    step("no double", _unique(kept, existing))
    if retrieve is not None:
        step("found again by retrieval", _lost(kept, retrieve, progress))
    return kept, steps, rejected


def as_question(chunk: Chunk, one: Draft) -> Question:
    """A draft as a question; its id is that of its words and place, its reader one who may read the passage."""
    return Question(
        id="gen-" + sha256(f"{chunk.document}\n{one.question}\n{one.answer}")[:12], question=one.question,
        answers=(one.answer,), gold=(Gold(chunk.document, one.start, one.end),), kind=one.kind,
        language=prompt_language(one.question), groups=chunk.groups,
    )


def append(questions: Iterable[Question], *, output: Path, log: Path) -> tuple[int, int]:
    """Append those that were never written before to `output`, without a split; (written, known)."""
    once = {id for line in recover_jsonl(log) for id in line.get("written", ())}
    once |= {value.get("id") for value in _lines(output)}
    written = known = 0
    for question in questions:
        if question.id in once:
            known += 1
            continue
        line: dict[str, Any] = question_json(question)
        line.pop("split")
        append_jsonl(output, line)
        append_jsonl(log, {"written": [question.id]})
        written += 1
    return written, known


def _lines(path: Path) -> list[Any]:
    """The lines that stand in a file which a person may have edited; a last line that a kill tore is cut off.

    Blank lines are fine, as in every question file; `DataMistake` names the broken ones, and nothing is taken away.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    values, faults = [], []
    pieces = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, piece in enumerate(pieces, 1):
        if not piece.strip():
            continue
        try:
            values.append(json.loads(piece))
        except ValueError as error:
            if number == len(pieces):
                with path.open("r+b") as file:
                    file.truncate(data.rfind(b"\n") + 1)
                data = b""
            else:
                faults.append(f"{path}:{number}: not JSON: {error}")
    if faults:
        raise DataMistake(
            f"{len(faults)} broken line(s) in {path}, to which questions are added",
            tip="mend them or take them out: the others stay, and what was written once is not written again",
            faults=tuple(faults),
        )
    if data and not data.endswith(b"\n"):
        # Editors leave out the last line end; a whole line stays.
        with path.open("ab") as file:
            file.write(b"\n")
    return [value for value in values if isinstance(value, dict)]


def generate(
    chunks: Sequence[Chunk], *, output: Path, log: Path, write: Write | None = None, retrieve: Retrieve | None = None,
    existing: Sequence[str] = (), count: int = 2, progress: Progress = lambda phase, done, total: None,
) -> Report:
    """Questions of these passages, appended to `output`.

    `write` is a model; None: by forms (see patterns.py). `existing` are the wordings that the user's question file
    has; a question counts only if `retrieve` brings its evidence back. The same arguments go on where a run stopped.
    """
    # Before a model writes for hours.
    _lines(output)
    made = draft(chunks, log=log, write=write, count=count, progress=progress)
    kept, steps, rejected = sift(made, existing=existing, retrieve=retrieve, progress=progress)
    written, known = append([as_question(*pair) for pair in kept], output=output, log=log)
    unread = len(chunks) - len({chunk.id for chunk, _ in made}) if write else 0
    return Report(len(chunks), tuple(steps), tuple(rejected), written, known, unread)
