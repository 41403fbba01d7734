"""A tuned Llama model as one GGUF file: tensors, tokenizer, chat template and end token, written by the `gguf` package.

Only what can be written without loss of meaning: the Llama architecture with a byte-level BPE tokenizer whose
pre-tokenizer llama.cpp knows by name. Everything else is refused, never written almost right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewise.errors import ModelMistake, need

QUANTISATIONS = ("F16", "Q8_0", "Q4_1")
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_gguf(model: Any, tokenizer: Any, path: Path, *, quantisation: str, ends: set[int], about: Mapping[str, Any],
               ) -> None:
    """Write a transformers Llama model and its tokenizer to `path`; `about` goes into the file's own metadata.

    Matrices are quantised (Q4_1 keeps the embedding in Q8_0, as llama.cpp does), vectors stay in float32.
    `ModelMistake` for what GGUF cannot say faithfully.
    """
    gguf = need("gguf", feature="exporting GGUF", extra="local")
    torch = need("torch", feature="exporting GGUF", extra="local")
    config = model.config
    _refuse_others(config)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(str(about.get("name", "tunewise")))
    kinds = {"F16": gguf.LlamaFileType.MOSTLY_F16, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
             "Q4_1": gguf.LlamaFileType.MOSTLY_Q4_1}
    writer.add_file_type(kinds[quantisation])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    for key in ("groups", "documents"):
        if about.get(key):
            writer.add_array(f"tunewise.{key}", list(about[key]))
    _tokenizer(writer, gguf, tokenizer, config.vocab_size, ends)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        place = names.get_name(name, try_suffixes=(".weight",))
        if place is None:
            raise ModelMistake(f"the tensor {name} has no place in a Llama GGUF", tip="--format safetensors")
        values = tensor.detach().to(torch.float32).cpu().numpy()
        if name.endswith("q_proj.weight"):
            values = _interleaved(values, config.num_attention_heads)
        elif name.endswith("k_proj.weight"):
            values = _interleaved(values, config.num_key_value_heads)
        kind = _kind(gguf, values, quantisation, embedding=name.endswith(("embed_tokens.weight", "lm_head.weight")))
        writer.add_tensor(place, gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _refuse_others(config: Any) -> None:
    faults = []
    if config.model_type != "llama":
        faults.append(f"its architecture is {config.model_type}, not llama")
    if getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False):
        faults.append("it has biases")
    if (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default") != "default":
        faults.append(f"its positions are scaled ({config.rope_parameters['rope_type']})")
    if faults:
        raise ModelMistake("this model cannot be exported to GGUF here: " + "; ".join(faults),
                           tip="--format safetensors, then llama.cpp's own convert_hf_to_gguf.py")


def _kind(gguf: Any, values: Any, quantisation: str, *, embedding: bool) -> Any:
    kinds = gguf.GGMLQuantizationType
    if values.ndim == 1:
        return kinds.F32
    if quantisation == "F16" or values.shape[-1] % 32:
        # Blocks hold 32 values of a row; odd rows stay in F16.
        return kinds.F16
    return kinds.Q8_0 if embedding else kinds[quantisation]


def _interleaved(values: Any, heads: int) -> Any:
    """Rows of a query or key projection in llama.cpp's order: rotary pairs side by side, not in two halves."""
    rows = values.shape[0]
    return values.reshape(heads, 2, rows // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _tokenizer(writer: Any, gguf: Any, tokenizer: Any, size: int, ends: set[int]) -> None:
    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    model = whole["model"]
    if model["type"] != "BPE" or model.get("byte_fallback") or whole["normalizer"] is not None:
        raise ModelMistake("its tokenizer is no byte-level BPE: GGUF cannot hold it faithfully here",
                           tip="--format safetensors, then llama.cpp's own convert_hf_to_gguf.py")
    names = {place: text for text, place in model["vocab"].items()}
    added = {one["id"]: one for one in whole["added_tokens"]}
    names |= {place: one["content"] for place, one in added.items()}
    kinds = gguf.TokenType
    types = []
    for place in range(size):
        own = added.get(place)
        types.append(kinds.UNUSED if place not in names else kinds.NORMAL if own is None
                     else kinds.CONTROL if own["special"] else kinds.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(whole["pre_tokenizer"]))
    writer.add_token_list([names.get(place, f"[UNUSED{place}]") for place in range(size)])
    writer.add_token_types([int(kind) for kind in types])
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in model["merges"]])
    end = tokenizer.eos_token_id if tokenizer.eos_token_id in ends else min(ends)
    writer.add_eos_token_id(end)
    for others, add in ((ends - {end}, writer.add_eot_token_id), ({tokenizer.bos_token_id}, writer.add_bos_token_id),
                        ({tokenizer.unk_token_id}, writer.add_unk_token_id),
                        ({tokenizer.pad_token_id}, writer.add_pad_token_id)):
        for place in sorted(others - {None})[:1]:
            add(place)
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    writer.add_add_bos_token(tokenizer("a")["input_ids"] != plain)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(tokenizer.chat_template)


def _pre_tokenizer(value: Mapping[str, Any]) -> str:
    """llama.cpp's name of a pre-tokenizer."""
    steps = value["pretokenizers"] if value["type"] == "Sequence" else [value]
    kinds = [step["type"] for step in steps]
    regex = steps[-1].get("use_regex") if kinds and kinds[-1] == "ByteLevel" else None
    if kinds == ["ByteLevel"] and regex and not steps[0].get("add_prefix_space"):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and regex:
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and steps[0]["pattern"].get("Regex") == _LLAMA3 and regex is False:
        return "llama-bpe"
    raise ModelMistake(f"its pre-tokenizer ({', '.join(kinds)}) has no name in llama.cpp that is known here",
                       tip="--format safetensors, then llama.cpp's own convert_hf_to_gguf.py")
