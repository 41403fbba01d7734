"""The nouns of the house: frozen values that every room hands to the next; they check their fields, nothing else.

Offsets (`start`, `end`) always count Unicode code points of `Document.text`, which is NFC with "\\n" line ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

# What is decided has a file of its own; the nouns are still handed out from one place.
from tunewise.decisions import Assembly as Assembly
from tunewise.decisions import Bill as Bill
from tunewise.decisions import BreakEven as BreakEven
from tunewise.decisions import Guess as Guess
from tunewise.decisions import Needs as Needs
from tunewise.decisions import Reason as Reason
from tunewise.decisions import Recommendation as Recommendation
from tunewise.decisions import Router as Router
from tunewise.decisions import Threshold as Threshold
from tunewise.decisions import Winner as Winner

Need = Literal["facts", "form", "terms"]
"""The three reasons for which people adapt a model: it lacks their facts, their form, their terms."""
Split = Literal["train", "validation", "test"]
MARGINALS = ("none", "sequence", "token")
NEEDS: tuple[str, ...] = get_args(Need)
SPLITS: tuple[str, ...] = get_args(Split)


def _span(start: int, end: int, what: str) -> None:
    if not 0 <= start < end:
        raise ValueError(f"{what}: a span needs 0 <= start < end, got {start}..{end}")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a paginated document, as a span of its text (`number` counts from 1)."""

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """One heading, at the span of its own line (`level` 1 to 6)."""

    level: int
    title: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """What was read from one source: its text and where its pages and headings stand in it.

    `id` is the path relative to the folder that was read, with "/" ("policies/returns.md"); it stays the same when the
    content changes. `revision` is the SHA-256 of the text. Empty `groups` means that everybody may read it.
    """

    id: str
    text: str
    title: str
    revision: str
    source: str = ""
    language: str = "und"
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    modified: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one document revision; `text` equals `Document.text[start:end]`, always; `parent`: a larger span."""

    id: str
    document: str
    revision: str
    start: int
    end: int
    text: str
    title: str = ""
    heading: str = ""
    page: int | None = None
    language: str = "und"
    groups: tuple[str, ...] = ()
    parent: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        _span(self.start, self.end, f"chunk {self.id}")
        if len(self.text) != self.end - self.start:
            raise ValueError(f"chunk {self.id}: its text is not as long as its span")


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage: the chunk, its fused score, its rank from 1, and its rank in each leg that found it."""

    chunk: Chunk
    score: float
    rank: int
    legs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Gold:
    """Where an answer stands: a span of a document; (0, 0) where only the document is known."""

    document: str
    start: int = 0
    end: int = 0

    def __post_init__(self) -> None:
        if (self.start, self.end) != (0, 0):
            _span(self.start, self.end, f"gold in {self.document}")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with everything that scoring it needs.

    `answers` are the gold answer and its aliases, first the preferred one. `kind` is the user's own label and a stratum
    of every report. `rules` are rules of form by name (see `scorers/form.py`): a JSON object kept as sorted pairs.
    An unanswerable question has neither answers nor gold. `history`: earlier turns (question, answer), oldest first.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    gold: tuple[Gold, ...] = ()
    answerable: bool = True
    kind: str = "fact"
    split: str = "test"
    need: str = "facts"
    language: str = "en"
    rules: tuple[tuple[str, Any], ...] = ()
    groups: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"question {self.id}: split {self.split!r} is none of {', '.join(SPLITS)}")
        if self.need not in NEEDS:
            raise ValueError(f"question {self.id}: need {self.need!r} is none of {', '.join(NEEDS)}")
        if not self.answerable and (self.answers or self.gold):
            raise ValueError(f"question {self.id}: it is unanswerable, so it can have neither answers nor gold")

    @property
    def documents(self) -> tuple[str, ...]:
        """The gold documents, each once, in the order of the gold."""
        return tuple(dict.fromkeys(gold.document for gold in self.gold))



@dataclass(frozen=True, slots=True)
class Retrieval:
    """How passages are found: `mode` hybrid, dense or lexical; at most `k` passages, `budget` tokens of the model.

    `dense_weight`: of the dense leg, 0 to 1 (None: derived or fitted). `reranker`: a cross-encoder, or
    "likelihood:MODEL", for the best `rerank_depth`. `diversity`: 0 the best passages, 1 the least alike.
    `rewrite`, `follow_up`: how queries are made. `gate` "adaptive": by the `fit`.
    """

    mode: str = "hybrid"
    k: int = 3
    budget: int = 900
    order: str = "best-first"
    dense_weight: float | None = None
    reranker: str | None = None
    rerank_depth: int = 20
    diversity: float = 0.0
    rewrite: str = "none"
    follow_up: str = "join"
    gate: str = "always"
    fit: str | None = None


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is produced: greedy unless `temperature` > 0; `marginal`: see models/marginal.py."""

    max_new_tokens: int = 48
    temperature: float = 0.0
    seed: int = 0
    marginal: str = "none"
    beams: int = 1


@dataclass(frozen=True, slots=True)
class Approach:
    """One row of the table of adaptations: does it read an index, does it wear an adapter?"""

    name: str
    model: str
    prompt: str = "answer"
    index: str | None = None
    adapter: str | None = None
    retrieval: Retrieval = Retrieval()
    decoding: Decoding = Decoding()
    examples: int = 0
    recipe: str | None = None
    method: str | None = None  # None: lora
    parent: str | None = None
    """What `jobs.compare` is to train: a recipe's rows (`raft`), by a method, on a parent recipe."""
    answers: str | None = None
    """A file of answers that somebody else's system gave; nothing is asked then."""
    endpoint: str | None = None
    """The address of somebody else's whole system, OpenAI-compatible: it gets the bare question."""
    key_env: str | None = None
    """Name of the environment variable that holds the endpoint's key."""
    price: float | None = None
    """Money for one answer, where it is known; else it is worked out from seconds or tokens."""



@dataclass(frozen=True, slots=True)
class Citation:
    """A claim about where an answer comes from, after it was checked.

    `how` is "marker" (the model wrote `[n]`) or "located" (the model wrote none, and the answer stands verbatim in
    exactly this passage). `verified` is true when the marker names a supplied passage, its span exists in that
    revision, and every number and every content word of the answer occurs in it; else `reason` says what failed.
    """

    marker: str
    document: str
    revision: str
    start: int
    end: int
    quote: str
    page: int | None = None
    how: str = "marker"
    verified: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an approach said to one question. `error` is set when it failed: a failure is a row, never an answer."""

    question: str
    text: str
    raw: str = ""
    """The model's own words, with markers; `text` is the same without them."""
    hits: tuple[Hit, ...] = ()
    citations: tuple[Citation, ...] = ()
    refused: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One question as one approach answered it, with its scores by metric name (0 to 1, or NaN-free absent).

    `seeds`: where an approach was trained with several seeds, the row of each; `scores` is their mean then, and
    `answer` the first one's.
    """

    question: str
    answer: Answer
    scores: Mapping[str, float]
    seeds: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What an approach cost to set up; costs per answer are in the rows. Seconds, bytes and counts."""

    train_seconds: float = 0.0
    train_tokens: int = 0
    index_seconds: float = 0.0
    trained_parameters: int = 0
    artefact_bytes: int = 0
    peak_memory_bytes: int = 0
    train_memory_bytes: int = 0
    labels: int = 0
    alone_seconds: tuple[float, ...] = ()
    """Seconds of questions asked one at a time, each after the other: what one user waits (rows are batched)."""
    answer_joules: float | None = None
    """Energy of this machine for one answer, on the mean; None where it cannot be read."""
    train_joules: float | None = None
    """Energy of this machine while it was trained; None where it cannot be read."""
    energy_of: str = ""
    """What could be read of it: "cpu" (with memory), "gpu" or "cpu+gpu"."""
    update_seconds: float | None = None
    """Seconds that an update of the documents took where one was measured (an ingest of what changed, not of all)."""


@dataclass(frozen=True, slots=True)
class Run:
    """One approach measured on one question set. `identity` holds what DESIGN calls "what every run keeps"."""

    approach: Approach
    identity: Mapping[str, Any]
    rows: tuple[Row, ...]
    cost: Cost = Cost()
    trained_on: frozenset[str] = frozenset()
    """Ids of the questions that its training read."""



@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval over `n` questions."""
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired difference `a - b` of one metric on the same questions, with a verdict.

    `verdict` is "better", "worse" or "not distinguishable"; `p` is adjusted by Holm over the family it was tested in;
    `questions_needed` estimates how many questions would settle it (None when it is settled).
    """

    a: str
    b: str
    metric: str
    mean: float
    low: float
    high: float
    p: float
    verdict: str
    n: int
    questions_needed: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything one approach showed: `metrics` by name, `strata` as {stratum: {metric: Estimate}}."""

    approach: Approach
    metrics: Mapping[str, Estimate]
    strata: Mapping[str, Mapping[str, Estimate]]
    cost: Cost
    seconds_p50: float
    seconds_p95: float
    tokens_in: float
    tokens_out: float
    errors: int
    against_best: Difference | None = None
    against_cheapest: Difference | None = None
    forgetting: Estimate | None = None
    """Net change of accuracy on general questions by tuning (negative: more was lost than gained)."""
    seed_sd: float | None = None
    """Standard deviation of the deciding metric's mean over training seeds; None where one seed was trained."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All approaches on one question set. `standings` is sorted by quality, best first.

    `rows` is {question id: {approach: Row}}; `questions` the questions themselves; `null` the self-test (the same
    approach twice, DESIGN section 5.6); `detectable` the minimum detectable difference of `metric` with this many
    questions.
    """

    metric: str
    questions: tuple[Question, ...]
    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...]
    rows: Mapping[str, Mapping[str, Row]]
    detectable: float
    identity: Mapping[str, Any] = field(default_factory=dict)
    null: Difference | None = None
    notes: tuple[Reason, ...] = ()
    places: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Places in `questions` of each stratum."""
    pairs: tuple[Difference, ...] = ()
    """Every pair of approaches, the better one first; p is Holm's over all of them."""
    curves: Mapping[str, tuple[Mapping[str, float], ...]] = field(default_factory=dict)
    """Learning curves by approach: the history of its training (`step`, `loss`, `validation_loss` …)."""
    freshness: tuple[Mapping[str, Any], ...] = ()
    """What `tunewise freshness` last measured of each approach (`approach`, `means`, `seconds`, `new`, `old` …)."""
    robustness: tuple[Mapping[str, Any], ...] = ()
    """What `tunewise robustness` measured of each approach on these questions (`noise`, `position`, `follows` …)."""


def to_json(value: Any) -> Any:
    """Any noun as plain JSON values (dicts, lists, strings, numbers), for files and for `--json`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(to_json(item) for item in value)
    return value
