"""Random models small enough to be checked by hand: a Llama of two layers with a tokenizer of single characters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHAT = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def tiny_llama(
    folder: Path, *, letters: str = "", seed: int = 0, hidden: int = 32, spread: float = 0.3, merges=()
) -> Path:
    """A saved model folder; `letters` are its whole vocabulary beside the special tokens (default: all bytes)."""
    import torch
    import transformers
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    if letters:
        vocabulary = {name: i for i, name in enumerate(["<eos>", "<unk>", *letters])}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Split(Regex("."), "isolated"), decoders.Fuse()
        special = {"unk_token": "<unk>", "eos_token": "<eos>", "pad_token": "<eos>"}
    else:
        names = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
        vocabulary = {name: i for i, name in enumerate([*names, *("".join(pair) for pair in merges)])}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        special = {"pad_token": "<pad>", "eos_token": "<eos>"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    fast.chat_template = CHAT
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=1024, pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id, bos_token_id=fast.eos_token_id, tie_word_embeddings=True,
        initializer_range=spread,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def save_adapter(worn: Any, folder: Path, base: Path, method: str = "lora") -> Path:
    """Save a PEFT model as a finished adapter folder of `base`."""
    from tunewise.models import local
    from tunewise.store import sha256

    worn.save_pretrained(folder)
    about = {"base": local.identify(str(base), base), "model": str(base), "method": method,
             "weights": sha256(folder / "adapter_model.safetensors")}
    (folder / "tunewise.json").write_text(json.dumps(about))
    return folder
