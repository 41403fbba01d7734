"""Agreement with reference implementations on 1,000 random cases each, to 1e-9.

SQuAD's, HotpotQA's and CMRC's scores are written here once more from their published definitions, in their own order of
steps and without our code; BLEU and chrF come from sacrebleu's own doors, ranking measures from ir_measures
(trec_eval), ROUGE and the longest runs from plain tables.
"""

from __future__ import annotations

import random
import re
import string
from collections import Counter

import pytest

from tunewise.nouns import Chunk, Gold, Hit
from tunewise.scorers.overlap import longest_subsequence, overlap_scores, rouge_tokens
from tunewise.scorers.retrieval import retrieval_scores
from tunewise.scorers.text import em_cmrc, f1_cmrc, f1_hotpot, longest_run, text_scores

CASES = 1000
CLOSE = 1e-9
ENGLISH = ["the", "a", "An", "cat", "Cat's", "dog,", "(red)", "blue.", "24", "3.5", "months", "U.S.", "well-known",
           "yes", "no", "Theatre", "another", "–", "quoted", "noanswer", "", "  ", "it's", "A.B.", "$5", "100%"]
CHINESE = [*"保修期为二十四个月，北京天津上海。《红楼梦》：！？、（）～",
           "24", "3.5", "iPhone", "1,000", "ABC", " ", "-", "_"]


def text(draw: random.Random, words: list[str], joined: str) -> str:
    return joined.join(draw.choices(words, k=draw.randint(0, 12)))


def pairs(words: list[str], joined: str):
    draw = random.Random(7)
    for _ in range(CASES):
        gold = text(draw, words, joined)
        said = gold if draw.random() < 0.1 else text(draw, words, joined)
        if draw.random() < 0.3:
            said += joined + gold
        yield said, gold


# ------------------------------------------------------------------------------- SQuAD (evaluate-v1.1, Rajpurkar 2016)


def squad_normal(some: str) -> str:
    lowered = some.lower()
    bare = "".join(sign for sign in lowered if sign not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def squad_f1(said: str, gold: str) -> float:
    one, other = squad_normal(said).split(), squad_normal(gold).split()
    same = sum((Counter(one) & Counter(other)).values())
    if not same:
        return 0.0
    precision, recall = same / len(one), same / len(other)
    return 2 * precision * recall / (precision + recall)


def test_squad():
    words = [word for word in ENGLISH if word.isascii()]
    for said, gold in pairs(words, " "):
        found = text_scores(said, [gold], language="en", refused=False)
        if not said.strip():
            continue  # silence is no answer here, even where the gold is empty: such questions are unanswerable
        assert found["em"] == float(squad_normal(said) == squad_normal(gold)), (said, gold)
        if squad_normal(gold):
            assert found["f1"] == pytest.approx(squad_f1(said, gold), abs=CLOSE), (said, gold)


def test_squads_published_examples():
    """What the paper and its script say: articles, punctuation and case do not count, nor does order for F1."""
    for said, gold, em, f1 in [
        ("The Denver Broncos", "Denver Broncos", 1, 1), ("denver broncos.", "Denver Broncos", 1, 1),
        ("Broncos of Denver", "Denver Broncos", 0, 0.8), ("Carolina", "Denver Broncos", 0, 0),
    ]:
        found = text_scores(said, [gold], language="en", refused=False)
        assert (found["em"], found["f1"]) == (em, pytest.approx(f1, abs=CLOSE))


# ------------------------------------------------------------------------------------- HotpotQA (hotpot_evaluate_v1.py)


def hotpot_f1(said: str, gold: str) -> float:
    one, other = squad_normal(said), squad_normal(gold)
    if one in ("yes", "no", "noanswer") and one != other:
        return 0.0
    if other in ("yes", "no", "noanswer") and one != other:
        return 0.0
    return squad_f1(said, gold)


def test_hotpot():
    for said, gold in pairs(["yes", "no", "noanswer", "it", "was", "The", "yes.", "not"], " "):
        assert f1_hotpot(said, gold) == pytest.approx(hotpot_f1(said, gold), abs=CLOSE), (said, gold)


# --------------------------------------------------------------------------------- CMRC 2018 (cmrc2018_evaluate.py)

SIGNS = ["-", ":", "_", "*", "^", "/", "\\", "~", "`", "+", "=", "，", "。", "：", "？", "！", "“", "”", "；", "’",
         "《", "》", "……", "·", "、", "「", "」", "（", "）", "－", "～", "『", "』"]


def latin_words(run: str) -> list[str]:
    """What NLTK's word_tokenize gives for words and numbers: split at white space, "1,000" and "3.5" whole."""
    return run.split()


def cmrc_parts(some: str) -> list[str]:
    out, run = [], ""
    for sign in some.lower().strip():
        if sign in SIGNS:
            continue
        if re.search("[\u4e00-\u9fa5]", sign):
            if run:
                out.extend(latin_words(run))
                run = ""
            out.append(sign)
        else:
            run += sign
    if run:
        out.extend(latin_words(run))
    return out


def substring_table(one: list[str], other: list[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    best = 0
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            if a == b:
                table[i + 1][j + 1] = table[i][j] + 1
                best = max(best, table[i + 1][j + 1])
    return best


def cmrc_f1(said: str, gold: str) -> float:
    one, other = cmrc_parts(said), cmrc_parts(gold)
    common = substring_table(one, other)
    if not common:
        return 0.0
    precision, recall = common / len(one), common / len(other)
    return 2 * precision * recall / (precision + recall)


def cmrc_bare(some: str) -> str:
    return "".join(sign for sign in some.lower().strip() if sign not in SIGNS)


def test_cmrc():
    for said, gold in pairs(CHINESE, ""):
        assert f1_cmrc(said, gold) == pytest.approx(cmrc_f1(said, gold), abs=CLOSE), (said, gold)
        assert em_cmrc(said, gold) == float(cmrc_bare(said) == cmrc_bare(gold)), (said, gold)


def test_longest_runs_and_subsequences():
    draw = random.Random(3)
    for _ in range(CASES):
        one, other = (draw.choices("abcd", k=draw.randint(0, 15)) for _ in range(2))
        assert longest_run(one, other) == substring_table(one, other)
        assert longest_subsequence(one, other) == subsequence_table(one, other)


# ----------------------------------------------------------------------------------------- ROUGE (Lin 2004), sacrebleu


def subsequence_table(one: list[str], other: list[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def rouge(one: list[str], other: list[str], n: int) -> float:
    a, b = ([tuple(some[i : i + n]) for i in range(len(some) - n + 1)] for some in (one, other))
    common = sum(min(a.count(gram), b.count(gram)) for gram in set(a))
    if not common:
        return 0.0
    precision, recall = common / len(a), common / len(b)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(("language", "words", "joined", "tokenize"), [
    ("en", ENGLISH, " ", "13a"), ("zh", CHINESE, "", "zh"),
])
def test_overlap(language, words, joined, tokenize):
    import sacrebleu

    for said, gold in pairs(words, joined):
        found = overlap_scores(said, [gold], language=language, refused=False)
        if not found or not said.strip():
            continue
        one, other = rouge_tokens(said), rouge_tokens(gold)
        common = subsequence_table(one, other)
        longest = 2 * common / (len(one) + len(other)) if common else 0.0
        bleu = sacrebleu.sentence_bleu(said, [gold], tokenize=tokenize).score / 100
        chrf = sacrebleu.sentence_chrf(said, [gold]).score / 100
        wanted = {"rouge1": rouge(one, other, 1), "rouge2": rouge(one, other, 2), "rougeL": longest,
                  "bleu": min(1, bleu), "chrf": min(1, chrf)}
        assert found == pytest.approx(wanted, abs=CLOSE), (said, gold)


# ---------------------------------------------------------------------------------------------- ranking (ir_measures)


def test_ranking():
    """Cases in which a passage meets one gold span at most: what trec_eval can express."""
    import ir_measures
    from ir_measures import RR, R, nDCG

    draw = random.Random(11)
    for _ in range(CASES):
        size, relevant = draw.randint(1, 8), draw.randint(1, 5)
        gold = tuple(Gold("a", 100 * i, 100 * i + 10) for i in range(relevant))
        places = draw.sample(range(12), size)
        hits = [Hit(Chunk(f"p{place}", "a", "r", 100 * place, 100 * place + 20, "x" * 20), 1.0, rank)
                for rank, place in enumerate(places, 1)]
        qrels = {"q": {f"p{i}": 1 for i in range(relevant)}}
        run = {"q": {f"p{place}": float(size - at) for at, place in enumerate(places)}}
        wanted = ir_measures.calc_aggregate([nDCG @ size, RR, R @ size], qrels, run)
        found = retrieval_scores(hits, gold)
        assert found["ndcg"] == pytest.approx(wanted[nDCG @ size], abs=CLOSE)
        assert found["mrr"] == pytest.approx(wanted[RR], abs=CLOSE)
        assert found["recall"] == pytest.approx(wanted[R @ size], abs=CLOSE)


def test_ranking_with_spans_that_touch():
    """Passages that meet several spans, and spans that several passages meet: the definition, counted plainly."""
    from math import log2

    draw = random.Random(12)
    for _ in range(CASES):
        gold = tuple(Gold(draw.choice("ab"), start, start + draw.randint(1, 30)) for start in draw.sample(range(90), 3))
        hits = [Hit(Chunk(f"{i}", draw.choice("ab"), "r", start, start + 25, "x" * 25), 1.0, i)
                for i, start in enumerate(draw.sample(range(90), draw.randint(1, 5)), 1)]
        met = [{g for g, one in enumerate(gold)
                if one.document == hit.chunk.document
                and set(range(one.start, one.end)) & set(range(hit.chunk.start, hit.chunk.end))} for hit in hits]
        seen: set[int] = set()
        gains = []
        for some in met:
            gains.append(bool(some - seen))
            seen |= some
        best = sorted([*gains, *[True] * (len(gold) - len(seen))], reverse=True)[: len(hits)]
        ideal = sum(gain / log2(place + 1) for place, gain in enumerate(best, 1))
        wanted = {"recall": len(seen) / len(gold), "mrr": next((1 / i for i, some in enumerate(met, 1) if some), 0.0),
                  "ndcg": sum(gain / log2(place + 1) for place, gain in enumerate(gains, 1)) / ideal if ideal else 0.0}
        found = retrieval_scores(hits, gold)
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=CLOSE)
