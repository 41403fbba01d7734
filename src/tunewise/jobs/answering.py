"""What stands ready to answer many readers at once: one open library, the models in use, an ask for every approach.

`Answering` is for a process that lives long (the server); `jobs.ask` answers one question. Knows nothing about HTTP,
queues or accounts: a reader is the tuple of their groups, () for somebody who sees public documents only, None for
the project's owner. Every method may be called from any thread and blocks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunewise.answers import QueryWriter, Retrieve, choose_examples, make_ask
from tunewise.catalog import Catalog, DocumentRecord
from tunewise.embeddings import Embedder, load_embedder
from tunewise.errors import ConfigMistake, DataMistake, ModelMistake
from tunewise.index import Index
from tunewise.index.access import open_to
from tunewise.jobs import ask as asking
from tunewise.jobs import compare as comparing
from tunewise.jobs.fits import settled
from tunewise.jobs.foreign import foreign_ask, is_foreign
from tunewise.jobs.ingest import indexes_folder, open_catalog
from tunewise.jobs.library import Library
from tunewise.jobs.readers import examples_for, readable
from tunewise.jobs.tune import needs_documents
from tunewise.models import Model, chains, is_local, load_models
from tunewise.models.adapters import can_share
from tunewise.models.streaming import Listener, Streaming
from tunewise.nouns import Answer, Approach, Document, Hit, Question, Retrieval
from tunewise.prompts import final_answer, thinks_aloud
from tunewise.questions import load_questions
from tunewise.sentences import prompt_language
from tunewise.store import project_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tunewise.project import Project

Groups = tuple[str, ...] | None
_OWNER = "\0owner"
"""Stands in Question.groups for the owner. Without it a question sees public documents only: no slip opens more."""
MODELS = 3
"""Copies of weights kept in memory: a base with all adapters that share it is one."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An approach as a reader may ask it; `reason` says why it is not ready, `moved_on`: see `ask.moved_on`."""

    name: str
    approach: Approach
    recommended: bool
    ready: bool
    reason: str = ""
    moved_on: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of one reader, with who listens to the text as it comes.

    `history`: earlier (question, answer) turns, for approaches that understand a follow-up by the model itself.
    """

    question: str
    groups: Groups
    listener: Listener | None = None
    history: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.groups is not None and _OWNER in self.groups:
            raise ValueError("a reader cannot name itself the owner")


@dataclass(frozen=True, slots=True)
class _Worn:
    """An approach with what it wears: its adapter's folder, and the documents and groups that it learned from."""

    approach: Approach
    adapter: Path | None = None
    documents: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    moved_on: bool = False


class Answering:
    """The open library and the models of a project."""

    def __init__(self, project: Project, *, load: Callable[..., Mapping[str, Model]] = load_models) -> None:
        self.project = project
        self._load = load
        self._catalog = open_catalog(project.root)
        self._opening = threading.RLock()
        self._loading = threading.RLock()
        self._books: Library | None = None
        self._embedder: Embedder | None = None
        self._copies: OrderedDict[str, dict[str, Model]] = OrderedDict()
        self._settled: dict[tuple[object, ...], Retrieval] = {}
        self._leaves: dict[Approach, str] = {}
        self._worn: dict[tuple[object, ...], _Worn] = {}
        self._questions: tuple[int, list[Question]] = (0, [])

    def close(self) -> None:
        """Let go of catalog and models."""
        self._copies.clear()
        self._catalog.close()

    @property
    def catalog(self) -> Catalog:
        """The project's catalog; what is read from it must be filtered by the reader's groups."""
        return self._catalog

    # -------------------------------------------------------------------------------------------- documents

    def embedder(self) -> Embedder:
        """The project's embedder, loaded once."""
        with self._loading:
            if self._embedder is None:
                self._embedder = load_embedder(self.project.embedder, cache=project_folder(self.project.root) / "cache")
            return self._embedder

    def books(self) -> Library:
        """The library at the current index generation; `DataMistake` while nothing was ingested."""
        with self._opening:
            # Asked each time: another process may have switched, and nobody gets what was there before.
            current = self._catalog.current()
            if current is None:
                raise DataMistake("no documents were ingested yet", tip="upload some, or: tunewise ingest")
            if self._books is None or self._books.index.generation.id != current.id:
                index = Index(self._catalog, indexes_folder(self.project.root))
                self._books = Library(self._catalog, index, self.embedder(), project_folder(self.project.root))
            return self._books

    def documents(self, groups: Groups) -> list[DocumentRecord]:
        """The documents that a reader may see."""
        return readable(self._catalog.documents(), groups)

    def document(self, id: str, groups: Groups) -> Document | None:
        """A document that a reader may see; None when it is absent or not for them: the two look the same."""
        # The text only then: how long a forbidden document takes to read would tell that it is there.
        held = self._catalog.groups(id)
        if held is None or not open_to(held, groups):
            return None
        try:
            found = self._catalog.document(id)
        except DataMistake:
            return None
        # Its groups may have changed in between.
        return found if open_to(found.groups, groups) else None

    def search(self, query: str, *, groups: Groups, k: int | None = None) -> list[Hit]:
        """The passages that an answer would be given, by the project's retrieval settings, best first."""
        books = self.books()
        # As it stands: writing further queries is the answering model's affair.
        wanted = replace(self.project.retrieval, budget=10**9, k=k or self.project.retrieval.k, rewrite="none")
        retrieve = books.retriever(self._settle(books, wanted), lambda text: len(text))
        return retrieve([query], groups=groups)[0]

    def _settle(self, books: Library, wanted: Retrieval) -> Retrieval:
        """The retrieval settings with the fit that holds for them, worked out once for an index and its questions."""
        questions = self.questions() if wanted.gate == "adaptive" else []
        fitted = project_folder(self.project.root) / "fits" / "chosen.json"
        key = (wanted, books.index.fingerprint, _stamp(fitted), _stamp(self.project.questions) if questions else 0)
        with self._loading:
            if key not in self._settled:
                self._settled[key] = settled(self.project, books, wanted, questions)
            return self._settled[key]

    # -------------------------------------------------------------------------------------------- approaches

    def recommended(self) -> Approach:
        """The recommended approach of the last comparison; before there is one, the first that reads an index."""
        return asking.default_approach(self.project)

    def approaches(self, groups: Groups) -> list[Offer]:
        """The approaches that a reader may ask; one whose adapter knows what the reader may not see is absent."""
        best = self.recommended()
        named = self._named(best).values()
        return [offer for one in named if (offer := self._offer(one, best.name, groups)) is not None]

    def _named(self, best: Approach) -> dict[str, Approach]:
        """The project's approaches by name, with the recommended one where that is a ready-made one."""
        own = {approach.name: approach for approach in self.project.approaches}
        return own if best.name in own else {best.name: best} | own

    def _offer(self, approach: Approach, best: str, groups: Groups) -> Offer | None:
        recommended = approach.name == best
        if is_foreign(approach):
            if groups is not None:
                # Whose documents it reads is not ours to know, so nobody's rights can be held there.
                return None
            if approach.answers:
                return Offer(approach.name, approach, recommended, False, "a file of answers says nothing new")
        try:
            if address := self._leaving(approach):
                reason = f"it would send questions to {address}, and data_may_leave = false"
                return Offer(approach.name, approach, recommended, False, reason)
            worn = self._wear(approach)
            if self._shut_to(worn, groups):
                return None
        except (ConfigMistake, DataMistake, ModelMistake) as error:
            return Offer(approach.name, approach, recommended, False, error.message)
        if approach.index and self._catalog.current() is None:
            return Offer(approach.name, approach, recommended, False, "no documents were ingested yet")
        return Offer(approach.name, approach, recommended, True, moved_on=worn.moved_on)

    def choose(self, name: str | None, groups: Groups) -> Approach | None:
        """The approach that answers for a reader: by name, or the recommended one; None when there is none for them.

        Where the recommended one is not for this reader, the first that is ready, best with an index, takes its place.
        """
        best = self.recommended()
        named = self._named(best)
        if name is not None and name not in named:
            return None
        wanted = best if name is None else named[name]
        offer = self._offer(wanted, best.name, groups)
        if offer is not None or name is not None:
            return wanted if offer is not None else None
        ready = [one.approach for one in self.approaches(groups) if one.ready]
        return next((one for one in ready if one.index), ready[0] if ready else None)

    def _leaving(self, approach: Approach) -> str:
        if approach not in self._leaves:
            self._leaves[approach] = comparing.leaves_for(self.project, approach)
        return self._leaves[approach]

    def learned(self, approach: Approach) -> tuple[list[str], list[str]]:
        """(documents, groups) that an approach's adapter learned from: whoever lacks one may not read its answers."""
        worn = self._wear(approach)
        return sorted(worn.documents), sorted(worn.groups)

    def _shut_to(self, worn: _Worn, groups: Groups) -> bool:
        """Whether an adapter learned from what a reader may not see: it cannot be taken out of its answers."""
        if worn.adapter is None or groups is None:
            return False
        # A document that is gone has no groups to ask any more: nobody but the owner may hear what was learned from it.
        return not worn.groups <= set(groups) or not worn.documents <= self._visible(groups)

    def _visible(self, groups: Groups) -> set[str]:
        return {one.id for one in self.documents(groups)}

    def _wear(self, approach: Approach) -> _Worn:
        """The approach with its adapter; `ConfigMistake` when that was not trained yet."""
        if not approach.recipe:
            return _Worn(approach)
        root, reads = project_folder(self.project.root), bool(approach.index) or needs_documents(self.project, approach)
        current = self._catalog.current() if reads else None
        files = (root / "runs" / "last.json", root / "adapters", self.project.questions)
        key = (approach, current.id if current else None, *map(_stamp, files))
        with self._loading:
            if key not in self._worn:
                if len(self._worn) > 100:
                    self._worn.clear()
                books = self.books() if reads else None
                adapter = asking.adapter_of(self.project, approach, self.questions(), books)  # type: ignore[arg-type]
                # What its parents learned from is in it too.
                about = [link for _, link in chains.chain(adapter)]
                documents = frozenset(id for one in about for id in one["documents"])
                groups = frozenset(group for one in about for group in one.get("groups", ()))
                reads_now = books.index.fingerprint if books is not None and approach.index else None
                moved_on = asking.moved_on(adapter, reads_now)
                self._worn[key] = _Worn(approach, adapter, documents, groups, moved_on)
            return self._worn[key]

    def questions(self) -> list[Question]:
        """The project's questions, read again when their file changes."""
        with self._loading:
            stamp = _stamp(self.project.questions)
            if self._questions[0] != stamp:
                self._questions = (stamp, load_questions(self.project.questions))
            return self._questions[1]

    def model(self, name: str, adapter: Path | None = None) -> Model:
        """A loaded model: one base in memory for all adapters that share it, the least recently used copy gives way."""
        key = str(adapter or "")
        alone = adapter is not None and is_local(name) and not can_share(adapter)
        copy = f"{name} {key}" if alone else name
        with self._loading:
            models = self._copies.get(copy)
            if models is None or key not in models:
                self._copies.pop(copy, None)
                while len(self._copies) >= MODELS:
                    self._copies.popitem(last=False)
                wanted = {key: adapter} if alone else self._sharing(name) | {key: adapter}
                models = self._copies[copy] = dict(self._load(name, wanted))
            self._copies.move_to_end(copy)
            return models[key]

    def _sharing(self, name: str) -> dict[str, Path | None]:
        """The adapters of the project's approaches that can lie on one base of this name."""
        found: dict[str, Path | None] = {}
        for approach in self.project.approaches:
            if approach.model != name or is_foreign(approach):
                continue
            try:
                adapter = self._wear(approach).adapter
            except (ConfigMistake, DataMistake, ModelMistake):
                # Not trained yet, or not for this model: its offer says so.
                continue
            if adapter is None or can_share(adapter):
                found[str(adapter or "")] = adapter
        return found

    def answer(self, approach: Approach, asked: Sequence[Asked]) -> list[Answer]:
        """One answer for each question, in their order; readers share the batch and nothing else.

        `ConfigMistake` when the approach's adapter is not for one of the readers (rights are read again here, not only
        when the question was queued).
        """
        if address := self._leaving(approach):
            raise ConfigMistake(f"{approach.name} would send the question to {address}, and data_may_leave = false")
        if is_foreign(approach):
            if any(one.groups is not None for one in asked):
                raise ConfigMistake(f"{approach.name} does not know who may read what", tip="ask another approach")
            return foreign_ask(self.project, approach)(_questions(asked))
        worn = self._wear(approach)
        for one in asked:
            if self._shut_to(worn, one.groups):
                raise ConfigMistake(f"{approach.name} is not for this reader", tip="ask another approach")
        model = self.model(approach.model, worn.adapter)
        retriever, writer = None, QueryWriter(lambda: model)
        used = replace(approach, adapter=str(worn.adapter) if worn.adapter else None)
        if approach.index:
            books = self.books()
            how = self._settle(books, approach.retrieval)
            retriever = _for_readers(books.retriever(how, model.count_tokens, generate=writer, model=model))
            used = replace(used, index=books.index.fingerprint, retrieval=how)
        if not approach.examples:
            return self._answer(used, model, retriever, asked, (), writer)
        # Worked examples come from training questions, which each reader's own documents must allow.
        answers: dict[int, Answer] = {}
        for groups in dict.fromkeys(one.groups for one in asked):
            places = [i for i, one in enumerate(asked) if one.groups == groups]
            learned = [q for q in self.questions() if q.split == "train"]
            examples = choose_examples(examples_for(learned, self._catalog.documents(), groups), approach.examples)
            made = self._answer(used, model, retriever, [asked[i] for i in places], examples, writer)
            answers.update(zip(places, made, strict=True))
        return [answers[i] for i in range(len(asked))]

    def _answer(
        self,
        approach: Approach,
        model: Model,
        retriever: Retrieve | None,
        asked: Sequence[Asked],
        examples: Sequence[tuple[str, str]],
        writer: QueryWriter,
    ) -> list[Answer]:
        if any(one.listener for one in asked) and not thinks_aloud(approach.prompt):
            model = Streaming(model, [one.listener or _nobody() for one in asked])
        page_of = self.books().page_of if approach.index else None
        ask = make_ask(
            approach, model=model, retriever=retriever, examples=examples, writer=writer, page_of=page_of
        )
        return ask(_questions(asked))


def _questions(asked: Sequence[Asked]) -> list[Question]:
    return [
        Question(
            id=str(number), question=one.question, language=prompt_language(one.question), history=one.history,
            groups=(_OWNER,) if one.groups is None else one.groups,
        )
        for number, one in enumerate(asked)
    ]


def _nobody() -> Listener:
    return Listener(lambda text: None, lambda: False)


def content(approach: Approach, answer: Answer, question: str) -> str:
    """An answer's words with their markers, as they are streamed: `[n]` names the n-th of `answer.hits`."""
    return final_answer(approach.prompt, answer.raw, language=prompt_language(question))


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _for_readers(retriever: Retrieve) -> Retrieve:
    """`make_ask` hands over a question's groups, None for none: only `_OWNER` may see all."""

    def retrieve(queries: Sequence[str], groups: Groups = None) -> list[list[Hit]]:
        return retriever(queries, groups=None if groups == (_OWNER,) else tuple(groups or ()))

    return retrieve
