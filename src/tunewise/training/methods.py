"""The methods of fine-tuning: which weights are trained. A literal table; PEFT's config classes are taken as they are.

Nothing heavy is imported before a config is made. Learning rates are for a model as wide as the bundled one (576);
`settings.settle` lowers them for wider ones. That each method needs its own rate is what published comparisons that
used one rate for all got wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tunewise.errors import ConfigMistake, MissingExtra, ModelMistake, need
from tunewise.sentences import prompt_language
from tunewise.training.shapes import (
    FEED_FORWARD,
    KEYS_AND_VALUES,
    layers_of,
    pattern,
    targets,
    text_config,
    top_layers,
)

if TYPE_CHECKING:
    from tunewise.training.rows import TrainingRow
    from tunewise.training.settings import TrainingSettings

INIT_TEXTS = {
    ("passages", "en"): "Read the passages and answer the question with a few words, then the number of the passage. "
    "If the passages do not hold the answer, reply: Not in the documents.",
    ("passages", "zh"): "阅读给出的段落，用几个词回答问题，然后写出段落的编号。"
    "如果段落中没有答案，请回答：文档中没有。",
    ("question", "en"): "Answer the question with a few words, in the form that the house uses.",
    ("question", "zh"): "用几个词回答问题，按照规定的格式书写。",
    ("text", "en"): "The following is a text from the documents of the house.",
    ("text", "zh"): "以下是一段内部文档的正文。",
}
"""What virtual tokens start as: a plain instruction for what the rows show, in their language; never a bad prompt."""


def init_text(recipe: str, rows: Sequence[TrainingRow]) -> str:
    """The instruction that virtual tokens start as, for a recipe's rows, in the language of most of them."""
    shown = {"sft": "question", "dap": "text"}.get(recipe, "passages")
    chinese = sum(prompt_language(row.messages[-1][1] if row.messages else row.completion) == "zh" for row in rows)
    return INIT_TEXTS[shown, "zh" if 2 * chinese > len(rows) else "en"]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: how its config is made (None: no adapter, the weights themselves), and its learning rate.

    `merges`: its weights can be folded into the base. `virtual`: it learns virtual tokens (it stays wrapped, is never
    packed, and cannot be the parent of another run). `moves_base`: its initialisation changes the base's weights, so
    it is saved converted to plain LoRA.
    """

    about: str
    rate: float
    config: Callable[[TrainingSettings, Any], Any] | None = None
    merges: bool = True
    virtual: bool = False
    moves_base: bool = False
    needs_gpu: bool = False


def _lora(settings: TrainingSettings, model: Any, **more: Any) -> Any:
    peft = need("peft", feature="training", extra="train")
    own = dict(settings.peft)
    given: dict[str, Any] = {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "task_type": "CAUSAL_LM",
    }
    linear = layers_of(model).linear
    reached = targets(model, linear, settings.layers) if linear else {"target_modules": "all-linear"}
    if isinstance(own.get("target_modules"), str) or "layers_to_transform" in own:
        # A pattern says itself which layers it reaches, and layers are chosen among names, not in a pattern.
        reached = {"target_modules": list(linear) or "all-linear"}
    return peft.LoraConfig(**given | reached | more | own)


def _eva(settings: TrainingSettings, model: Any) -> Any:
    peft = need("peft", feature="training", extra="train")
    # rho 1.0: every layer keeps its rank, so that trained parameters are those that were announced.
    return _lora(settings, model, init_lora_weights="eva", eva_config=peft.EvaConfig(rho=1.0))


def _ia3(settings: TrainingSettings, model: Any) -> Any:
    peft = need("peft", feature="training", extra="train")
    layers = layers_of(model)
    scaled = next((names for names in KEYS_AND_VALUES if set(names) <= set(layers.linear)), None)
    inner = [name for name in layers.linear if name in FEED_FORWARD]
    own = dict(settings.peft)
    if scaled is None and not {"target_modules", "feedforward_modules"} <= set(own):
        raise ModelMistake(
            f"ia3 does not know which layers of {model.config.model_type} give keys and values",
            tip='use lora, or name them: peft = { target_modules = ["…"], feedforward_modules = ["…"] }',
        )
    names = (*(scaled or ()), *inner)
    if settings.layers >= 1 and layers.alone:
        given: dict[str, Any] = {"target_modules": list(names), "feedforward_modules": inner}
    else:
        numbers = top_layers(model, settings.layers)
        given = {"target_modules": pattern(layers, names, numbers)}
        given["feedforward_modules"] = pattern(layers, tuple(inner), numbers) if inner else []
    return peft.IA3Config(task_type="CAUSAL_LM", **given | own)


def _prompt(settings: TrainingSettings, model: Any) -> Any:
    peft = need("peft", feature="training", extra="train")
    given = {
        "num_virtual_tokens": settings.virtual_tokens,
        "prompt_tuning_init": "TEXT",
        "prompt_tuning_init_text": settings.init_text or INIT_TEXTS["passages", "en"],
        "tokenizer_name_or_path": model.config._name_or_path,
    }
    return peft.PromptTuningConfig(task_type="CAUSAL_LM", **given | dict(settings.peft))


def _prefix(settings: TrainingSettings, model: Any) -> Any:
    peft = need("peft", feature="training", extra="train")
    return peft.PrefixTuningConfig(
        task_type="CAUSAL_LM", **{"num_virtual_tokens": settings.virtual_tokens} | dict(settings.peft)
    )


def _p_tuning(settings: TrainingSettings, model: Any) -> Any:
    peft = need("peft", feature="training", extra="train")
    given = {"num_virtual_tokens": settings.virtual_tokens, "encoder_hidden_size": text_config(model).hidden_size}
    return peft.PromptEncoderConfig(task_type="CAUSAL_LM", **given | dict(settings.peft))


METHODS: dict[str, Method] = {
    "full": Method("all weights, or those of the top layers", 1e-4),
    "lora": Method("low-rank updates (Hu et al. 2021, arXiv:2106.09685)", 1e-3, _lora),
    "rslora": Method(
        "LoRA scaled by 1/sqrt(r) (Kalajdzievski 2023, arXiv:2312.03732)",
        4e-4,
        lambda s, m: _lora(s, m, use_rslora=True),
    ),
    "dora": Method(
        "magnitude and direction apart (Liu et al. 2024, arXiv:2402.09353)",
        1e-3,
        lambda s, m: _lora(s, m, use_dora=True),
    ),
    "pissa": Method(
        "LoRA begun at the principal singular vectors (Meng et al. 2024, arXiv:2404.02948)",
        3e-4,
        lambda s, m: _lora(s, m, init_lora_weights="pissa"),
        moves_base=True,
    ),
    "olora": Method(
        "LoRA begun at an orthonormal basis (Büyükakyüz 2024, arXiv:2406.01775)",
        3e-4,
        lambda s, m: _lora(s, m, init_lora_weights="olora"),
        moves_base=True,
    ),
    "eva": Method("LoRA begun at the data's singular vectors (Paischer et al. 2024, arXiv:2410.07170)", 1e-3, _eva),
    "ia3": Method("learned scales of keys, values and feed-forward (Liu et al. 2022, arXiv:2205.05638)", 1e-2, _ia3),
    "prompt-tuning": Method(
        "virtual tokens before the prompt (Lester et al. 2021, arXiv:2104.08691)",
        1e-2,
        _prompt,
        merges=False,
        virtual=True,
    ),
    "prefix-tuning": Method(
        "virtual keys and values in every layer (Li and Liang 2021, arXiv:2101.00190)",
        5e-3,
        _prefix,
        merges=False,
        virtual=True,
    ),
    "p-tuning": Method(
        "virtual tokens from a small encoder (Liu et al. 2021, arXiv:2103.10385)",
        3e-3,
        _p_tuning,
        merges=False,
        virtual=True,
    ),
    "qlora": Method("LoRA on a base in 4 bits (Dettmers et al. 2023, arXiv:2305.14314)", 1e-3, _lora, needs_gpu=True),
}
"""Methods by name."""


def refuse_without_gpu(method: str) -> None:
    """`ModelMistake` for a method that this machine cannot train."""
    if not METHODS[method].needs_gpu:
        return
    torch = need("torch", feature="training", extra="train")
    if not torch.cuda.is_available():
        raise ModelMistake(
            f"{method} keeps the base in 4 bits, which needs an NVIDIA GPU; this machine has none",
            tip="use lora: on a CPU it is as small where it matters, and quicker",
        )
    if find_spec("bitsandbytes") is None:
        raise MissingExtra(f"{method} needs the library 'bitsandbytes'", tip="pip install bitsandbytes")


def wear(model: Any, settings: TrainingSettings, *, tokenizer: Any, batches: Callable[[], Any] | None = None) -> Any:
    """The model with what `settings.method` trains; everything else frozen. Trained weights are in float32.

    `batches` gives the batches that EVA looks at. bfloat16 keeps 8 bits: an update smaller than 1/256 of a weight
    would be lost, so what is trained is kept in float32, whatever the base is in.
    """
    torch = need("torch", feature="training", extra="train")
    method = METHODS[settings.method]
    if method.config is None:
        return _full(model, settings, torch)
    peft = need("peft", feature="training", extra="train")
    worn = peft.get_peft_model(model, method.config(settings, model))
    if settings.method == "eva":
        if batches is None:
            raise ConfigMistake("eva needs training batches to begin with")
        worn.train(False)
        peft.initialize_lora_eva_weights(
            worn,
            dataloader=batches(),
            prepare_model_inputs_fn=None,
            prepare_layer_inputs_fn=_flat,
            show_progress_bar=False,
        )
        worn.train(True)
    if settings.method == "prefix-tuning":
        _prefix_from_text(worn, settings, tokenizer)
    for parameter in worn.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return worn


def _flat(layer_input: Any, model_input: Any, layer_name: str) -> Any:
    inputs = layer_input[0] if isinstance(layer_input, (tuple, list)) else layer_input
    return inputs.reshape(-1, inputs.shape[-1]).float()


def _prefix_from_text(worn: Any, settings: TrainingSettings, tokenizer: Any) -> None:
    """Start the virtual keys and values as those of a real text: random ones begin by breaking the model."""
    from peft.tuners.cartridge.utils import initialize_kv_prefix_from_text

    text = settings.init_text or INIT_TEXTS["passages", "en"]
    while len(tokenizer(text)["input_ids"]) < worn.active_peft_config.num_virtual_tokens:
        text = f"{text} {text}"
    initialize_kv_prefix_from_text(worn, tokenizer, text=text, use_chat_template=False)


def _full(model: Any, settings: TrainingSettings, torch: Any) -> Any:
    model.requires_grad_(settings.layers >= 1)
    if settings.layers < 1:
        layers = layers_of(model).modules
        for number in top_layers(model, settings.layers):
            layers[number].requires_grad_(True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model
