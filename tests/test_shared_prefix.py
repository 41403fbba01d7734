"""A common beginning that is computed once gives the same answers: on a tiny model with random weights, in float32."""

from __future__ import annotations

import pytest

from tunewise.models import local
from tunewise.models.local import common_prefix
from tunewise.nouns import Decoding

WORDS = [f"w{i}" for i in range(60)]


def test_common_prefix():
    assert common_prefix([[1, 2, 3, 4], [1, 2, 9], [1, 2, 3, 5]]) == 2
    assert common_prefix([[1, 2], [1, 2]]) == 1, "a row keeps something to read"
    assert common_prefix([[1], [2, 3]]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("tiny")
    words = {word: i for i, word in enumerate(["<pad>", "<end>", "<user>", *WORDS])}
    plain = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}"
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, eos_token_id=1, pad_token_id=0)
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.mark.slow
def test_answers_are_the_same_with_and_without(folder, monkeypatch):
    monkeypatch.setattr(local, "precision", lambda: ("float32", "for the test"))
    model = local.LocalModel(str(folder))
    lead = " ".join(WORDS[i * 7 % 60] for i in range(80))
    prompts = [[{"role": "user", "content": f"{lead} {' '.join(WORDS[i : 2 * i + 1])}"}] for i in range(1, 9)]
    decoding = Decoding(max_new_tokens=12)
    alone = [model.generate([prompt], decoding)[0].text for prompt in prompts]
    calls = []
    forward = model.model.generate
    monkeypatch.setattr(model.model, "generate", lambda **how: calls.append("past_key_values" in how) or forward(**how))
    with_cache = model.generate(prompts, decoding)
    assert calls == [True] and [one.text for one in with_cache] == alone
    assert [one.tokens_in for one in with_cache] == [len(local.prompt_tokens(model.tokenizer, p)) for p in prompts]
    monkeypatch.setattr(local, "SHARED", 10**9)
    assert [one.text for one in model.generate(prompts, decoding)] == alone and calls == [True, False]
    assert len(set(alone)) > 3, "the prompts matter"
    monkeypatch.setattr(local, "SHARED", 64)
    model.model.config.sliding_window = 4096
    model.generate(prompts, decoding)
    assert calls == [True, False, False], "padding inside a window would shorten it"
