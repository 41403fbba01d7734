"""Where a model keeps its decoder layers, which matrices are in them, and which of them are trained.

Model families name these parts differently: queries, keys and values lie in one matrix or in three, and the decoder
of a model that also sees pictures lies beside a vision tower with layers of its own. So they are looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tunewise.errors import ModelMistake, need

KEYS_AND_VALUES = (("k_proj", "v_proj"), ("qkv_proj",), ("query_key_value",), ("c_attn",), ("Wqkv",))
"""Names of the layers that give keys and values, of which a model has one group; queries may be in them."""
FEED_FORWARD = ("down_proj", "dense_4h_to_h", "fc2")
"""Names of the last layer of a block's feed-forward part."""


def text_config(model: Any) -> Any:
    """The config of the part that reads and writes text: a model's own, or one of several inside it."""
    return model.config.get_text_config(decoder=True)


@dataclass(frozen=True, slots=True)
class Layers:
    """The decoder layers of a model: the dotted name of their list, the modules, and the names of the linear layers in
    them (`linear`: last parts of the names). `alone`: no other part of the model has linear layers of these names."""

    name: str
    modules: tuple[Any, ...]
    linear: tuple[str, ...]
    alone: bool


def layers_of(model: Any) -> Layers:
    """The decoder layers of a transformers model; `ModelMistake` where there are none to be found."""
    torch = need("torch", feature="training", extra="train")
    count = text_config(model).num_hidden_layers
    found = next(
        (
            child
            for child in model.get_decoder().children()
            if isinstance(child, torch.nn.ModuleList) and len(child) == count
        ),
        None,
    )
    if found is None:
        raise ModelMistake(
            f"the decoder layers of {model.config.model_type} were not found", tip="use a decoder of a common family"
        )
    name = next(name for name, module in model.named_modules() if module is found)
    inside, outside = [], set()
    for key, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            last = key.rpartition(".")[2]
            if key.startswith(f"{name}."):
                inside.append(last)
            else:
                outside.add(last)
    linear = tuple(dict.fromkeys(inside))
    return Layers(name, tuple(found), linear, not outside & set(linear))


def top_layers(model: Any, share: float) -> list[int]:
    """The numbers of the decoder layers that are trained: the share of them counted from the top."""
    count = text_config(model).num_hidden_layers
    return list(range(count - max(1, round(share * count)), count))


def targets(model: Any, names: tuple[str, ...], share: float) -> dict[str, Any]:
    """What PEFT's configs are given to reach the linear layers of these names in the top `share` of the decoder."""
    layers = layers_of(model)
    if layers.alone:
        given: dict[str, Any] = {"target_modules": list(names)}
        if share < 1:
            given |= {
                "layers_to_transform": top_layers(model, share),
                "layers_pattern": layers.name.rpartition(".")[2],
            }
        return given
    return {"target_modules": pattern(layers, names, top_layers(model, share))}


def pattern(layers: Layers, names: tuple[str, ...], numbers: list[int]) -> str:
    """A regular expression for the linear layers of these names in the decoder layers of these numbers."""
    place = layers.name.replace(".", r"\.")
    return rf"{place}\.({'|'.join(map(str, numbers))})\..*\.({'|'.join(names)})"


def untrained_below(worn: Any, model: Any) -> int:
    """How many decoder layers, from the bottom, lie below everything that is trained, so that no gradient reaches them.

    `worn` is the model as it is trained, whatever was handed on to PEFT; 0 where something before the layers learns.
    """
    layers = layers_of(model).modules
    number_of = {id(p): number for number, layer in enumerate(layers) for p in layer.parameters()}
    head = model.get_output_embeddings()
    behind = {id(p) for p in head.parameters()} if head is not None else set()
    # A head that shares its weights with the embeddings trains both.
    behind -= {id(p) for p in model.get_input_embeddings().parameters()}
    lowest = len(layers) - 1
    for parameter in worn.parameters():
        if not parameter.requires_grad or id(parameter) in behind:
            continue
        lowest = min(lowest, number_of.get(id(parameter), 0))
    return lowest
