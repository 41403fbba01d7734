"""Questions from the form of a passage, without a model: sentences of facts, definitions, table rows, headings.

English and Chinese. A pattern that does not fit gives nothing: few good questions are worth more than many bad ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunewise.nouns import Chunk
from tunewise.sentences import sentences


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it was checked: its answer, and the span of the document that is its evidence."""

    question: str
    answer: str
    start: int
    end: int
    kind: str


_CJK = re.compile(r"[一-鿿]")
_SUBJECT = r"(?P<s>[A-Z][^,;:.?!|\n()]{2,70}?)"
_NOT_SUBJECT = re.compile(
    r"(it|this|that|these|those|they|he|she|we|you|i|there|here|such|both|which|what|if|when|where|whoever|nobody|"
    r"everybody|everyone|nothing|otherwise|then|so|but|and|for|in|on|at|after|before|with|without|until)\b",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(the|a|an|all|each|every|one|our|your|their|any|some|no)\b", re.IGNORECASE)
_PARTICIPLE = r"(?:\w+ed|lent|kept|paid|sent|held|made|given|written|taken|done|built|sold|bought|worn|read|set)"
_NUMBER = (
    r"(?:(?:about|at most|at least|up to|only|less than|more than) )?(?:[A-Z]{1,3} ?|[$€£¥])?"
    r"(?:\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|sixty|ninety|half)\b)"
)
_TIME = r"(?=.*\b(?:second|minute|hour|day|week|month|year)s?\b)"

_PERSON = (
    r"(?!(?:the end|end|spring|summer|autumn|winter|noon|midnight|today|tomorrow|hand|default|phone|e-mail|post|"
    r"\w+day|January|February|March|April|May|June|July|August|September|October|November|December)\b)"
)

# (pattern of a whole sentence without its full stop, question with {s} subject, {v} verb, {o} object; answer is (?P<a>)
_ENGLISH: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), question, kind)
    for pattern, question, kind in (
        (rf"{_SUBJECT} costs (?:the \w+ )?(?P<a>{_NUMBER}.*)", "How much does {s} cost?", "fact"),
        (rf"{_SUBJECT} cost (?:the \w+ )?(?P<a>{_NUMBER}.*)", "How much do {s} cost?", "fact"),
        (rf"{_SUBJECT} (?P<v>last|take)s (?P<a>{_TIME}{_NUMBER}.*)", "How long does {s} {v}?", "fact"),
        (rf"{_SUBJECT} (?P<v>last|take) (?P<a>{_TIME}{_NUMBER}.*)", "How long do {s} {v}?", "fact"),
        (rf"{_SUBJECT} (?P<v>open|close|start|begin|end)s (?:at|on) (?P<a>{_NUMBER}.*)", "When does {s} {v}?", "fact"),
        (rf"{_SUBJECT} (?P<x>is|are) (?:on|from) (?P<a>{_NUMBER}.*)", "When {x} {s}?", "fact"),
        (rf"{_SUBJECT} (?P<x>is|are) (?P<v>{_PARTICIPLE}) for (?P<a>{_TIME}{_NUMBER}.*)",
         "For how long {x} {s} {v}?", "fact"),
        (rf"{_SUBJECT} (?P<x>is|are) (?P<v>{_PARTICIPLE}) within (?P<a>{_TIME}{_NUMBER}.*)",
         "Within what time {x} {s} {v}?", "fact"),
        (rf"{_SUBJECT} (?P<x>must|may|can|will) be (?P<v>{_PARTICIPLE}) within (?P<a>{_TIME}{_NUMBER}.*)",
         "Within what time {x} {s} be {v}?", "fact"),
        (rf"{_SUBJECT} (?P<x>must|may|can|will) be (?P<v>{_PARTICIPLE}) for (?P<a>{_TIME}{_NUMBER}.*)",
         "For how long {x} {s} be {v}?", "fact"),
        (rf"{_SUBJECT} (?P<x>is|are) (?P<v>{_PARTICIPLE}) by (?P<a>{_PERSON}[^\d]+)", "By whom {x} {s} {v}?", "fact"),
        (rf"{_SUBJECT} means (?P<a>.+)", "What does {s} mean?", "definition"),
        (rf"{_SUBJECT} (?P<x>is|are) (?P<a>{_NUMBER}.*)", "What {x} {s}?", "fact"),
        (rf"{_SUBJECT} is (?P<a>(?:a|an|the) .+)", "What is {s}?", "definition"),
        (r"(?P<a>[A-Z][\w'-]+(?: [A-Z][\w'-]+){1,2}|The [a-z][\w -]{2,30}?) "
         r"(?P<v>approves|signs|answers|leads|registers|decides|checks|keeps|orders|issues|manages|owns) (?P<o>.+)",
         "Who {v} {o}?", "fact"),
        (r"(?P<s>[A-Z][\w -]{2,30}): (?P<a>[a-z]\w* \w+ .+)", "What is meant by {s}?", "definition"),
    )
)

_ZH_SUBJECT = r"(?P<s>[^，。；：！？、\s|（）]{2,18}?)"
_ZH_NUMBER = r"(?!一般|一律|一致|一种|一名)(?=约?(?:\d|每[^，。；]{1,3}\d|[一二两三四五六七八九十百千半])[^的]*$)"
_ZH_TIME = r"(?=约?[\d.一二两三四五六七八九十百半]+个?(?:工作日|秒|分钟|小时|天|日|周|月|年))"
_ZH_NOT_SUBJECT = re.compile("[这那它他她此该其我你您如若当但并也都就还以在从对由为是]|每次|上述|以下")
_ZH_DONE = "(?P<v>负责|批准|登记|签字|审批|保管|决定|检查|安排|签发|维护)"
_CHINESE: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern), question, kind)
    for pattern, question, kind in (
        (rf"{_ZH_SUBJECT}由(?P<a>[^，；]{{2,12}}?){_ZH_DONE}(?P<o>[^，；]{{0,8}})",
         "{s}由谁{v}{o}？", "fact"),
        (rf"{_ZH_SUBJECT}(?P<v>需要|需|持续|保留|历时|最长|不超过|不得超过|最多|至少)(?P<a>{_ZH_TIME}{_ZH_NUMBER}[^，；]+)",
         "{s}{v}多长时间？", "fact"),
        (rf"{_ZH_SUBJECT}(?P<v>收取|需要|最多|至少|不超过|不得超过|达到|花费|支付)(?P<a>{_ZH_NUMBER}[^，；]+)",
         "{s}{v}多少？", "fact"),
        (rf"{_ZH_SUBJECT}(?P<v>为|是)(?P<a>{_ZH_TIME}{_ZH_NUMBER}[^，；]+)", "{s}{v}多长时间？", "fact"),
        (rf"{_ZH_SUBJECT}(?P<v>为|是)(?P<a>{_ZH_NUMBER}[^，；]+)", "{s}{v}多少？", "fact"),
        (rf"{_ZH_SUBJECT}指(?:的是)?(?P<a>[^，；]{{4,}})", "{s}指什么？", "definition"),
        (rf"{_ZH_SUBJECT}(?:是|为)(?P<a>[^\d，；][^，；]+)", "{s}是什么？", "fact"),
    )
)
_MARKS = " \t.。!！;；"
_LONGEST = 160


def drafts(chunk: Chunk) -> list[Draft]:
    """Every question that the forms of one passage give, in the order of the passage."""
    chinese = len(_CJK.findall(chunk.text)) * 5 > len(chunk.text.replace(" ", ""))
    found: list[Draft] = []
    heading = ""
    block: list[tuple[int, int]] = []
    table: list[tuple[int, int]] = []

    def close() -> None:
        nonlocal heading
        before = len(found)
        if block:
            spans = list(sentences(chunk.text, block[0][0], block[-1][1]))
            for start, end in spans:
                found.extend(_sentence(chunk, start, end, chinese))
            if heading and len(found) == before:
                found.extend(_heading(chunk, heading, spans[0], chinese))
            heading = ""
        found.extend(_rows(chunk, table, chinese))
        block.clear()
        table.clear()

    place = 0
    for line in chunk.text.split("\n"):
        start, end = place, place + len(line)
        place = end + 1
        bullet = re.match(r"\s*(?:[-*•–]|\d+[.)、])\s+", line)
        if not line.strip():
            close()
        elif line.startswith("#"):
            close()
            heading = line.strip("# \t")
        elif line.lstrip().startswith("|"):
            table.append((start, end))
        elif bullet:
            close()
            block.append((start + bullet.end(), end))
            close()
        else:
            block.append((start, end))
    close()
    return found


def _sentence(chunk: Chunk, start: int, end: int, chinese: bool) -> Iterator[Draft]:
    text = chunk.text[start:end].rstrip(_MARKS)
    if "\n" in text or not 6 <= len(text) <= _LONGEST:
        return
    for pattern, question, kind in _CHINESE if chinese else _ENGLISH:
        match = pattern.fullmatch(text)
        if not match:
            continue
        parts = match.groupdict()
        subject = parts.get("s")
        if subject is not None:
            if (_ZH_NOT_SUBJECT if chinese else _NOT_SUBJECT).match(subject):
                continue
            if not chinese and _ARTICLE.match(subject):
                parts["s"] = subject[0].lower() + subject[1:]
        answer = match["a"].strip()
        if re.match(r"(not|no longer|also|only|never)\b|不|没有|否", answer):
            continue
        yield Draft(question.format(**parts), answer, chunk.start + start, chunk.start + start + len(text), kind)
        return


def _heading(chunk: Chunk, heading: str, first: tuple[int, int], chinese: bool) -> Iterator[Draft]:
    text = chunk.text[slice(*first)]
    if "\n" in text or not 10 <= len(text) <= _LONGEST or not chunk.title or heading == chunk.title:
        return
    question = f"What does {chunk.title!r} say about {heading!r}?"
    if chinese:
        question = f"《{chunk.title}》对“{heading}”是怎么规定的？"
    yield Draft(question, text, chunk.start + first[0], chunk.start + first[1], "heading")


def _cells(chunk: Chunk, span: tuple[int, int]) -> list[str]:
    return [cell.strip() for cell in chunk.text[slice(*span)].strip().strip("|").split("|")]


def _rows(chunk: Chunk, lines: list[tuple[int, int]], chinese: bool) -> Iterator[Draft]:
    """The cells of a table whose head stands in the passage, asked by column and by the row's first cell."""
    if len(lines) < 3 or not re.fullmatch(r"[\s|:-]+", chunk.text[slice(*lines[1])]):
        return
    head = _cells(chunk, lines[0])
    for span in lines[2:]:
        row = _cells(chunk, span)
        if len(row) != len(head) or not row[0]:
            continue
        for name, cell in zip(head[1:], row[1:], strict=True):
            if name and cell and cell not in ("-", "–", "—"):
                column = name if name.isupper() else name[0].lower() + name[1:]
                english = f"What is the {column} of {row[0]}?"
                if " " in name:
                    english = f"What stands under {name!r} for {row[0]}?"
                question = f"{row[0]}的“{name}”是什么？" if chinese else english
                yield Draft(question, cell, chunk.start + span[0], chunk.start + span[1], "table")


__all__ = ["Draft", "drafts"]
