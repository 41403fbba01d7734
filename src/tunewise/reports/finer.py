"""The finer measures, in the order of the wide table: the second half of `reports.measures`, one line to a measure.

A table and nothing else; its fields are those of `measures.METRICS`.
"""

from __future__ import annotations

from tunewise.reports.words import Say


def _row(
    name: str, group: str, label: tuple[str, str], explain: tuple[str, str], *, better: bool | None = True,
    show: str = "percent",
) -> tuple[str, str, Say, Say, str, bool | None, int, bool]:
    return name, group, Say(*label), Say(*explain), show, better, 40, False


FINER = (
    _row("truthfulness", "outcome", ("Truthfulness", "真实性"),
         ("Correct minus wrong: silence costs nothing, an error costs as much as a right answer gains (CRAG).",
          "正确减错误：不作答不扣分，答错与答对等值相抵（CRAG）。"), show="points"),
    _row("f1_hotpot", "quality", ("F1 (HotpotQA)", "F1（HotpotQA）"),
         ("F1 where yes, no and noanswer agree only with themselves; over questions with such a gold answer.",
          "yes、no、noanswer 须完全一致的 F1；仅统计此类题。"), show="points"),
    _row("em_cmrc", "quality", ("Exact (CMRC)", "精确匹配（CMRC）"),
         ("Chinese only: equal once the marks of CMRC 2018's list are set aside.",
          "仅中文：去除 CMRC 2018 规定的标点后完全一致。")),
    _row("number", "quality", ("Right number", "数值正确"),
         ("Share of answers whose number is the one wanted, within its tolerance, units converted.",
          "数值（含单位换算）在容差内正确的比例。")),
    _row("list_f1", "quality", ("List F1", "列表 F1"),
         ("Items of a list against the items wanted: harmonic mean of precision and recall.",
          "列表项与标准列表项的 F1。"), show="points"),
    _row("list_exact", "quality", ("Exact list", "列表全对"),
         ("Share of lists with every item wanted and no other.", "列表项不多不少的比例。")),
    _row("yes_no", "quality", ("Right yes/no", "是非正确"),
         ("Share of yes / no / maybe questions answered with the right word first.",
          "是非题首词判断正确的比例。")),
    _row("rouge1", "quality", ("ROUGE-1", "ROUGE-1"),
         ("Overlap of single words (Chinese: characters); gold answers of 5 words or more.",
          "单词（中文按字）重合；仅统计 5 词以上的标准答案。"), show="points"),
    _row("rouge2", "quality", ("ROUGE-2", "ROUGE-2"),
         ("Overlap of pairs of neighbouring words (Chinese: characters).", "相邻词对（中文按字）重合。"),
         show="points"),
    _row("rougeL", "quality", ("ROUGE-L", "ROUGE-L"),
         ("Longest common subsequence of words (Chinese: characters).", "最长公共子序列（中文按字）。"),
         show="points"),
    _row("bleu", "quality", ("BLEU", "BLEU"),
         ("sacrebleu's sentence BLEU, with its Chinese tokenizer for Chinese.",
          "sacrebleu 句级 BLEU，中文用中文分词。"),
         show="points"),
    _row("chrf", "quality", ("chrF", "chrF"),
         ("sacrebleu's character n-gram F.", "sacrebleu 字符 n 元 F 值。"), show="points"),
    _row("refusal_precision", "refusal", ("Refusal precision", "拒答精确率"),
         ("Share of refusals that were right; their recall is the share of right refusals.",
          "拒答中正确的比例；召回率即正确拒答率。")),
    _row("fabricated", "outcome", ("From nowhere", "无出处"),
         ("Share of answers with a number, name or term that stands in no passage, question or gold answer.",
          "含有段落、问题和标准答案中均无的数字、名称或术语的回答比例。"), better=False),
    _row("fabricated_numbers", "outcome", ("Numbers from nowhere", "无出处数字"),
         ("Share of answers with such a number.", "含此类数字的回答比例。"), better=False),
    _row("fabricated_names", "outcome", ("Names from nowhere", "无出处名称"),
         ("Share of answers with such a name or code.", "含此类名称或代号的回答比例。"), better=False),
    _row("fabricated_terms", "outcome", ("Terms from nowhere", "无出处术语"),
         ("Share of answers with such a term of the glossary.", "含此类术语的回答比例。"), better=False),
    _row("parametric", "sources", ("Without a passage", "无段落支持"),
         ("Share of right answers that no supplied passage holds: the model knew, or guessed.",
          "正确但所给段落均不含答案的比例：模型自知或猜中。"), better=None),
    _row("grounded", "sources", ("Grounded", "有依据"),
         ("Share of an answer's sentences that a supplied passage supports word by word (lexical, no entailment).",
          "回答句子在所给段落中有字面依据的比例（非蕴含判断）。")),
    _row("entailed", "sources", ("Entailed", "被蕴含"),
         ("Share of an answer's sentences that an entailment model finds in a supplied passage.",
          "蕴含模型认定可由所给段落推出的句子比例。")),
    _row("judged", "outcome", ("Judge", "评判"),
         ("Mean verdict of the judge that was handed in.", "所用评判者给分的平均。"), show="points"),
    _row("style_distance", "style", ("Style distance", "文风距离"),
         ("0: written like the examples given; 1: altogether differently (lengths, marks, digits, lists).",
          "0 为与示例文风一致，1 为完全不同（长度、标点、数字、列表）。"), better=False, show="points"),
    _row("term_coverage", "style", ("Terms covered", "术语覆盖"),
         ("Share of the required terms used, whatever else is used.", "所需术语被使用的比例。")),
    _row("forbidden_terms", "style", ("Forbidden variants", "禁用变体"),
         ("Share of answers that use a variant which the glossary forbids.", "使用术语表禁用变体的回答比例。"),
         better=False),
    _row("term_precision", "style", ("Key-term precision", "术语精确率"),
         ("Of the glossary's terms used, the share that was asked for.", "所用术语中确应使用者的比例。")),
)
