"""Verified share, precision and recall of one answer's citations, which were already checked.

Knows nothing about parsing or verifying: that is `tunewise.citations`. After ALCE (Gao et al. 2023, "Enabling large
language models to generate text with citations", section 3.3), with two differences. ALCE asks an 11B entailment model
whether the cited text supports each statement; here support is `Citation.verified` (numbers, codes and content words
occur in the passage) together with the gold evidence of the question. And ALCE's special case (several citations that
support a statement only together) does not exist: each citation has to stand alone.
"""

from __future__ import annotations

from tunewise.nouns import Answer, Citation, Question
from tunewise.scorers.retrieval import overlaps


def _spans(citation: Citation, answer: Answer) -> list[tuple[str, int, int]]:
    """The cited sentence and the passages that hold it."""
    spans = [(citation.document, citation.start, citation.end)]
    for hit in answer.hits:
        chunk = hit.chunk
        same = (chunk.document, chunk.revision) == (citation.document, citation.revision)
        if same and chunk.start <= citation.start and citation.end <= chunk.end:
            spans.append((chunk.document, chunk.start, chunk.end))
    return spans


def citation_scores(question: Question, answer: Answer, *, reads: bool = False) -> dict[str, float]:
    """`citation_verified`, `citation_precision` and `citation_recall`; absent where they mean nothing.

    verified: share of the citations that passed the check against their source, whatever the gold says; absent when
    nothing is cited.
    precision: share of the citations that are verified and whose sentence or passage meets a gold span (verified alone
    where the question has no gold; 0 for an answer to an unanswerable question). Absent when nothing is cited.
    recall: share of the gold spans that a verified citation's sentence or passage meets; 0 when nothing is cited.
    All are absent for a refusal, which states nothing that a source could support; precision and recall also without
    passages, unless the approach `reads` an index: then nothing is cited.
    """
    if answer.refused or answer.error is not None:
        return {}
    scores: dict[str, float] = {}
    if answer.citations:
        scores["citation_verified"] = sum(one.verified for one in answer.citations) / len(answer.citations)
    if not (answer.hits or reads):
        return scores
    reached: set[int] = set()
    good = 0
    for citation in answer.citations:
        if not citation.verified:
            continue
        spans = _spans(citation, answer)
        met = {i for i, gold in enumerate(question.gold) if any(overlaps(gold, *span) for span in spans)}
        reached |= met
        good += bool(met) if question.gold else question.answerable
    if answer.citations:
        scores["citation_precision"] = good / len(answer.citations)
    if question.gold:
        scores["citation_recall"] = len(reached) / len(question.gold)
    return scores
