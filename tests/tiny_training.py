"""A random two-layer Llama with a byte-level tokenizer, for tests of training and serving: made in a second."""

from __future__ import annotations

from pathlib import Path

from tunewise.nouns import Chunk, Gold, Hit, Question
from tunewise.training import raft_rows


def make_tiny(folder: Path, *, layers: int = 2, seed: int = 0) -> Path:
    """Save a tiny model folder with a tokenizer and a chat template."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {"<pad>": 0, "<eos>": 1} | {
        c: i + 2 for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    fast.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


TEXT = "Send it back within 30 days. The fee is 5 EUR."
CHUNKS = [Chunk("c0", "r.md", "v", 0, 28, TEXT[:28]), Chunk("c1", "r.md", "v", 29, 46, TEXT[29:])]
HITS = [Hit(CHUNKS[0], 1.0, 1), Hit(CHUNKS[1], 0.5, 2)]
QUESTIONS = [
    Question(f"q{i}", f"How long {i}?", ("30 days",), (Gold("r.md", 20, 27),), split="train") for i in range(12)
]


def tiny_rows(count: int = 12):
    """RAFT rows of the same two passages."""
    return raft_rows(QUESTIONS[:count], lambda queries: [HITS] * len(queries), lambda question: [CHUNKS[0]])[0]
