"""An answer's markers → citations, each checked against the passages that were supplied.

Knows nothing about models, prompts or gold answers. A citation is a claim, and the ladder is climbed without help: the
marker parses; its number was in the prompt; the claim's numbers, dates and codes all occur in that very passage; so do
its content words (Chinese: at least 60 % of the character bigrams, every number and negation, and no stretch of signs
that the passage lacks); and the sentence about the same thing does not say the opposite. Where a rung fails the
citation stays, with `verified=False` and the reason: nothing is relaxed and no other passage is tried. This is lexical
groundedness, not entailment: it does not know that 24 is 二十四, and a claim in other words than the passage's fails.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tunewise.nouns import Citation, Hit
from tunewise.polarity import opposed
from tunewise.sentences import sentences

_WIDTHS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: 0x20, 0x2013: 0x2D, 0x2212: 0x2D, 0x2019: 0x27,
}
"""Full-width signs, dashes and apostrophes to ASCII, one code point to one: offsets stay."""

_NUMBERS = r"\^?\d{1,3}(?:\s*[,，、;；–—~～-]\s*\^?\d{1,3})*"
MARKER = re.compile(rf"[\[［【]\s*({_NUMBERS})\s*[\]］】]")
"""`[1]`, `[1, 2]`, `[1-3]`, `[^1]`, `【1】`, `［１］`: what a reader takes for a source, three digits and all."""
_GROUP = re.compile(rf"(?:\s*{MARKER.pattern})+")
_BESIDE = re.compile(rf"^(?:[ \t]*{MARKER.pattern})+[ \t]*|(?:[ \t]*{MARKER.pattern})+", re.MULTILINE)
_RANGE = re.compile(r"(\d+)(?:\s*[–—~～-]\s*\^?(\d+))?")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ebef"
_CJK_RUN = re.compile(rf"[{_CJK}]+")
# A word, number, date or code, with the signs inside it: 3.5 · 1,200 · 2024-03-15 · AX-200/B · don't · 99.9%
_LATIN = re.compile(rf"[^\W_{_CJK}]+(?:[.,:/'_\-][^\W_{_CJK}]+)*%?")
_NUMERAL = re.compile(r"(?:百分之)?[零〇一二三四五六七八九十百千万亿两]+")
_MEASURES = "个天日月年号元份次种台小分秒周倍成点条项人位名件批楼层岁度级等章节页倍%％"
_NEGATION = re.compile(rf"[不没無无非未勿禁][{_CJK}]")
_NEGATED = re.compile(r"(?:(?:\b(?:not|never|no|without|non|cannot)|n['’]t)[\s\-]+|[不没無无非未勿])$", re.IGNORECASE)
_STOP = frozenset(
    """
    a an the this that these those it its it's he she they them his her their theirs we us our ours you your yours
    i me my is are was were be been being am do does did has have had having will would shall should can could may
    might must of in on at to for from by with as into onto over under than then so such if and or but nor because
    while when where which who whom whose what how there here also very just about per via within up out off both
    each any some all according answer passage document documents text states says stated
    """.split()  # noqa: SIM905 - a list of a hundred quoted words is no better to read
)
# "not", "no", "never", "without", "only", "before", "after" and number words carry meaning: they are not in the list.
BIGRAMS = 0.6
"""Share of the claim's Chinese character bigrams that have to occur in the passage."""
_FUNCTION = frozenset(
    "的了是在有和与及或也都就还又而则但若如要会能可应需须请为被把将从到由向对于以按据之其这那此该每各某所者们个后前时内外上"
    "下中里只仅才再已经曾一二两三几多少很更最太非常"
)
"""Chinese signs that an answer may add: what it is made of beyond them has to stand in the passage."""
_FOREIGN = 2
"""So many other signs in a row that the passage has nowhere are a name or a fact from elsewhere (王建国, 抄送)."""


def _plain(text: str) -> str:
    return text.translate(_WIDTHS)


def _thousands(token: str) -> str:
    return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", token)


def _tokens(text: str) -> list[str]:
    return [_thousands(token) for token in _LATIN.findall(_plain(text).casefold())]


def _has_digit(token: str) -> bool:
    return any(sign.isdigit() for sign in token)


def _vocabulary(passage: str) -> set[str]:
    """Every token of a passage in the forms in which an answer may rightly repeat it."""
    found: set[str] = set()
    plain = _plain(passage).casefold()
    for token in _tokens(passage):
        found.add(token)
        if not _has_digit(token):
            found.update(re.split(r"[.,:/'_\-]", token))
            continue
        ends = token.split("-")
        if len(ends) == 2 and all(re.fullmatch(r"[\d.:%]+", end) for end in ends):
            found.update(ends)  # a range: "14-30 days" supports "30 days"; AX-200 or 2024-03-15 stay whole
        unit = re.fullmatch(r"([\d.]+)([^\W\d]+|%)", token)
        if unit:
            found.update((unit[1], unit[2]))  # "24V" supports "24 V"
    for number, unit in re.findall(r"(\d+(?:[.,]\d+)*) ([^\W\d_]{1,3}|%)(?![^\W_])", plain):
        found.add(_thousands(number) + unit)  # "24 V" supports "24V"
    return found


def _numerals(text: str) -> set[str]:
    """Chinese numbers that count something: two signs or more, or one before a measure word."""
    return {
        match.group()
        for match in _NUMERAL.finditer(text)
        if len(match.group()) > 1 or text[match.end() : match.end() + 1] in tuple(_MEASURES)
    }


def unsupported(claim: str, passage: str) -> str:
    """Why a passage does not support a claim, in plain words; empty when it does."""
    known = _vocabulary(passage)
    tokens = _tokens(claim)
    numbers = [token for token in tokens if _has_digit(token) and token not in known]
    numbers += sorted(_numerals(claim) - _numerals(passage))
    if numbers:
        return f"not in the passage: {', '.join(dict.fromkeys(numbers))}"
    content = []
    for token in tokens:
        if not _has_digit(token) and token not in _STOP:
            content += [token] if token in known else [part for part in re.split(r"[.,:/'_\-]", token) if part]
    words = [word for word in dict.fromkeys(content) if word not in _STOP]
    missing = [word for word in words if word not in known]
    if missing:
        return f"not in the passage: {', '.join(missing)}"
    runs = _CJK_RUN.findall(claim)
    negations = [found for run in runs for found in _NEGATION.findall(run) if found not in passage]
    if negations:
        return f"not in the passage: {'、'.join(dict.fromkeys(negations))}"
    pairs = [run[i : i + 2] for run in runs for i in range(max(1, len(run) - 1))]
    if pairs:
        share = sum(pair in passage for pair in pairs) / len(pairs)
        if share < BIGRAMS:
            return f"only {share:.0%} of its character pairs are in the passage"
        strange = [found for run in runs for found in _strange(run, passage)]
        if strange:
            return f"not in the passage: {'、'.join(dict.fromkeys(strange))}"
    if not pairs and not words and not any(map(_has_digit, tokens)):
        return "it says nothing that could be checked"
    return _contradiction(claim, passage)


def _strange(run: str, passage: str) -> list[str]:
    """Stretches of a claim's Chinese signs that the passage has nowhere, function words aside."""
    known = "".join(sign if sign in passage or sign in _FUNCTION else "\0" for sign in run)
    return [run[slice(*match.span())] for match in re.finditer(f"\0{{{_FOREIGN},}}", known)]


def _contradiction(claim: str, passage: str) -> str:
    """What the passage's sentence about the same thing says the other way round; empty when it does not."""
    spans = list(sentences(passage, 0, len(passage)))
    for start, end in sentences(claim, 0, len(claim)):
        part = claim[start:end]
        scores = [_shared(part, passage[slice(*span)]) for span in spans]
        most = max(scores)
        # Of several sentences that share as much, one that says the same is enough.
        alike = [passage[slice(*span)] for span, score in zip(spans, scores, strict=True) if score == most]
        against = [opposed(part, sentence) for sentence in alike]
        if all(against) and against:
            return f"the passage says the opposite: {against[0]}"
    return ""


def _shared(claim: str, sentence: str) -> int:
    """How much of a claim's content stands in a sentence: words, numbers twice, pairs of Chinese signs."""
    known = _vocabulary(sentence)
    wanted = {token for token in _tokens(claim) if token not in _STOP}
    pairs = {run[i : i + 2] for run in _CJK_RUN.findall(claim) for i in range(max(1, len(run) - 1))}
    return sum(2 if _has_digit(token) else 1 for token in wanted if token in known) + sum(p in sentence for p in pairs)


def _verbatim(claim: str, passage: str) -> tuple[int, int] | None:
    """Where a claim stands word for word in a passage (case, width and white space aside), whole words, not negated."""
    words = _plain(claim).strip(" \t\n.,;:!?\"'。，；：！？、“”‘’「」()（）*").split()
    if not words:
        return None
    body = r"\s+".join(re.escape(word) for word in words)
    before = rf"(?<![^\W{_CJK}])(?<!\d[.,])" if re.match(rf"[^\W{_CJK}]", words[0]) else ""
    after = rf"(?![^\W{_CJK}])(?![.,]\d)" if re.search(rf"[^\W{_CJK}]$", words[-1]) else ""
    # "200" is no part of the code AX-200/B, but "30 days" is one of "14-30 days".
    before += r"(?<![^\W\d_][-/])" if words[0][0].isdigit() else ""
    after += r"(?![-/][^\W\d_])" if words[-1][-1].isdigit() else ""
    plain = _plain(passage)
    for match in re.finditer(before + body + after, plain, re.IGNORECASE):
        # "refundable" in "not refundable" is the opposite.
        if not _NEGATED.search(plain, max(0, match.start() - 12), match.start()):
            return match.span()
    return None


def _quote(claim: str, passage: str) -> tuple[int, int]:
    """The span of the passage to show for a claim: the sentences that hold it verbatim, else the one sharing most."""
    spans = list(sentences(passage, 0, len(passage)))
    found = _verbatim(claim, passage)
    if found is not None:
        touched = [span for span in spans if span[0] < found[1] and found[0] < span[1]]
        return touched[0][0], touched[-1][1]
    return max(spans, key=lambda span: (_shared(claim, passage[slice(*span)]), -span[0]))


def _cite(number: int, claim: str, hit: Hit, *, how: str, reason: str) -> Citation:
    chunk = hit.chunk
    start, end = _quote(claim, chunk.text)
    return Citation(
        marker=f"[{number}]", document=chunk.document, revision=chunk.revision, start=chunk.start + start,
        end=chunk.start + end, quote=chunk.text[start:end], page=chunk.page, how=how, verified=not reason,
        reason=reason,
    )


def _code(raw: str) -> list[tuple[int, int]]:
    return [match.span() for match in _CODE.finditer(raw)]


def _inside(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in spans)


def _groups(raw: str) -> list[re.Match[str]]:
    """The groups of markers in a text, but for what stands in code: `argv[1]` there cites nothing."""
    code = _code(raw)
    return [one for one in _GROUP.finditer(raw) if not _inside(one.end() - 1, code)]


def marked(raw: str) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
    """Every marker with its place and the numbers that it names: a range names all in it, up to twenty."""
    return [one for group in _groups(raw) for one in _markers(raw, group)]


def _markers(raw: str, group: re.Match[str]) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
    found = []
    for marker in MARKER.finditer(raw, *group.span()):
        numbers: list[int] = []
        for first, last in _RANGE.findall(marker[1]):
            low, high = int(first), int(last or first)
            numbers += range(low, high + 1) if 0 <= high - low < 20 else (low, high)
        found.append((marker.span(), tuple(dict.fromkeys(numbers))))
    return found


def _named(raw: str, group: re.Match[str]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(n for _, numbers in _markers(raw, group) for n in numbers))


def _claims(raw: str) -> list[tuple[list[int], str]]:
    """(numbers, claim) of every group of markers: what stands between it and the group before it.

    Text behind the last group belongs to it too, and a group that opens the answer speaks for what follows: each word
    of the answer is checked with exactly one group.
    """
    groups = _groups(raw)
    claims: list[tuple[list[int], str]] = []
    cut = 0
    for i, group in enumerate(groups):
        numbers = list(_named(raw, group))
        claim = raw[cut : group.start()]
        cut = group.end()
        if i == 0 and not re.search(r"\w", claim):
            cut = groups[1].start() if len(groups) > 1 else len(raw)
            claim = raw[group.end() : cut]
        elif not re.search(r"\w", claim) and claims:
            claim = claims[-1][1]  # "14 days [1]. [2]": both speak for the same words
        claims.append((numbers, claim.strip()))
    if claims and re.search(r"\w", raw[cut:]):
        numbers, claim = claims[-1]
        claims[-1] = (numbers, f"{claim} {raw[cut:].strip()}")
    return claims


def strip_markers(raw: str) -> str:
    """The text without its markers and without the spaces beside them; every other sign stays where it was."""
    code = _code(raw)
    return _BESIDE.sub(lambda match: match.group() if _inside(match.end() - 1, code) else "", raw).strip()


def pieces(raw: str) -> list[tuple[str, tuple[int, ...]]]:
    """The text between markers, each piece with the numbers that stand behind it: to show `[1]` where it was set."""
    found: list[tuple[str, tuple[int, ...]]] = []
    cut = 0
    for group in _groups(raw):
        found.append((raw[cut : group.start()], _named(raw, group)))
        cut = group.end()
    return [*found, (raw[cut:], ())]


def verify(raw: str, hits: Sequence[Hit]) -> tuple[str, tuple[Citation, ...]]:
    """The answer's text without markers, and a checked Citation for every marker.

    Markers: see MARKER; what stands in code is none. Numbers count the hits in the order given (the prompt's).
    Offsets are those of the document, and the quote is always its verbatim text. A marker that names no supplied
    passage has an empty document and span. Without any marker, an answer that stands word for word in a passage (two
    signs or more, not only function words) gets one citation to the best ranked such passage, `how="located"`;
    otherwise there is none. Refusals are the caller's to sort out: they are no claims.
    """
    text = strip_markers(raw)
    claims = _claims(raw)
    citations: dict[tuple[str, str, int, int, bool], Citation] = {}
    for numbers, claim in claims:
        for number in numbers:
            if not 1 <= number <= len(hits):
                supplied = f"only {len(hits)} were supplied" if hits else "none was supplied"
                citation = Citation(f"[{number}]", "", "", 0, 0, "", reason=f"there is no passage {number}: {supplied}")
            else:
                hit = hits[number - 1]
                reason = unsupported(claim, hit.chunk.text)
                citation = _cite(number, claim, hit, how="marker", reason=reason)
            key = (citation.marker, citation.document, citation.start, citation.end, citation.verified)
            citations.setdefault(key, citation)
    if not claims and _substance(text):
        for number, hit in sorted(enumerate(hits, 1), key=lambda item: item[1].rank):
            if _verbatim(text, hit.chunk.text) is not None:
                citation = _cite(number, text, hit, how="located", reason="")
                return text, (citation,)
    return text, tuple(citations.values())


def _substance(text: str) -> bool:
    """Whether an answer has enough in it to be located: two signs or more, not only function words."""
    if sum(sign.isalnum() for sign in text) < 2:
        return False
    return bool(_CJK_RUN.search(text)) or any(token not in _STOP for token in _tokens(text))


__all__ = ["BIGRAMS", "MARKER", "marked", "pieces", "strip_markers", "unsupported", "verify"]
