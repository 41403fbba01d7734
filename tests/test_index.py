"""The index: what is in it is found, by those who may see it, and nothing else, also after damage and kills."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sample_documents import make
from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.errors import ConfigMistake, Damaged, DataMistake, DiskFull, Failed
from tunewise.index import Index, access, build, generation, lexical, place, stored_bytes
from tunewise.index.vectors import VectorCache
from tunewise.store import lock

PAIRS = [
    make("returns.md", "Returns", "Customers may return the AX-200/B within 30 days.", "Opened boxes cost 15 euros."),
    make("models.md", "Models", "The AX-200/C runs on batteries.", "Running costs of the B series are low."),
    make("桥.md", "桥梁", "南京市长江大桥于1968年建成通车。", "桥梁全长六千七百七十二米。", language="zh"),
    make("大学.md", "大学", "北京大学的生物系研究基因。", "图书馆周日不开放。", language="zh"),
    make("pay.md", "Salaries", "The director earns 9,000 euros.", groups=("board",)),
    make("staff.md", "Staff", "Staff may return the director's car.", groups=("hr", "board")),
]


class Counting(HashEmbedder):
    """Remembers what it was asked to embed."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return super().embed(texts)


class Other(HashEmbedder):
    name = "other"
    fingerprint = "0" * 64


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as opened:
        opened.put_all(PAIRS)
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "indexes"


def lexical_texts(index: Index, question: str, groups: Sequence[str] | None = None) -> list[str]:
    return [chunk.text for chunk, _ in index.search_lexical(question, 3, groups=groups)]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When was the opening of a box returned?", "Opened boxes cost 15 euros."),
        ("AX-200/B", "Customers may return the AX-200/B within 30 days."),
        ("ax-200/c", "The AX-200/C runs on batteries."),
        ("ＡＸ－２００／Ｃ", "The AX-200/C runs on batteries."),
        ("batteries run", "The AX-200/C runs on batteries."),
        ("30", "Customers may return the AX-200/B within 30 days."),
        ("长江大桥", "南京市长江大桥于1968年建成通车。"),
        ("大桥哪一年通车？", "南京市长江大桥于1968年建成通车。"),
        ("1968年", "南京市长江大桥于1968年建成通车。"),
        ("图书馆什么时候开放", "图书馆周日不开放。"),
        ("研究基因的是哪个大学", "北京大学的生物系研究基因。"),
        ("桥梁全长是多少", "桥梁全长六千七百七十二米。"),
    ],
)
def test_full_text_finds_words_codes_and_chinese(catalog: Catalog, folder: Path, question: str, expected: str) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    assert lexical_texts(Index(catalog, folder), question)[0] == expected


def test_no_word_of_a_passage_is_lost(catalog: Catalog, folder: Path) -> None:
    """The store's own list of stop words is that of many languages: these would be found nowhere."""
    lost = ["door", "die", "war", "van", "bin", "man", "hat", "den", "des", "over", "end", "sur", "par", "men", "era",
            "sin", "all", "not", "的", "和"]
    catalog.put(*make("words.md", *(f"{word} zebra{n}" for n, word in enumerate(lost))))
    build(catalog, folder, embedder=HashEmbedder())
    index = Index(catalog, folder)
    for number, word in enumerate(lost):
        assert lexical_texts(index, f"{word} zebra{number}")[0].startswith(word)
    for word in ("door", "die", "war", "van", "bin", "man", "hat", "men", "era", "sin", "end"):
        assert lexical_texts(index, word)[0].startswith(word)
        assert lexical_texts(index, f"what is the {word}?")[0].startswith(word)


@pytest.mark.parametrize("question", ["", "   ", "？！…", "\"'; --", "the of and", "zzzz"])
def test_full_text_of_nothing_is_nothing(catalog: Catalog, folder: Path, question: str) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    assert lexical_texts(Index(catalog, folder), question) == []


def test_dense_scores_are_cosines_of_what_was_embedded(catalog: Catalog, folder: Path) -> None:
    embedder = HashEmbedder()
    build(catalog, folder, embedder=embedder)
    vector = embedder.embed(["director earns euros"])[0]
    found = Index(catalog, folder).search_dense(vector, 50)
    chunks = list(catalog.chunks())
    assert len(found) == len(chunks)
    expected = {c.id: float(embedder.embed([lexical.passage_text(c)])[0] @ vector) for c in chunks}
    assert {chunk.id: score for chunk, score in found} == pytest.approx(expected, abs=1e-5)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert found[0][0].document == "pay.md"
    with pytest.raises(ValueError, match="512 numbers"):
        Index(catalog, folder).search_dense(vector[:10], 5)


def test_chunks_come_back_exactly(catalog: Catalog, folder: Path) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    ((chunk, _),) = Index(catalog, folder).search_lexical("1968", 1)
    document = catalog.document("桥.md")
    assert document.text[chunk.start : chunk.end] == chunk.text
    assert chunk == next(c for c in catalog.chunks("桥.md") if "1968" in c.text)


# ---------------------------------------------------------------------------------------------------- access


def test_restricted_passages_never_leave_either_leg(tmp_path: Path) -> None:
    """500 canaries in 20 groups: each reader sees exactly the public ones and their own, whatever they ask."""
    random.seed(7)
    names = [f"group {n} ' OR 1=1 --" if n % 2 else f"组{n}" for n in range(20)]
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as catalog:
        pairs = [
            make(f"doc{n}", f"The canary bird number {n} sings.", groups=tuple(random.sample(names, n % 3)))
            for n in range(500)
        ]
        catalog.put_all(pairs)
        embedder = HashEmbedder()
        build(catalog, tmp_path / "indexes", embedder=embedder)
        index = Index(catalog, tmp_path / "indexes")
        vector = embedder.embed(["canary bird number sings"])[0]
        attacks = ["*", "'", "') OR true --", "x'], access) OR ('a'='a", names[1], "", "\0", "组" * 5000]
        readers = [(), *((name,) for name in names), (names[0], names[1]), *((attack,) for attack in attacks)]
        for groups in readers:
            expected = {d.id for d, _ in pairs if not d.groups or set(d.groups) & set(groups)}
            for found in (
                index.search_dense(vector, 1000, groups=groups),
                index.search_lexical("canary bird", 1000, groups=groups),
            ):
                assert {chunk.document for chunk, _ in found} == expected
        assert len(index.search_lexical("canary", 1000, groups=None)) == 500


def test_filter_is_applied_before_ranking(tmp_path: Path) -> None:
    """The only public passage is found although hundreds of restricted ones rank before it."""
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as catalog:
        catalog.put_all([make(f"doc{n}", "canary canary canary", groups=("secret",)) for n in range(300)])
        catalog.put(*make("public", "one canary among many other words of no use at all"))
        embedder = HashEmbedder()
        build(catalog, tmp_path / "indexes", embedder=embedder)
        index = Index(catalog, tmp_path / "indexes")
        vector = embedder.embed(["canary"])[0]
        assert [c.document for c, _ in index.search_dense(vector, 3, groups=())] == ["public"]
        assert [c.document for c, _ in index.search_lexical("canary", 3, groups=())] == ["public"]


def test_restriction_holds_before_the_next_build(catalog: Catalog, folder: Path) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    index = Index(catalog, folder)
    assert lexical_texts(index, "batteries", ())
    document, chunks = PAIRS[1]
    catalog.put(replace(document, groups=("hr",)), chunks)
    assert lexical_texts(index, "batteries", ()) == []
    assert lexical_texts(index, "batteries", ("hr",))


def test_one_string_is_not_a_collection_of_groups(catalog: Catalog, folder: Path) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    with pytest.raises(TypeError, match="not one string"):
        Index(catalog, folder).search_lexical("director", 3, groups="board")


@pytest.mark.parametrize("name", ["*", "'", "a' OR 'a'='a", "\\", "组", ""])
def test_group_names_never_enter_the_filter(name: str) -> None:
    condition = access.where([name])
    assert condition is not None
    assert condition.replace("array_has_any(access, ['*', '", "").rstrip("'])").isalnum()
    assert access.tokens([name]) != access.tokens([])


# ---------------------------------------------------------------------------------------------------- generations


def test_deleted_document_is_gone_at_once_and_from_the_disk(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    index = Index(catalog, folder)
    assert any(b"9,000 euros" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    catalog.remove("pay.md")
    vector = HashEmbedder().embed(["The director earns 9,000 euros."])[0]
    assert all(chunk.document != "pay.md" for chunk, _ in index.search_dense(vector, 50))
    assert all(chunk.document != "pay.md" for chunk, _ in index.search_lexical("director earns 9,000 euros", 50))
    build(catalog, folder, embedder=HashEmbedder())
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"9,000 euros" in path.read_bytes()]
    assert len(catalog.generations()) == 1


def test_only_changed_texts_are_embedded(catalog: Catalog, folder: Path) -> None:
    first, second, third = Counting(), Counting(), Counting()
    built = build(catalog, folder, embedder=first)
    assert len(first.seen) == built.chunks == sum(len(chunks) for _, chunks in PAIRS)
    assert build(catalog, folder, embedder=second) == built
    assert second.seen == []
    catalog.put(*make("models.md", "Models", "The AX-200/C runs on batteries.", "It has a lid."))
    changed = build(catalog, folder, embedder=third)
    assert changed.id != built.id
    assert [text.rpartition("\n")[2] for text in third.seen] == ["It has a lid."]
    assert lexical_texts(Index(catalog, folder), "lid") == ["It has a lid."]


def test_rollback_and_forward(catalog: Catalog, folder: Path) -> None:
    old = build(catalog, folder, embedder=HashEmbedder())
    catalog.put(*make("models.md", "Models", "The AX-300 runs on steam."))
    new = build(catalog, folder, embedder=HashEmbedder())
    assert lexical_texts(Index(catalog, folder), "batteries") == []
    catalog.switch(old.id)
    rolled_back = Index(catalog, folder)
    assert rolled_back.fingerprint == old.fingerprint
    assert lexical_texts(rolled_back, "batteries") == ["The AX-200/C runs on batteries."]
    assert lexical_texts(rolled_back, "steam") == []
    assert build(catalog, folder, embedder=Counting()).id == new.id
    assert lexical_texts(Index(catalog, folder), "steam") == ["The AX-300 runs on steam."]


def test_a_reader_of_the_old_generation_sees_it_whole(catalog: Catalog, folder: Path) -> None:
    build(catalog, folder, embedder=HashEmbedder())
    reader = Index(catalog, folder)
    catalog.put(*make("models.md", "Models", "The AX-300 runs on steam."))
    build(catalog, folder, embedder=HashEmbedder())
    assert lexical_texts(reader, "batteries") == ["The AX-200/C runs on batteries."]


def test_two_generations_are_kept(catalog: Catalog, folder: Path) -> None:
    built = []
    for number in range(4):
        catalog.put(*make("models.md", "Models", f"Version {number}."))
        built.append(build(catalog, folder, embedder=HashEmbedder()).id)
    assert [one.id for one in catalog.generations()] == built[-2:]
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(built[-2:])
    with pytest.raises(DataMistake, match="no index generation"):
        Index(catalog, folder, built[0])
    assert lexical_texts(Index(catalog, folder, built[-2]), "version") == ["Version 2."]


def test_same_content_elsewhere_is_the_same_generation(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    with Catalog(f"sqlite:///{tmp_path / 'elsewhere.sqlite'}") as other:
        for pair in reversed(PAIRS):
            other.put(*pair)
        there = build(other, tmp_path / "elsewhere", embedder=HashEmbedder())
        here = build(catalog, folder, embedder=HashEmbedder())
        assert there.fingerprint == here.fingerprint
        for question in ("return the director", "大学", "AX-200/B"):
            assert lexical_texts(Index(other, tmp_path / "elsewhere"), question) == lexical_texts(
                Index(catalog, folder), question
            )


def test_empty_catalog_and_missing_index(tmp_path: Path) -> None:
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as catalog:
        with pytest.raises(DataMistake, match="nothing to index"):
            build(catalog, tmp_path / "indexes", embedder=HashEmbedder())
        with pytest.raises(DataMistake, match="no index yet"):
            Index(catalog, tmp_path / "indexes")


def test_one_builder_at_a_time(catalog: Catalog, folder: Path) -> None:
    with lock(folder / "writer.lock"), pytest.raises(Failed, match="in use by process"):
        build(catalog, folder, embedder=HashEmbedder())


# ---------------------------------------------------------------------------------------------------- damage


def test_every_flipped_bit_is_found_and_mended(catalog: Catalog, folder: Path) -> None:
    built = build(catalog, folder, embedder=HashEmbedder())
    files = [path for path in sorted((folder / built.id).rglob("*")) if path.is_file() and path.stat().st_size]
    random.seed(3)
    for path in files:
        whole = path.read_bytes()
        position = random.randrange(len(whole))
        flipped = bytearray(whole)
        flipped[position] ^= 1 << random.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(Damaged, match="not what was built|not the one that was built"):
            Index(catalog, folder)
        path.write_bytes(whole)
    assert len(files) > 10
    files[0].write_bytes(b"")
    again = Counting()
    assert build(catalog, folder, embedder=again).id == built.id
    assert again.seen == []
    assert lexical_texts(Index(catalog, folder), "batteries")


def test_missing_folder_is_said_and_mended(catalog: Catalog, folder: Path) -> None:
    built = build(catalog, folder, embedder=HashEmbedder())
    shutil.rmtree(folder / built.id)
    with pytest.raises(Damaged, match="missing"):
        Index(catalog, folder)
    build(catalog, folder, embedder=HashEmbedder())
    assert lexical_texts(Index(catalog, folder), "batteries")


def test_other_tokenizer_settings_are_refused(catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build(catalog, folder, embedder=HashEmbedder())
    monkeypatch.setattr(lexical, "FINGERPRINT", "1" * 64)
    with pytest.raises(Damaged, match="another tokenizer"):
        Index(catalog, folder)
    assert build(catalog, folder, embedder=HashEmbedder()).id != old.id
    assert lexical_texts(Index(catalog, folder), "batteries")


def test_manifest_counts_what_was_built(catalog: Catalog, folder: Path) -> None:
    built = build(catalog, folder, embedder=HashEmbedder())
    manifest = json.loads((folder / built.id / "manifest.json").read_text())
    assert manifest["rows"] == built.chunks
    assert manifest["fingerprint"] == built.fingerprint


@pytest.mark.parametrize("point", ["_write_table", "_hash_and_sync", "write_json", "add_generation"])
def test_failure_at_any_step_leaves_the_old_generation(
    catalog: Catalog, folder: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    old = build(catalog, folder, embedder=HashEmbedder())
    catalog.put(*make("models.md", "Models", "The AX-300 runs on steam."))

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Catalog if point == "add_generation" else generation, point, fail)
        with pytest.raises((OSError, DiskFull)):
            build(catalog, folder, embedder=HashEmbedder())
    current = catalog.current()
    assert current is not None
    assert current.id == old.id
    assert lexical_texts(Index(catalog, folder), "batteries")
    new = build(catalog, folder, embedder=HashEmbedder())
    assert lexical_texts(Index(catalog, folder), "steam")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted([old.id, new.id])


# ---------------------------------------------------------------------------------------------------- vectors


def test_wrong_vectors_in_the_cache_are_computed_again(tmp_path: Path) -> None:
    path, embedder = tmp_path / "embeddings.sqlite", Counting()
    cache = VectorCache(path, embedder)
    assert list(cache.add(["one", "two", "three"], batch=2)) == [2, 3]
    assert cache.missing(["one", "two", "two", "four"]) == ["four"]
    cache.close()
    with sqlite3.connect(path) as connection:
        first = "SELECT min(key) FROM vectors"
        connection.execute(f"UPDATE vectors SET vector = zeroblob(length(vector)) WHERE key = ({first})")
    connection.close()
    cache = VectorCache(path, embedder)
    (wrong,) = cache.missing(["one", "two", "three"])
    list(cache.add([wrong]))
    assert np.array_equal(cache.vectors(["three", "one", "two"]), embedder.embed(["three", "one", "two"]))
    cache.close()
    other = VectorCache(path, Other())
    assert other.missing(["one"]) == ["one"]
    other.close()


def test_cache_that_is_no_database_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    path.write_bytes(b"no database at all, " * 300)
    cache = VectorCache(path, HashEmbedder())
    assert cache.missing(["one"]) == ["one"]
    cache.close()


def test_weight_of_the_dense_leg_follows_the_unknown_tokens(catalog: Catalog, folder: Path) -> None:
    class English(HashEmbedder):
        def unknown_share(self, texts: Sequence[str]) -> float:
            text = "".join(texts)
            return sum(not character.isascii() for character in text) / len(text)

    built = build(catalog, folder, embedder=English())
    assert built.unknown["en"] == 0.0
    assert built.unknown["zh"] > 0.8
    assert built.dense_weight == 0.5
    flat, note = built.notes
    assert "every vector is compared" in flat
    assert "'zh'" in note
    assert "is not used" in note
    for pair in PAIRS:
        if pair[0].language == "en":
            catalog.remove(pair[0].id)
    assert build(catalog, folder, embedder=English()).dense_weight == 0.0


def test_weights() -> None:
    assert [generation.dense_weight(share) for share in (0, 0.1, 0.25, 0.4, 0.6)] == [0.5, 0.5, 0.25, 0.0, 0.0]


@pytest.mark.slow
def test_large_index_is_searched_by_cells(tmp_path: Path) -> None:
    """Above 20,000 passages the vectors are quantised in cells: nearly the same neighbours as comparing all."""
    text = "\n".join(f"passage {n} of {n % 97} and {n % 89} words {n * 7919 % 10007}" for n in range(21_000))
    with Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}") as catalog:
        catalog.put(*make("big", *text.split("\n"), groups=("many",)))
        few = (f"passage {n} of few words {n * 7919 % 997}" for n in range(300))
        catalog.put(*make("small", *few, groups=("few",)))
        embedder = HashEmbedder()
        build(catalog, tmp_path / "indexes", embedder=embedder)
        index = Index(catalog, tmp_path / "indexes")
        chunks = list(catalog.chunks())
        vectors = embedder.embed([lexical.passage_text(chunk) for chunk in chunks])
        recall = []
        for number in range(0, 21_000, 1000):
            query = vectors[number]
            exact = np.sort(vectors @ query)[::-1][9]
            found = index.search_dense(query, 10)
            recall.append(sum(score >= exact - 1e-4 for _, score in found) / 10)
        assert np.mean(recall) > 0.9
        few = [n for n, chunk in enumerate(chunks) if chunk.document == "small"]
        for number in few[::50]:
            exact = np.sort(vectors[few] @ vectors[number])[::-1][:10]
            found = index.search_dense(vectors[number], 10, groups=("few",))
            assert {chunk.document for chunk, _ in found} == {"small"}
            np.testing.assert_allclose([score for _, score in found], exact, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- elsewhere


def test_an_index_under_a_uri(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    """The same code as on object storage, with the local disk behind the URI."""
    uri = (tmp_path / "bucket").as_uri()
    old = build(catalog, folder, embedder=HashEmbedder(), uri=uri)
    lying = [file.stat().st_size for file in (tmp_path / "bucket" / old.id).rglob("*") if file.is_file()]
    assert stored_bytes(folder, old.id) == sum(lying) > 0
    assert not [path for path in folder.iterdir() if path.is_dir()]
    assert lexical_texts(Index(catalog, folder), "batteries") == ["The AX-200/C runs on batteries."]
    vector = HashEmbedder().embed(["director earns euros"])[0]
    assert Index(catalog, folder).search_dense(vector, 1)[0][0].document == "pay.md"
    assert Index(catalog, folder).search_dense(vector, 1, groups=())[0][0].document != "pay.md"
    assert build(catalog, folder, embedder=Counting()) == old
    (tmp_path / "bucket" / "of somebody else").mkdir()
    for number in range(2):
        catalog.put(*make("models.md", "Models", f"Version {number}."))
        built = build(catalog, folder, embedder=HashEmbedder())
    kept = sorted(path.name for path in (tmp_path / "bucket").iterdir())
    assert len(kept) == 4 and old.id not in kept and built.id in kept
    assert "of somebody else" in kept and "tunewise-owner.json" in kept
    table = next(path for path in (tmp_path / "bucket" / built.id).rglob("*.lance") if path.is_file())
    whole = table.read_bytes()
    table.write_bytes(whole[:-1])
    with pytest.raises(Damaged, match="not what was built"):
        Index(catalog, folder)
    table.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Damaged, match="not what was built"):
        Index(catalog, folder, deep=True)
    assert build(catalog, folder, embedder=HashEmbedder(), uri="").id == built.id
    assert (folder / built.id).is_dir()
    # What lay under the URI is not left behind there.
    assert [path.name for path in (tmp_path / "bucket").iterdir()] == ["of somebody else"]
    with pytest.raises(ConfigMistake, match="cannot lie under"):
        build(catalog, folder, embedder=HashEmbedder(), uri="nonsense://bucket")


def test_two_projects_under_one_uri_do_not_erase_each_other(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    uri = (tmp_path / "bucket").as_uri()
    ours = build(catalog, folder, embedder=HashEmbedder(), uri=uri)
    with Catalog(f"sqlite:///{tmp_path / 'other.sqlite'}") as other:
        other.put(*make("b.md", "Another project's page."))
        for _ in range(2):
            with pytest.raises(ConfigMistake, match="another project keeps its index") as caught:
                build(other, tmp_path / "other", embedder=HashEmbedder(), uri=f"{uri}/")
            assert f"{uri}/NAME" in caught.value.tip
        # Nothing of it was written, and it goes on in a place of its own.
        theirs = build(other, tmp_path / "other", embedder=HashEmbedder(), uri=f"{uri}/b")
        assert lexical_texts(Index(other, tmp_path / "other"), "page") == ["Another project's page."]
    assert lexical_texts(Index(catalog, folder), "batteries") == ["The AX-200/C runs on batteries."]
    assert build(catalog, folder, embedder=Counting(), uri=uri) == ours
    # A project that was moved is the same one.
    moved = folder.rename(tmp_path / "moved")
    catalog.put(*make("models.md", "Models", "The AX-300 runs on steam."))
    build(catalog, moved, embedder=HashEmbedder(), uri=uri)
    assert lexical_texts(Index(catalog, moved), "steam") == ["The AX-300 runs on steam."]
    assert (tmp_path / "bucket" / "b" / theirs.id).is_dir()


def test_a_place_with_an_index_that_nobody_marked_is_somebody_elses(
    catalog: Catalog, folder: Path, tmp_path: Path
) -> None:
    uri = (tmp_path / "bucket").as_uri()
    build(catalog, folder, embedder=HashEmbedder(), uri=uri)
    (tmp_path / "bucket" / "tunewise-owner.json").unlink()
    # Ours from before there were marks: it is marked now.
    build(catalog, folder, embedder=HashEmbedder(), uri=uri)
    (tmp_path / "bucket" / "tunewise-owner.json").unlink()
    with Catalog(f"sqlite:///{tmp_path / 'other.sqlite'}") as other:
        other.put(*make("b.md", "Another project's page."))
        with pytest.raises(ConfigMistake, match="another project"):
            build(other, tmp_path / "other", embedder=HashEmbedder(), uri=uri)
    (tmp_path / "bucket" / "tunewise-owner.json").write_text("broken")
    with pytest.raises(ConfigMistake, match="another project"):
        build(catalog, folder, embedder=HashEmbedder())


def test_an_erasure_reaches_the_place_before(catalog: Catalog, folder: Path, tmp_path: Path) -> None:
    buckets = [tmp_path / "one", tmp_path / "two"]
    build(catalog, folder, embedder=HashEmbedder(), uri=buckets[0].as_uri())
    away = buckets[0].rename(tmp_path / "away")
    buckets[0].write_text("not to be reached", encoding="utf-8")
    build(catalog, folder, embedder=HashEmbedder(), uri=buckets[1].as_uri())
    assert place.unreached(folder) == [buckets[0].as_uri()]
    buckets[0].unlink()
    away.rename(buckets[0])
    catalog.remove("pay.md")
    build(catalog, folder, embedder=HashEmbedder())
    assert place.unreached(folder) == [] and list(buckets[0].iterdir()) == []


def test_a_rollback_is_kept_and_not_what_was_rolled_back(catalog: Catalog, folder: Path) -> None:
    built = []
    for number in range(2):
        catalog.put(*make("models.md", "Models", f"Version {number}."))
        built.append(build(catalog, folder, embedder=HashEmbedder()).id)
    catalog.switch(built[0])
    catalog.put(*make("models.md", "Models", "Version 2."))
    built.append(build(catalog, folder, embedder=HashEmbedder()).id)
    assert [one.id for one in catalog.generations()] == [built[0], built[2]]
    # Nothing has changed since: it is still the one that answered before.
    build(catalog, folder, embedder=HashEmbedder())
    assert [one.id for one in catalog.generations()] == [built[0], built[2]]
    assert lexical_texts(Index(catalog, folder, built[0]), "version") == ["Version 0."]
