"""The catalog: what it says is done is whole, on the disk, and erased when it was removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sample_documents import make
from tunewise.catalog import Catalog, Generation, derived
from tunewise.errors import Damaged, DataMistake, Failed


def generation(id: str, created: str = "2026-01-01") -> Generation:
    return Generation(
        id=id, fingerprint=id, embedder="hash", embedder_fingerprint="e", precision="fp32", dimension=4, lexical="l",
        chunks=1, documents=1, unknown={"en": 0.0}, dense_weight=0.5, created=created, manifest="m",
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "catalog.sqlite"


@pytest.fixture
def catalog(file: Path) -> Iterator[Catalog]:
    with Catalog(f"sqlite:///{file}") as opened:
        yield opened


def test_what_goes_in_comes_out(catalog: Catalog) -> None:
    document, chunks = make("a.md", "Returns within 30 days.", "退货须在三十天内提出。", groups=("hr", "board"))
    catalog.put(document, chunks)
    found = catalog.document("a.md")
    assert found == replace(document, groups=("board", "hr"))
    assert list(catalog.chunks()) == [replace(chunk, groups=("board", "hr")) for chunk in chunks]
    assert catalog.chunk(chunks[1].id).text == "退货须在三十天内提出。"
    (record,) = catalog.documents()
    assert (record.id, record.characters, record.settings) == ("a.md", len(document.text), derived(document, chunks))


def test_database_is_durable_and_checks_keys(file: Path, catalog: Catalog) -> None:
    with catalog._read() as connection:
        asked = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                 ("journal_mode", "synchronous", "foreign_keys", "secure_delete")}
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_put_replaces_whole(catalog: Catalog) -> None:
    catalog.put(*make("a.md", "One.", "Two.", "Three."))
    catalog.put(*make("a.md", "Four."))
    assert [chunk.text for chunk in catalog.chunks()] == ["Four."]
    assert len(catalog.documents()) == 1


def test_one_bad_document_leaves_everything_as_it_was(catalog: Catalog) -> None:
    catalog.put(*make("a.md", "One."))
    document, chunks = make("b.md", "Two.")
    foreign = replace(chunks[0], id=next(catalog.chunks()).id)
    with pytest.raises(Failed, match="refused a row"):
        catalog.put_all([make("a.md", "New."), (document, [foreign])])
    assert [chunk.text for chunk in catalog.chunks()] == ["One."]
    assert [record.id for record in catalog.documents()] == ["a.md"]


def test_chunk_that_is_no_span_is_refused(catalog: Catalog) -> None:
    document, chunks = make("a.md", "One.")
    with pytest.raises(ValueError, match="no span"):
        catalog.put(document, [replace(chunks[0], text="Two.")])


def test_removed_text_is_nowhere_on_the_disk(file: Path, catalog: Catalog) -> None:
    catalog.put(*make("secret.md", "The canary is xylophone-7731."))
    catalog.put(*make("a.md", "One."))
    catalog.checkpoint()
    assert any(b"xylophone-7731" in path.read_bytes() for path in file.parent.iterdir())
    catalog.remove("secret.md")
    catalog.checkpoint()
    assert not any(b"xylophone-7731" in path.read_bytes() for path in file.parent.iterdir())
    with pytest.raises(DataMistake, match=r"secret\.md"):
        catalog.remove("secret.md")


def test_group_change_shows_in_chunks_at_once(catalog: Catalog) -> None:
    document, chunks = make("a.md", "One.")
    catalog.put(document, chunks)
    catalog.put(replace(document, groups=("hr",)), chunks)
    assert next(catalog.chunks()).groups == ("hr",)


def test_replaced_chunks_stay_as_long_as_a_generation_needs_them(catalog: Catalog) -> None:
    old, old_chunks = make("a.md", "Old words.")
    catalog.put(old, old_chunks)
    catalog.add_generation(generation("g1", "2026-01-01"), [old_chunks[0].id])
    new, new_chunks = make("a.md", "New words.")
    catalog.put(new, new_chunks)
    assert catalog.chunk(old_chunks[0].id).text == "Old words."
    assert [chunk.text for chunk in catalog.chunks()] == ["New words."]
    catalog.add_generation(generation("g2", "2026-01-02"), [new_chunks[0].id])
    assert catalog.is_whole("g1")
    catalog.drop_generations(["g1"])
    with pytest.raises(DataMistake, match="no chunk"):
        catalog.chunk(old_chunks[0].id)
    assert [one.id for one in catalog.generations()] == ["g2"]


def test_the_pointer(catalog: Catalog) -> None:
    assert catalog.current() is None
    _, chunks = pair = make("a.md", "One.")
    catalog.put(*pair)
    for number in (1, 2):
        catalog.add_generation(generation(f"g{number}", f"2026-01-0{number}"), [chunks[0].id])
    current = catalog.current()
    assert current is not None
    assert current.id == "g2"
    assert current == generation("g2", "2026-01-02")
    catalog.switch("g1")
    assert catalog.current() == generation("g1", "2026-01-01")
    with pytest.raises(DataMistake, match="no index generation 'g9'") as caught:
        catalog.switch("g9")
    assert "g1, g2" in caught.value.tip
    with pytest.raises(Failed, match="current"):
        catalog.drop_generations(["g1"])
    assert len(catalog.generations()) == 2
    catalog.remove("a.md")
    with pytest.raises(DataMistake, match="removed document"):
        catalog.switch("g2")


def test_newer_schema_is_refused(file: Path, catalog: Catalog) -> None:
    catalog.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE state SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(Failed, match="schema 99") as caught:
        Catalog(f"sqlite:///{file}")
    assert "upgrade" in caught.value.tip


def test_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(b"this is no database, " * 100)
    with pytest.raises(Failed, match="cannot be used"):
        Catalog(f"sqlite:///{file}")


def test_a_document_that_was_altered_is_not_served(file: Path, catalog: Catalog) -> None:
    document, chunks = make("a.md", "Returns within 30 days.", groups=("hr",))
    catalog.put(document, chunks)
    assert catalog.groups("gone.md") is None
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE documents SET text = replace(text, substr(text, 1, 3), 'XYZ')")
    assert catalog.groups(document.id) == document.groups
    with pytest.raises(Damaged, match="text"):
        catalog.document(document.id)
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE documents SET groups = '[\"everybody\"]'")
    end = len(document.text)
    for look in (
        lambda: catalog.document(document.id), lambda: catalog.groups(document.id), catalog.documents,
        lambda: catalog.span(document.id, document.revision, 0, end),
    ):
        with pytest.raises(Damaged, match="groups"):
            look()
    # Who looks for damage sees it all.
    assert len(catalog.documents(checked=False)) == 1 and catalog.document(document.id, checked=False).text


def test_a_text_that_became_bytes_is_refused_in_plain_words(file: Path, catalog: Catalog) -> None:
    """One flipped bit in SQLite's record header makes a BLOB of a TEXT."""
    catalog.put(*make("a.md", "Returns within 30 days."))
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE chunks SET heading = CAST(heading AS BLOB)")
    with pytest.raises(Damaged, match="never written"):
        list(catalog.chunks())


def test_a_passage_whose_document_cannot_be_found_is_told_and_not_left_out(file: Path, catalog: Catalog) -> None:
    """One flipped bit in SQLite's own index of documents hides one of them."""
    _, chunks = make("a.md", "Returns within 30 days.")
    catalog.put(*make("a.md", "Returns within 30 days."))
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE documents SET id = 'b.md'")
    with pytest.raises(Damaged, match="cannot be found"):
        catalog.chunks_by_id([chunks[0].id])
