"""The columns of the comparison table: what each is called, what it means, and which value of a Standing it shows.

Knows nothing of HTML or terminals. A metric that nobody measured has no column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tunewise.amounts import NOTHING, number, points, usable
from tunewise.nouns import Comparison, Difference, Estimate, Recommendation, Standing
from tunewise.reports import story
from tunewise.reports.measures import PLACES
from tunewise.reports.words import Say, percent, verdict_word
from tunewise.scorers import METRICS

Value = Estimate | Difference | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `of` takes the value from a standing, `show` writes it, `better` says whether more is better.

    `rank` orders the columns by importance for a narrow terminal (0 first). `main`: it is one of those that a choice is
    made by, and stands in the first table.
    """

    key: str
    group: str
    label: Say
    explain: Say
    of: Callable[[Standing], Value]
    show: Callable[[float], str]
    better: bool | None = None
    rank: int = 9
    interval: bool = False
    main: bool = False

    def counts(self, comparison: Comparison) -> tuple[int, ...]:
        """Over how many questions it was measured, least first, where that is not all of them; else empty."""
        values = [self.of(standing) for standing in comparison.standings]
        found = {value.n for value in values if isinstance(value, Estimate)} - {0}
        return tuple(sorted(found)) if found - {len(comparison.questions)} else ()

    def title(self, comparison: Comparison) -> Say:
        """The label, with the number of questions where that is not all of them."""
        counts = self.counts(comparison)
        if not counts:
            return self.label
        span = f"n {counts[0]}" if len(counts) == 1 else f"n {counts[0]}–{counts[-1]}"
        return Say(f"{self.label.en} ({span})", f"{self.label.zh}（{span}）")

    def text(self, standing: Standing, language: str = "en") -> str:
        """The cell as plain text: a value, a value with its interval, or a verdict."""
        value = self.of(standing)
        if isinstance(value, Difference):
            return verdict_word(story.verdict_for(value, standing.approach.name)).in_(language)
        if isinstance(value, Estimate):
            if not usable(value.mean):
                return NOTHING
            shown = self.show(value.mean)
            return f"{shown} [{self.show(value.low)}, {self.show(value.high)}]" if self.interval else shown
        return NOTHING if value is None or not usable(value) else self.show(value)

    def number(self, standing: Standing) -> float | None:
        """The number to sort by: the mean of an estimate or of a difference; None where there is none."""
        value = self.of(standing)
        if isinstance(value, Difference):
            value = story.against(value, standing.approach.name)[0]
        value = value.mean if isinstance(value, Estimate) else value
        return float(value) if value is not None and usable(value) else None


MAIN = (
    "quality", "against_best", "correct", "wrong", "missing", "false_refusal", "right_refusal", "total_cost",
    "seconds_p95", "errors",
)
"""The columns that a choice is made by, in their order: how good, whether that is shown, how harmful, at what cost."""
GROUPS: dict[str, Say] = {
    "quality": Say("Quality", "质量"),
    "outcome": Say("Right or wrong", "对与错"),
    "refusal": Say("Refusals", "拒答"),
    "sources": Say("Passages and citations", "检索与引用"),
    "style": Say("Form and terms", "格式与术语"),
    "speed": Say("Speed and tokens", "速度与词元"),
    "cost": Say("Set-up and cost", "构建与成本"),
    "care": Say("To look after", "维护"),
    "verdict": Say("Verdict", "判定"),
}

_SHOW: dict[str, Callable[[float], str]] = {"points": points, "percent": percent, "number": number}


def _metric(name: str) -> Callable[[Standing], Value]:
    return lambda standing: standing.metrics.get(name)


def _known(name: str) -> Column:
    metric, place = METRICS[name], PLACES[name]
    return Column(name, place.group, Say(metric.label, metric.label_zh), Say(metric.explain, metric.explain_zh),
                  _metric(name), _SHOW[place.show], metric.higher_is_better, place.rank, place.interval)


def _kept(of: Callable[[Standing], float]) -> Callable[[Standing], Value]:
    """A figure that runs keep where they can: 0 means that they could not."""
    return lambda standing: of(standing) or None


def columns(comparison: Comparison, recommendation: Recommendation | None = None) -> list[Column]:
    """The columns that this comparison can fill: those that a choice is made by, then the finer ones by group; unknown
    metrics by name."""
    measured = {name for standing in comparison.standings for name in standing.metrics}
    known = [_known(name) for name in PLACES if name in measured]
    extra = [
        Column(name, "quality", Say(name, name), Say("A measure of your own.", "自定义指标。"), _metric(name), points,
               None, 30)
        for name in sorted(measured - set(PLACES))
    ]
    rest = [*_care(recommendation), *_speed(), *_costs(recommendation), *_verdicts()]
    rest = [
        c
        for c in rest
        if c.key in ("seconds_p50", "seconds_p95")
        or (c.group in ("care", "verdict") and any(c.of(s) is not None for s in comparison.standings))
        or any(c.number(s) for s in comparison.standings)
    ]
    # Whatever decides stands where quality usually does.
    first = tuple(comparison.metric if key == "quality" else key for key in MAIN)
    order = list(GROUPS)

    def place(column: Column) -> tuple[int, int]:
        return (first.index(column.key), 0) if column.key in first else (len(first), order.index(column.group))

    return sorted([replace(c, main=c.key in first) for c in (*known, *extra, *rest)], key=place)


def _told(of: Callable[[Standing], float]) -> Callable[[Standing], Value]:
    """A figure that somebody else's answers may not tell: their 0 is no measurement."""
    return lambda standing: (of(standing) or None) if standing.approach.answers else of(standing)


def _speed() -> list[Column]:
    return [
        Column("seconds_p50", "speed", Say("p50 s", "p50 秒"),
               Say("Seconds per answer: half of the answers were faster.", "每答秒数：一半的答案比它快。"),
               _told(lambda s: s.seconds_p50), number, False, 16),
        Column("seconds_p95", "speed", Say("p95 s", "p95 秒"),
               Say("Seconds per answer: 19 of 20 are faster. Of a model on this machine four questions are asked one "
                   "at a time, so it is nearly the slowest of these.",
                   "每答秒数：20 个中有 19 个比它快。本机模型只单独提问四题，因此接近其中最慢的一题。"),
               _told(lambda s: s.seconds_p95), number, False, 6),
        Column("tokens_in", "speed", Say("Tokens in", "输入词元"),
               Say("Mean tokens that the model read for one answer.", "每答平均读入的词元数。"),
               _told(lambda s: s.tokens_in), number, False, 18),
        Column("tokens_out", "speed", Say("Tokens out", "输出词元"),
               Say("Mean tokens that the model wrote for one answer.", "每答平均写出的词元数。"),
               _told(lambda s: s.tokens_out), number, None, 19),
        Column("errors", "speed", Say("Errors", "出错"),
               Say("Questions at which it failed; each counts as an empty answer.", "报错的题数；每题按空答案计分。"),
               lambda s: float(s.errors), number, False, 26),
    ]


def _costs(recommendation: Recommendation | None) -> list[Column]:
    """What it takes to build and to run, in minutes, bytes, joules and money; unknown is left empty, never 0."""
    totals: Mapping[str, float] = recommendation.total_cost if recommendation else {}
    found = [
        Column("total_cost", "cost", Say("Total cost", "总成本"),
               Say("Money over the months of your needs: labels, set-up, updates and answers, in the currency of your "
                   "prices.", "需求期内的总花费：标注、构建、更新与作答，货币同价格表。"),
               lambda s: totals.get(s.approach.name), number, False, 4),
        Column("train_minutes", "cost", Say("Training min", "训练分钟"),
               Say("Minutes of training before the first answer.", "首次作答前的训练分钟数。"),
               lambda s: s.cost.train_seconds / 60, number, False, 17),
        Column("index_minutes", "cost", Say("Indexing min", "建索引分钟"),
               Say("Minutes to index all documents.", "为全部文档建立索引的分钟数。"),
               lambda s: s.cost.index_seconds / 60, number, False, 41),
        Column("trained_parameters", "cost", Say("Trained parameters", "训练参数"),
               Say("Parameters that training changed; 0 where nothing was trained.", "训练改动的参数量；未训练为 0。"),
               lambda s: float(s.cost.trained_parameters), number, None, 24),
    ]
    sizes = (
        ("disk", 42, Say("Disk MB", "磁盘 MB"), Say("What was built and has to be kept, in MB (10⁶ bytes).",
                                                   "构建后需保存的内容，单位 MB（10⁶ 字节）。"),
         lambda s: s.cost.artefact_bytes / 1e6),
        ("peak_memory", 25, Say("Peak GB", "峰值 GB"), Say("Peak memory while answering, in GB (10⁹ bytes).",
                                                          "作答时的内存峰值，单位 GB（10⁹ 字节）。"),
         lambda s: s.cost.peak_memory_bytes / 1e9),
        ("train_memory", 43, Say("Training GB", "训练 GB"), Say("Peak memory while training, in GB (10⁹ bytes).",
                                                              "训练时的内存峰值，单位 GB（10⁹ 字节）。"),
         lambda s: s.cost.train_memory_bytes / 1e9),
        ("train_energy", 44, Say("Training Wh", "训练 Wh"),
         Say("Energy that this machine took while it was trained, in watt-hours, whatever else it did meanwhile.",
             "训练期间本机消耗的电能（瓦时），含同时运行的其他程序。"),
         lambda s: (s.cost.train_joules or 0.0) / 3600),
        ("answer_energy", 45, Say("J per answer", "每答焦耳"),
         Say("Energy that this machine took for an answer, in joules, whatever else it did meanwhile.",
             "每个答案本机消耗的电能（焦耳），含同时运行的其他程序。"),
         lambda s: s.cost.answer_joules or 0.0),
    )
    found += [Column(key, "cost", label, explain, _kept(of), number, False, rank)
              for key, rank, label, explain, of in sizes]
    return found


def _verdicts() -> list[Column]:
    return [
        Column("against_best", "verdict", Say("Against the best", "与最佳相比"),
               Say("Paired on the same questions, intervals clustered by document, p adjusted by Holm.",
                   "同题配对，区间按文档聚类，p 值经 Holm 校正。"),
               lambda s: s.against_best, points, True, 1),
        Column("against_cheapest", "verdict", Say("Against the cheapest", "与最便宜相比"),
               Say("The same against the approach that costs least.", "与成本最低的方案相比，方法相同。"),
               lambda s: s.against_cheapest, points, True, 27),
        Column("seed_sd", "quality", Say("Seed sd", "种子标准差"),
               Say("Standard deviation of quality over training seeds: luck in training; intervals are luck in "
                   "questions.", "不同训练种子之间质量的标准差：训练的偶然性；区间反映的是题目的偶然性。"),
               lambda s: s.seed_sd, points, None, 28),
    ]


def _care(recommendation: Recommendation | None) -> list[Column]:
    """What there is to build and look after, counted; the probability of being on the front; forgetting."""
    parts = recommendation.assemblies if recommendation else {}
    front = recommendation.front if recommendation else {}

    def whole(value: float) -> str:
        return f"{value:,.0f}"

    def count(name: str) -> Callable[[Standing], Value]:
        def of(standing: Standing) -> Value:
            value = getattr(parts[standing.approach.name], name) if standing.approach.name in parts else None
            return None if value is None else float(value)

        return of

    counted = (
        ("artefacts", Say("Artefacts", "构件"), Say(
            "Things that have to be built and kept: template, model, index, embedder, adapter, examples.",
            "需要构建并保存的东西：模板、模型、索引、嵌入模型、适配器、示例。"), False),
        ("services", Say("Services", "服务"), Say(
            "What has to run to answer: a model, an index, a far endpoint.",
            "作答时需要运行的东西：模型、索引、远端服务。"), False),
        ("update_steps", Say("Steps to update", "更新步数"), Say(
            "Steps until one changed fact is in the answers: 1 ingest; 3 label, train, roll out; 0 never.",
            "一条事实改变后要做几步才能进入答案：1 为重新导入；3 为标注、训练、上线；0 为不会进入。"), None),
        ("labels", Say("Labels", "标注"), Say(
            "Questions with answers that somebody had to write for it.", "需要人工写好答案的题目数。"), False),
    )
    found = [Column(key, "care", label, explain, count(key), whole, better, 21)
             for key, label, explain, better in counted]
    found.append(Column(
        "front", "verdict", Say("On the front", "在前沿上"),
        Say("Probability that no other approach is both cheaper and at least as good (bootstrap).",
            "没有其他方案既更便宜又不差的概率（自助法）。"),
        lambda s: front.get(s.approach.name), percent, None, 22))
    found.append(Column(
        "forgetting", "care", Say("Forgetting", "遗忘"),
        Say("Net change of accuracy on general questions, after tuning minus before, in points: what was gained counts "
            "against what was lost.",
            "通用题目上微调后与微调前的准确率之差（分）：新答对的与新答错的相抵。"),
        lambda s: s.forgetting, points, True, 23, True))
    return found
