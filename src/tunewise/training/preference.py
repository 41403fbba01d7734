"""Preference tuning with TRL's own trainers: DPO (Rafailov et al. 2023, arXiv:2305.18290) and KTO (Ethayarajh et al.
2024, arXiv:2402.01306), from a parent adapter.

Pairs come from a user's file, or from the parent itself: what should have been said against what it says wrongly to
training questions. The reference model is the parent: its weights are merged into the base, the new adapter is off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import ConfigMistake, DataMistake, Failed
from tunewise.models.local import LocalModel, prompt_tokens
from tunewise.nouns import Decoding
from tunewise.store import read_json, read_jsonl, write_json
from tunewise.training import estimate
from tunewise.training.leaving import finished, leave
from tunewise.training.loop import Note, Progress, fit, watch
from tunewise.training.methods import METHODS
from tunewise.training.opening import Forecast, Opened, Run, arguments, one_gpu, open_model, open_trl, place_logs
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings
from tunewise.training.shapes import text_config

Score = Callable[..., float]
"""(question id, the model's text, refuse=whether the row's passages leave nothing but a refusal) → 0 to 1."""
WRONG_BELOW = 0.5
DRAWS = (
    Decoding(max_new_tokens=64),
    Decoding(max_new_tokens=64, temperature=1.0, seed=1),
    Decoding(max_new_tokens=64, temperature=1.0, seed=2),
)
"""The parent answers greedily and twice by chance: after training it is right on most training questions."""
METHODS_WITH_REFERENCE = ("lora", "rslora", "dora")
"""Methods whose adapter can be switched off to see the parent."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with a better and a worse completion."""

    messages: tuple[tuple[str, str], ...]
    chosen: str
    rejected: str
    question: str = ""
    groups: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    def chat(self) -> list[dict[str, str]]:
        """The prompt as a model's chat template takes it."""
        return [{"role": role, "content": content} for role, content in self.messages]


def load_pairs(path: Path) -> list[Pair]:
    """`prompt, chosen, rejected` on each line of a JSONL file (prompt: text or messages); all faults at once."""
    if not path.is_file():
        raise DataMistake(f"{path} does not exist", tip="pairs = a .jsonl file with prompt, chosen and rejected")
    pairs, faults = [], []
    for number, value in read_jsonl(path):
        prompt = value.get("prompt") if isinstance(value, dict) else None
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        try:
            messages = tuple((str(m["role"]), str(m["content"])) for m in prompt)
            chosen, rejected = value["chosen"], value["rejected"]
        except (TypeError, KeyError):
            faults.append(f"{path}:{number}: prompt, chosen and rejected are needed")
            continue
        if not (isinstance(chosen, str) and isinstance(rejected, str) and chosen.strip() and rejected.strip()):
            faults.append(f"{path}:{number}: chosen and rejected must be texts")
        elif chosen.strip() == rejected.strip():
            faults.append(f"{path}:{number}: chosen and rejected are the same")
        else:
            pairs.append(Pair(messages, chosen, rejected))
    if faults:
        raise DataMistake(f"{len(faults)} fault(s) in {path}", faults=tuple(faults))
    return pairs


def own_mistakes(
    rows: Sequence[TrainingRow], model: LocalModel, score: Score, *, note: Note, progress: Progress, label: str
) -> list[Pair]:
    """A pair for each different wrong answer that the model gives to a row's prompt."""
    pairs: list[Pair] = []
    right = 0
    for number, decoding in enumerate(DRAWS):
        for start in range(0, len(rows), 32):
            some = rows[start : start + 32]
            said = model.generate([row.chat() for row in some], decoding)
            for row, one in zip(some, said, strict=True):
                text = one.text.strip()
                if score(row.question, text, refuse=row.refuses) >= WRONG_BELOW or not text:
                    right += number == 0
                    continue
                pair = Pair(row.messages, row.completion, text, row.question, row.groups, row.documents)
                if pair not in pairs:
                    pairs.append(pair)
            progress(f"answers for {label}", number * len(rows) + start + len(some), len(rows) * len(DRAWS))
    note(
        f"{len(pairs)} pairs from {len(rows)} rows: the parent was right on {right} greedily; each different wrong "
        f"answer of {len(DRAWS)} draws is one rejected completion"
    )
    return pairs


def train_preferences(
    model_name: str,
    rows: Sequence[TrainingRow] | Sequence[Pair],
    *,
    folder: Path,
    settings: TrainingSettings,
    recipe: str,
    identity: str,
    parent: Path,
    score: Score,
    index: str = "",
    cache: Path | None = None,
    progress: Progress = lambda phase, done, total: None,
    note: Note = lambda text: None,
) -> Path:
    """Train `recipe` ("dpo" or "kto") into `folder` from the `parent` adapter; resumes as sft does."""
    if finished(folder, identity, model_name, parent=parent, cache=cache):
        return folder
    refuse_method(settings, recipe)
    run = Run(model_name, recipe, folder, identity, parent, index)
    pairs = _pairs(rows, run.place, model_name, parent, score, cache=cache, note=note, progress=progress, label=recipe)
    if len(pairs) < 4:
        raise DataMistake(
            f"only {len(pairs)} wrong answers were found, too few to prefer anything to",
            tip="give pairs of your own: pairs = FILE in [training.dpo]",
        )
    trl, datasets = open_trl("preference tuning")
    opened = open_model(run, settings, cache=cache, note=note)
    settings = opened.settings
    tokens = [prompt_tokens(opened.tokenizer, pair.chat()) for pair in pairs]
    prompts = [_text(opened, pair) for pair in pairs]
    lengths = [
        len(t) + max(_length(opened, p.chosen), _length(opened, p.rejected)) + 1
        for t, p in zip(tokens, pairs, strict=True)
    ]
    longest = max(lengths)
    if longest > text_config(opened.model).max_position_embeddings:
        raise DataMistake(f"a pair has {longest} tokens, more than the model takes", tip="lower [retrieval] budget")
    if recipe == "dpo":
        data = [
            {"prompt": p, "chosen": pair.chosen, "rejected": pair.rejected}
            for p, pair in zip(prompts, pairs, strict=True)
        ]
    else:
        good = dict.fromkeys((p, pair.chosen) for p, pair in zip(prompts, pairs, strict=True))
        data = [{"prompt": p, "completion": c, "label": True} for p, c in good]
        data += [
            {"prompt": p, "completion": pair.rejected, "label": False} for p, pair in zip(prompts, pairs, strict=True)
        ]
    # KTO compares within a batch, so it needs two rows at least.
    least = 2 if recipe == "kto" else 1
    size = max(least, min(settings.batch, estimate.BATCH_TOKENS // (2 * longest)))
    accumulation = max(1, round(settings.batch / size))
    device = str(opened.model.device.type)
    most = estimate.batch_tokens(
        text_config(opened.model), device=device, free=estimate.free_memory(device),
        itemsize=opened.torch_dtype.itemsize,
    )
    size, accumulation = estimate.widened(size, accumulation, longest=2 * longest, tokens=most)
    steps = max(1, round(settings.epochs * -(-len(data) // (size * accumulation))))
    tokens_all = sum(len(t) for t in tokens) * (2 if recipe == "dpo" else 1)
    note(f"{len(pairs)} pairs, batch {size} × {accumulation}, {steps} steps")
    kind = (trl.DPOTrainer, trl.DPOConfig) if recipe == "dpo" else (trl.KTOTrainer, trl.KTOConfig)
    callback = watch(
        label=f"train {recipe}",
        folder=run.place,
        patience=0,
        tokens_per_step=settings.epochs * tokens_all / steps,
        progress=progress,
        note=note,
        whole=False,
        opened=run.started,
    )
    method = METHODS[settings.method]
    config = method.config(settings, opened.model) if method.config else None
    forecast = preference_forecast(opened, tokens=tokens_all, lengths=lengths, size=size, epochs=settings.epochs)
    note(str(forecast))

    def make(size: int, accumulation: int, callback: Any) -> Any:
        given = arguments(run, opened, steps=steps, size=size, accumulation=accumulation, looks=False)
        trainer = kind[0](
            model=opened.bare(),
            args=one_gpu(kind[1](**{"beta": settings.beta, "max_length": None} | given)),
            train_dataset=datasets.Dataset.from_list(data),
            processing_class=opened.tokenizer,
            peft_config=config,
            callbacks=[callback],
        )
        opened.model = trainer.model
        place_logs(trainer, run)
        _same_prompts(trainer, tokens, len(data), recipe)
        return trainer

    trainer, outcome = fit(
        make, folder=run.place, size=size, accumulation=accumulation, note=note, callback=callback, least=least
    )
    read = round(settings.epochs * tokens_all)
    leave(run, opened, trainer.model, outcome, forecast, rows=pairs, tokens=read, more={"pairs": len(pairs)})
    return folder


def refuse_method(settings: TrainingSettings, recipe: str) -> None:
    """`ConfigMistake` for a method whose training cannot be switched off to see the reference model."""
    if settings.method not in METHODS_WITH_REFERENCE:
        raise ConfigMistake(
            f"{recipe} compares with its parent and cannot do so with {settings.method}",
            tip=f"method = one of {', '.join(METHODS_WITH_REFERENCE)}",
        )


def preference_forecast(
    opened: Opened, *, tokens: int, lengths: Sequence[int], size: int, epochs: float
) -> Forecast:
    """What a run needs that reads `tokens` with the model and with its reference, in rows of these lengths."""
    longest = max(lengths)
    config, dtype, device = text_config(opened.model), opened.torch_dtype, opened.model.device.type
    rate = estimate.matrix_rate(dtype, config.hidden_size, config.intermediate_size, device=device)
    layers = config.num_hidden_layers
    work = estimate.Work(rows=1, tokens=tokens, kept=tokens, width=estimate.mean_width(lengths))
    trained = opened.settings.rank * 8 * config.hidden_size * layers
    flops = estimate.operations(config, work, trained=trained, top=layers, cached=False, weights=False, epochs=epochs)
    # The reference reads everything once more, forward only.
    flops *= 1.5
    memory = estimate.memory_bounds(
        config,
        work,
        batch=2 * size * longest,
        now=estimate.held_memory(device),
        trained=trained,
        top=layers,
        itemsize=dtype.itemsize,
        cached=False,
        checkpointing=False,
        kept=2 * size * longest,
    )
    return Forecast(estimate.time_bounds(flops, rate), memory, flops, rate)


def _pairs(
    rows: Sequence[Any],
    place: Path,
    model_name: str,
    parent: Path,
    score: Score,
    *,
    cache: Path | None,
    note: Note,
    progress: Progress,
    label: str,
) -> list[Pair]:
    if rows and isinstance(rows[0], Pair):
        return list(rows)
    kept = place / "pairs.json"
    if kept.is_file():
        return [
            Pair(
                **{
                    k: tuple(tuple(i) if isinstance(i, list) else i for i in v) if isinstance(v, list) else v
                    for k, v in pair.items()
                }
            )
            for pair in read_json(kept)
        ]
    model = LocalModel(model_name, adapter=parent, cache=cache)
    pairs = own_mistakes(rows, model, score, note=note, progress=progress, label=label)
    write_json(kept, [asdict(pair) for pair in pairs])
    return pairs


def _text(opened: Opened, pair: Pair) -> str:
    text = opened.tokenizer.apply_chat_template(pair.chat(), tokenize=False, add_generation_prompt=True)
    start = opened.tokenizer.bos_token
    # TRL tokenizes with special tokens: a tokenizer that puts a start token must not find one there already.
    adds = bool(start) and opened.tokenizer("a")["input_ids"][0] == opened.tokenizer.bos_token_id
    return text.removeprefix(start) if adds else text


def _length(opened: Opened, text: str) -> int:
    return len(opened.tokenizer(text, add_special_tokens=False)["input_ids"])


def _same_prompts(trainer: Any, tokens: Sequence[list[int]], rows: int, recipe: str) -> None:
    """The trainer's prompts are those that answering sends, token by token, and no row was dropped."""
    data = trainer.train_dataset
    if len(data) != rows:
        raise Failed(f"{recipe} dropped {rows - len(data)} of {rows} rows")
    sent = {tuple(prompt) for prompt in tokens}
    if any(tuple(prompt) not in sent for prompt in data["prompt_ids"]):
        raise Failed(f"{recipe}'s prompts are tokenized otherwise than in answering", tip="report this model's name")
