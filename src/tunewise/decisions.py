"""The nouns of a decision: what the user needs, what was recommended, and everything that the recommendation rests on.

Part of the floor, and handed out by `nouns`: this file knows nothing about how anything was measured or chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Needs:
    """What the user cannot do without, and what the rest is worth. Gates are None where there is none.

    `answers_per_month`, `updates_per_month` and the prices make the total cost over `months`. `max_forgetting` is the
    most that the accuracy on general questions may fall by tuning, gains counted against losses. Without
    `data_may_leave` no question and no passage goes to an address that is not this machine. Prices of tokens are for a
    million; an approach behind an endpoint is charged by them where one of the two is given, else by the hour as
    everybody is. `price_kwh` comes on top of the hour, where the energy could be read: leave it at 0 where the price of
    the hour holds it already.
    """

    margin: float = 0.02
    max_wrong: float | None = None
    max_false_refusals: float | None = None
    max_p95_seconds: float | None = None
    max_memory_gb: float | None = None
    citations_required: bool = False
    max_update_minutes: float | None = None
    max_forgetting: float | None = None
    data_may_leave: bool = True
    answers_per_month: int = 10_000
    updates_per_month: int = 4
    months: int = 12
    price_cpu_hour: float = 0.05
    price_label: float = 0.5
    price_tokens_in: float = 0.0
    price_tokens_out: float = 0.0
    price_kwh: float = 0.0
    weight_facts: float = 1.0
    weight_form: float = 1.0
    weight_terms: float = 1.0


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of the decision, with the number it rests on."""

    text: str
    text_zh: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """Money over `Needs.months` in four parts: `labels`, `set_up` (indexing and training, once), `updates` of facts,
    and `answers` at the user's volume.

    `rate` is the money over those months for each answer a month, so that the bill is a line over the volume:
    `fixed + rate × answers a month`. `per_answer` and `per_update` are what one of them costs: infinite where nobody
    knows what an answer costs, None where nobody knows what an update does (somebody else's system).
    """

    name: str
    labels: float = 0.0
    set_up: float = 0.0
    updates: float = 0.0
    answers: float = 0.0
    rate: float = 0.0
    per_update: float | None = 0.0
    per_answer: float = 0.0

    @property
    def fixed(self) -> float:
        """What is paid at no answer at all."""
        return self.labels + self.set_up + self.updates

    @property
    def total(self) -> float:
        """What is paid at the user's volume."""
        return self.fixed + self.answers


@dataclass(frozen=True, slots=True)
class BreakEven:
    """From `volume` answers a month on `other` costs less than `choice` (or, `below`, up to that volume); None: it
    never does, at no volume."""

    choice: str
    other: str
    volume: float | None
    below: bool = False


@dataclass(frozen=True, slots=True)
class Threshold:
    """The value of one key of [needs] at which the choice turns: under it where `below`, else over it, `other` is
    chosen (None: nothing is). `said` is the same as a sentence."""

    key: str
    value: float
    below: bool
    other: str | None
    said: Reason


@dataclass(frozen=True, slots=True)
class Assembly:
    """What there is to build and look after, counted from what the approach is made of.

    `artefacts`: things on a disk (template, index, adapter, weights). `services`: what has to run to answer (a model,
    an index, a far endpoint). `update_steps`: what has to be done until one changed fact is in the answers (0: it
    is never in them; None: somebody else's system). `labels`: questions with answers that somebody had to write.
    """

    artefacts: int
    services: int
    update_steps: int | None
    labels: int


@dataclass(frozen=True, slots=True)
class Winner:
    """The best approach on one stratum, over `n` questions; `better` when it is shown to be better there than the
    overall choice (Holm over the strata), `choice_mean` what the choice has there."""

    stratum: str
    name: str
    mean: float
    n: int
    choice_mean: float
    better: bool


@dataclass(frozen=True, slots=True)
class Router:
    """Send each question to the approach that `routes` names for its type (`by` need, kind or language).

    `gain` is the paired difference to the single choice with its 95 % interval, cross-validated: every question was
    routed by what the questions of *other* documents showed. `cost` is money over the months for all parts together.
    """

    by: str
    routes: Mapping[str, str]
    gain: float
    low: float
    high: float
    p: float
    better: bool
    cost: float


@dataclass(frozen=True, slots=True)
class Guess:
    """The first guess of `tunewise advise`, and what the comparison said to it.

    `family` is what was guessed (prompt, rag, sft, raft …). `verdict`: "right", "as good", "wrong", "not measured", or
    "" before there was a comparison.
    """

    family: str
    reasons: tuple[Reason, ...]
    measure: tuple[Reason, ...]
    verdict: str = ""
    said: Reason | None = None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which approach to use, or None when the comparison does not support a choice.

    `support` is the share of resamples (documents, and weights of the needs around the user's) that choose it; below
    0.8 `tie` names those it ties with. `rejected` maps an approach to the gate that it failed; `by_need` the winner for
    each need; `flips` says what would change the choice, `thresholds` from which value on. `total_cost` is money over
    `Needs.months` by approach, `bills` the same by volume, `volumes` the three at which a report shows it. `front` is
    the probability of each approach to be on the Pareto front of quality and total cost, `on_front` those that are on
    it as measured. `warnings` are what a user has to know before using the choice.
    """

    choice: str | None
    support: float
    tie: tuple[str, ...]
    reasons: tuple[Reason, ...]
    rejected: Mapping[str, Reason]
    by_need: Mapping[str, str]
    flips: tuple[Reason, ...]
    total_cost: Mapping[str, float]
    runner_up: str | None = None
    front: Mapping[str, float] = field(default_factory=dict)
    on_front: tuple[str, ...] = ()
    winners: tuple[Winner, ...] = ()
    router: Router | None = None
    bills: tuple[Bill, ...] = ()
    volumes: tuple[int, ...] = ()
    break_even: tuple[BreakEven, ...] = ()
    assemblies: Mapping[str, Assembly] = field(default_factory=dict)
    warnings: tuple[Reason, ...] = ()
    guess: Guess | None = None
    thresholds: tuple[Threshold, ...] = ()
