"""`advise`: ten answers about a task → a first guess at the family of approaches, why, and what to measure to check it.

A guess from published findings, each named where it is used; it has seen no document and no question, and a comparison
overrules it. Knows nothing about projects, files or models.

Sources: Brown et al. 2020 (few-shot prompting); Lewis et al. 2020 (RAG, the index can be swapped); Zhou et al. 2023
(LIMA: form from few examples); Gao et al. 2023 (ALCE: citations); Ovadia et al. 2024 (fine-tuning or retrieval);
Balaguer et al. 2024 (RAG and fine-tuning add up); Zhang et al. 2024 (RAFT); Gekhman et al. 2024 (new facts by
fine-tuning make models invent); Zhang et al. 2024 (R-Tuning: refusals are taught); Tang & Yang 2024 (MultiHop-RAG).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tunewise.errors import ConfigMistake
from tunewise.nouns import Approach, Comparison, Guess, Reason, Recommendation

FAMILIES = {
    "prompt": ("prompting", "提示"),
    "rag": ("retrieval (RAG)", "检索增强（RAG）"),
    "sft": ("fine-tuning", "微调"),
    "raft": ("retrieval and fine-tuning together (RAFT)", "检索与微调结合（RAFT）"),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One of the ten questions: its key, its words, and its choices as {key: (English, Chinese)}."""

    key: str
    text: str
    text_zh: str
    choices: Mapping[str, tuple[str, str]]


_YES_NO = {"yes": ("yes", "是"), "no": ("no", "否")}
QUESTIONS: tuple[Ask, ...] = (
    Ask("lacks", "What does the model lack most?", "模型最缺什么？", {
        "facts": ("our facts", "我们的事实"), "form": ("our form or style", "我们的格式或文风"),
        "terms": ("our terms", "我们的术语")}),
    Ask("freshness", "How often do the facts change?", "事实多久变化一次？", {
        "never": ("hardly ever", "几乎不变"), "monthly": ("monthly", "每月"), "daily": ("daily or more often",
            "每天或更频繁")}),
    Ask("private", "Must everything stay on your machines?", "数据是否必须留在自己的机器上？", _YES_NO),
    Ask("labels", "How many questions with right answers can you have?", "能有多少道带正确答案的题目？", {
        "few": ("under 50", "不到 50"), "some": ("50 to 500", "50 至 500"), "many": ("more than 500", "500 以上")}),
    Ask("hardware", "What hardware is there to train on?", "有什么硬件可用于训练？", {
        "cpu": ("CPUs only", "只有 CPU"), "gpu": ("one GPU", "一块 GPU"), "gpus": ("several GPUs", "多块 GPU")}),
    Ask("documents", "How much text holds the answers?", "答案分布在多少文本中？", {
        "pages": ("a few pages", "几页"), "hundreds": ("hundreds of pages", "几百页"),
        "thousands": ("thousands of pages", "几千页")}),
    Ask("evidence", "Where does one answer stand?", "一个答案的依据在哪里？", {
        "one": ("in one place", "一处"), "several": ("in several documents", "多份文档")}),
    Ask("citations", "Must an answer show where it comes from?", "答案必须给出出处吗？", _YES_NO),
    Ask("harm", "What does a wrong answer do?", "答错会怎样？", {
        "annoys": ("it annoys", "令人不快"), "harms": ("it does harm", "造成损害")}),
    Ask("volume", "How many answers a month?", "每月作答多少次？", {
        "low": ("under 10,000", "不到 1 万"), "middle": ("10,000 to a million", "1 万至 100 万"),
        "high": ("more than a million", "超过 100 万")}),
)


def check(answers: Mapping[str, str]) -> list[str]:
    """Every fault of a set of answers: unknown keys, unknown choices, questions without an answer."""
    known = {ask.key: ask for ask in QUESTIONS}
    faults = [f"{key}: there is no such question; known: {', '.join(known)}" for key in answers if key not in known]
    for key, ask in known.items():
        if key not in answers:
            faults.append(f"{key}: not answered; {' | '.join(ask.choices)}")
        elif answers[key] not in ask.choices:
            faults.append(f"{key}: {answers[key]!r} is none of {', '.join(ask.choices)}")
    return faults


def advise(answers: Mapping[str, str]) -> Guess:
    """The first guess; `ConfigMistake` with every fault of the answers."""
    if faults := check(answers):
        raise ConfigMistake("; ".join(faults), tip="tunewise advise --help lists the questions")
    said = answers.get
    enough = said("labels") != "few"
    reasons: list[Reason] = []
    must_read = said("freshness") != "never" or said("citations") == "yes" or said("documents") != "pages"

    def because(text: str, text_zh: str) -> None:
        reasons.append(Reason(text, text_zh))

    if said("lacks") == "facts":
        family = "raft" if enough and (said("labels") == "many" or said("harm") == "harms") else "rag"
        because("Facts come from reading rather than from training: retrieval raised accuracy on new facts from .48 "
                "to .88, fine-tuning hardly (Ovadia et al. 2024).",
                "事实宜靠检索而非训练：在新事实上，检索把准确率从 0.48 提高到 0.88，微调几乎没有提高（Ovadia 等，"
                "2024）。")
        because("Training new facts in without passages makes a model invent more (Gekhman et al. 2024).",
                "不给段落而直接训练新事实，会让模型更容易编造（Gekhman 等，2024）。")
    elif said("lacks") == "form":
        family = ("raft" if must_read else "sft") if enough else ("rag" if must_read else "prompt")
        because("Form is learned from few examples: a thousand good ones changed how a model answers (Zhou et al. "
                "2023)."
                if enough else "Under 50 examples teach form better inside the prompt than by training (Brown et al. "
                               "2020).",
                "格式只需少量样例即可学会：一千条好样例就改变了模型的作答方式（Zhou 等，2023）。"
                if enough else "样例不足 50 条时，放进提示比训练更有效（Brown 等，2020）。")
    else:
        family = ("raft" if must_read else "sft") if said("labels") == "many" else "rag" if must_read else "prompt"
        because("Terms stick by repetition: many examples, or passages that use them; fine-tuning and retrieval add up "
                "(Balaguer et al. 2024).",
                "术语靠反复出现来掌握：大量样例，或使用这些术语的段落；微调与检索的收益可以叠加（Balaguer 等，2024）。")
    if family in ("rag", "raft") and said("freshness") != "never":
        because(f"Facts that change {said('freshness')} are swapped in an index without training (Lewis et al. 2020).",
                "会变化的事实在索引中替换即可，无需训练（Lewis 等，2020）。")
    if said("citations") == "yes":
        because("An answer can cite only what it was given to read (Gao et al. 2023).",
                "答案只能引用它读到的段落（Gao 等，2023）。")
    if family == "raft":
        because("With labels at hand, training on questions *with* retrieved passages and distractors beat both alone "
                "(Zhang et al. 2024, RAFT).",
                "有标注时，带检索段落与干扰段落训练，优于单独使用任一方法（Zhang 等，2024，RAFT）。")
    if said("hardware") == "cpu" and family in ("sft", "raft"):
        because("CPUs alone train small models only, in minutes to hours; a bigger one has to be prompted.",
                "只有 CPU 时只能训练小模型（几分钟到几小时）；更大的模型只能靠提示。")
    if said("private") == "yes":
        because("Everything stays here: a local model, which knows less, so that more hangs on what it reads.",
                "数据不出本机：使用本地模型，它懂得更少，因此更依赖读到的内容。")
    return Guess(family, tuple(reasons), _measure(family, answers))


def _measure(family: str, answers: Mapping[str, str]) -> tuple[Reason, ...]:
    found = [
        Reason("Compare it with the bare model (zero-shot) and with its neighbours on at least 100 test questions; "
               "tunewise "
               "compare says what that many can show.",
               "用至少 100 道测试题，与裸模型（zero-shot）及相邻方案比较；tunewise compare "
               "会说明这些题能显示多大差异。"),
    ]
    if family == "raft":
        found.append(Reason("The control is the same tuning without passages, read with them (lora-sft-rag): RAFT "
                            "has to beat "
                            "it, and plain rag too.",
                            "对照是不带段落微调、作答时再给段落（lora-sft-rag）：RAFT 必须胜过它，也要胜过 rag。"))
    if family in ("rag", "raft"):
        found.append(Reason("Retrieval recall first: what is not found cannot be answered.",
                            "先看检索召回率：找不到的内容无法作答。"))
    if answers["lacks"] == "facts" and answers["labels"] != "few":
        found.append(Reason("Documents that training never touched are a stratum of their own: skill, or learned by "
                            "heart?",
                            "训练未涉及的文档单独成层：看学到的是本领还是死记。"))
    if answers["evidence"] == "several":
        found.append(Reason("Questions over several documents are where retrieval fails first (Tang & Yang 2024): "
                            "look at that "
                            "stratum, try a larger k.",
                            "跨文档的问题最先难倒检索（Tang 与 Yang，2024）：看该分层，并尝试更大的 k。"))
    if answers["harm"] == "harms":
        found.append(Reason("Put unanswerable questions into training and test; refusing has to be taught (Zhang et "
                            "al. 2024, "
                            "R-Tuning). Set max_wrong and max_false_refusals.",
                            "训练和测试中都要有无答案的问题；拒答需要教（Zhang 等，2024，R-Tuning）。"
                            "设置 max_wrong 与 max_false_refusals。"))
    if answers["lacks"] == "form":
        found.append(Reason("Write the form as rules of the questions (need = form): they are checked, not guessed.",
                            "把格式写成题目的规则（need = form）：由程序检查，而非猜测。"))
    return tuple(found)


def needs_of(answers: Mapping[str, str]) -> dict[str, object]:
    """What the answers mean for [needs] in tunewise.toml: only what they say."""
    found: dict[str, object] = {
        "answers_per_month": {"low": 5_000, "middle": 100_000, "high": 2_000_000}[answers["volume"]],
        "updates_per_month": {"never": 0, "monthly": 1, "daily": 30}[answers["freshness"]],
    }
    if answers["private"] == "yes":
        found["data_may_leave"] = False
    if answers["citations"] == "yes":
        found["citations_required"] = True
    if answers["freshness"] == "daily":
        found["max_update_minutes"] = 60
    return found


# ------------------------------------------------------------------------------------------- was it right?


def family_of(approach: Approach) -> str:
    """The family of an approach: prompt, rag, sft, raft; "other" for somebody else's system."""
    if approach.answers or approach.endpoint:
        return "other"
    wears = bool(approach.adapter or approach.recipe)
    return ("raft" if wears else "rag") if approach.index else "sft" if wears else "prompt"


def judge(guess: Guess, comparison: Comparison, recommendation: Recommendation) -> Guess:
    """The guess with its verdict; without a verdict where nothing was chosen."""
    if recommendation.choice is None:
        return guess
    families = {s.approach.name: family_of(s.approach) for s in comparison.standings}
    means = {s.approach.name: s.metrics[comparison.metric].mean for s in comparison.standings}
    choice, mine = recommendation.choice, [name for name, family in families.items() if family == guess.family]
    words, words_zh = FAMILIES[guess.family]
    if not mine:
        said = Reason(f"no approach of this family ({words}) was in the comparison",
            f"比较中没有这一类方案（{words_zh}）")
        return replace(guess, verdict="not measured", said=said)
    best = max(mine, key=lambda name: means[name])
    gap = means[choice] - means[best]
    if families[choice] == guess.family:
        said = Reason(f"{choice} is recommended", f"推荐的是 {choice}")
        return replace(guess, verdict="right", said=said)
    tied = [name for name in recommendation.tie if name in mine]
    if tied:
        said = Reason(f"{tied[0]} ties with {choice}", f"{tied[0]} 与 {choice} 打平")
        return replace(guess, verdict="as good", said=said)
    excluded = best in recommendation.rejected
    why = "it costs more"
    if excluded or gap > 0:
        why = "it fails a gate" if excluded else f"{choice} is {100 * gap:.1f} points better"
    why_zh = "未通过门槛" if excluded else f"{choice} 高出 {100 * gap:.1f} 分" if gap > 0 else "其成本更高"
    said = Reason(f"its best, {best}, was measured: {why}", f"这一类中最好的 {best} 已测量：{why_zh}", gap)
    return replace(guess, verdict="wrong", said=said)


__all__ = ["FAMILIES", "QUESTIONS", "Ask", "advise", "check", "family_of", "judge", "needs_of"]
