"""The queue in front of the models: takes questions while there is room, answers those of one approach together.

A worker thread for each base model takes what waits, the askers by turns, with up to `batch - 1` more of the same
approach, and lets `Answering` answer them; a second one lets who asks one thing overtake who asks many. Whoever asked
reads events: `Delta` as text comes, then one `Done`; an error is raised. Closing the iterator stops the generation.
Knows nothing about HTTP.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from tunewise.answers import stand_alone
from tunewise.errors import DataMistake, Failed, ModelMistake, TunewiseError
from tunewise.jobs.answering import Answering, Asked, content
from tunewise.models.streaming import Listener
from tunewise.nouns import Answer, Approach

if TYPE_CHECKING:
    from tunewise.server.principals import Principal


class Busy(Failed):
    """The queue is full; `seconds` from now it is worth trying again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many questions are waiting", tip=f"try again in {seconds} s")
        self.seconds = seconds


class TooSlow(Failed):
    """An answer took longer than the time-out."""


class Unknown(ModelMistake):
    """No approach of that name exists for this reader."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A further piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer. `content` is its text with markers (all deltas together); `question` as it was understood."""

    id: str
    answer: Answer
    approach: Approach
    question: str
    content: str


RESERVE = 4
"""One place more for each so many of the queue, for askers who have none in it: nobody alone shuts the others out."""
SHARE = 8
"""Who asks many things at once gets one in so many places of a batch while others ask one thing at a time."""
SINGLE_SECONDS = 10.0
"""For so long after such a question, a batch stays short, so that its asker's next one does not wait for a long one."""
TURNS = 3
"""Earlier turns that a model gets to read, for approaches that let it understand follow-up questions itself."""


@dataclass(slots=True, eq=False)
class Order:
    """One question in the queue, and the way back to whoever waits for it."""

    id: str
    asker: Principal
    approach: Approach
    question: str
    deadline: float
    loop: asyncio.AbstractEventLoop
    history: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    """Only the answer is wanted: telling each piece would wake the event loop for nothing."""
    events: asyncio.Queue[Delta | Done | Exception] = field(default_factory=asyncio.Queue)
    stop: threading.Event = field(default_factory=threading.Event)

    def told(self, text: str) -> None:
        self.tell(Delta(text))

    def stopped(self) -> bool:
        return self.stop.is_set() or time.monotonic() > self.deadline

    def tell(self, event: Delta | Done | Exception) -> None:
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            # The loop was closed: nobody can be told any more.
            self.stop.set()


class _Lane:
    """What waits for one base model: a line for each asker, the one whose turn it is in front."""

    def __init__(self) -> None:
        self.lines: OrderedDict[str, deque[Order]] = OrderedDict()
        self.single: dict[str, float] = {}
        """When each asker last came with nothing else waiting."""
        self.many: frozenset[str] = frozenset()
        """The askers of what is being answered, where they had more waiting."""

    def add(self, order: Order) -> None:
        if order.asker.id not in self.lines:
            self.single[order.asker.id] = time.monotonic()
        self.lines.setdefault(order.asker.id, deque()).append(order)

    def discard(self, order: Order) -> bool:
        line = self.lines.get(order.asker.id)
        if line is None or order not in line:
            return False
        line.remove(order)
        if not line:
            del self.lines[order.asker.id]
        return True

    def take(self, most: int) -> list[Order]:
        """The oldest order of the asker in front, and up to `most - 1` more of its approach, the askers by turns.

        Who was served goes to the end, so nobody waits for more batches than there are others who ask. On a CPU a batch
        takes nearly as long as its questions one by one: those who wait for one answer each share theirs with nobody
        who waits for several, and the batches of the latter are short while the former are about.
        """
        since = time.monotonic() - SINGLE_SECONDS
        self.single = {name: at for name, at in self.single.items() if at > since}
        front = next(iter(self.lines.values()))
        several, fitting = len(front) > 1, {}
        for name, line in self.lines.items():
            share = max(1, most // SHARE) if self.single.keys() - {name} else most
            if (len(line) > 1) == several:
                fitting[name] = [one for one in line if one.approach == front[0].approach][:share]
        taken = self._out(fitting, most)
        self.many = frozenset(order.asker.id for order in taken if several)
        return taken

    def overtaking(self) -> dict[str, Order]:
        """The orders of those who wait for one answer while those of who asks many are being made."""
        if not self.many:
            return {}
        return {name: line[0] for name, line in self.lines.items() if len(line) == 1 and name not in self.many}

    def overtake(self, most: int) -> list[Order]:
        """The first of them, and up to `most - 1` more of its approach."""
        singles = self.overtaking()
        first = next(iter(singles.values()))
        return self._out({name: [one] for name, one in singles.items() if one.approach == first.approach}, most)

    def _out(self, fitting: dict[str, list[Order]], most: int) -> list[Order]:
        rounds = zip_longest(*fitting.values())
        taken = [order for turn in rounds for order in turn if order is not None][:most]
        for order in taken:
            self.discard(order)
        for name in dict.fromkeys(order.asker.id for order in taken):
            if name in self.lines:
                self.lines.move_to_end(name)
        return taken


class Desk:
    """The queue of all models."""

    def __init__(
        self, answering: Answering, *, queue: int, batch: int, seconds: float, characters: int = 8_000
    ) -> None:
        self.answering, self.characters = answering, characters
        self.queue, self.batch, self.seconds = queue, batch, seconds
        self.counts: Counter[str] = Counter()
        """Answers by how they ended: done, failed, stopped, refused (the queue was full), late."""
        self._lanes: dict[str, _Lane] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        # Told apart from it, so that an ordinary question wakes one thread and not two.
        self._passing = threading.Condition(self._lock)
        self._held: Counter[str] = Counter()
        self._inside = 0
        self._closing = False

    @property
    def inside(self) -> int:
        """Questions that wait or are being answered."""
        return self._inside

    def _full(self, asker: Principal) -> bool:
        reserve = 0 if self._held[asker.id] else self.queue // RESERVE
        return self._closing or self._inside >= self.queue + reserve

    def _gone(self, orders: Sequence[Order]) -> None:
        self._held -= Counter(order.asker.id for order in orders)
        self._inside -= len(orders)

    async def submit(
        self,
        asker: Principal,
        question: str,
        *,
        approach: str | None = None,
        history: Sequence[tuple[str, str]] = (),
        max_new_tokens: int | None = None,
        whole: bool = False,
    ) -> Order:
        """Take a question in; `Busy` when there is no room, `Unknown` when the approach is not for this reader.

        `history` are the earlier turns as (role, text); a follow-up question is understood from them. `whole`: no
        deltas are wanted.
        """
        if not question.strip():
            raise DataMistake("the question is empty", tip="the last message must be the user's, with some text")
        if self._full(asker):
            self.counts["refused"] += 1
            raise Busy(2)
        chosen = await asyncio.to_thread(self.answering.choose, approach, asker.groups)
        if chosen is None:
            raise Unknown(f"there is no approach {approach!r}" if approach else "no approach is ready to answer")
        if max_new_tokens is not None and max_new_tokens < chosen.decoding.max_new_tokens:
            chosen = replace(chosen, decoding=replace(chosen.decoding, max_new_tokens=max_new_tokens))
        # Earlier turns reach the embedder and the model too: they get no more room than a question.
        turns = _turns([(role, text[: self.characters]) for role, text in history])
        how = chosen.retrieval.follow_up
        # A model that rewrites it does so in its turn, on the lane.
        alone = question if how == "rewrite" else stand_alone(question, turns, how=how)
        if len(alone) > self.characters:
            raise DataMistake(
                f"the question is longer than {self.characters} characters, with what it follows",
                tip="shorten it, or ask it without the earlier turns",
            )
        order = Order(
            secrets.token_hex(12), asker, chosen, alone, time.monotonic() + self.seconds, asyncio.get_running_loop(),
            history=turns[-TURNS:] if how == "rewrite" else (), whole=whole,
        )
        with self._change:
            if self._full(asker):
                self.counts["refused"] += 1
                raise Busy(2)
            self._held[asker.id] += 1
            self._inside += 1
            lane = self._lanes.get(chosen.model)
            if lane is None:
                lane = self._lanes[chosen.model] = _Lane()
                for work in (self._work, self._overtake):
                    thread = threading.Thread(target=work, args=(lane,), name=f"desk {chosen.model}", daemon=True)
                    self._threads.append(thread)
                    thread.start()
            lane.add(order)
            self._change.notify_all()
            if lane.many:
                self._passing.notify_all()
        return order

    async def events(self, order: Order, *, tick: float | None = None) -> AsyncIterator[Delta | Done | None]:
        """What happens to an order, ending with `Done`; None every `tick` seconds of silence. Errors are raised."""
        try:
            while True:
                left = order.deadline - time.monotonic() + 0.5
                try:
                    async with asyncio.timeout(left if tick is None else min(tick, left)):
                        event = await order.events.get()
                except TimeoutError:
                    if time.monotonic() > order.deadline:
                        self.counts["late"] += 1
                        raise TooSlow(f"no answer within {self.seconds:g} s", tip="ask again later") from None
                    yield None
                    continue
                if isinstance(event, Exception):
                    raise event
                yield event
                if isinstance(event, Done):
                    return
        finally:
            self.leave(order)

    async def ask(
        self, asker: Principal, question: str, *, approach: str | None = None, history: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[Delta | Done]:
        """`submit` and `events` in one: deltas, then one `Done`."""
        order = await self.submit(asker, question, approach=approach, history=history)
        async for event in self.events(order):
            if event is not None:
                yield event

    def leave(self, order: Order) -> None:
        """Nobody waits for this order any more: it stops, and its place in the queue is free."""
        order.stop.set()
        with self._change:
            if self._lanes[order.approach.model].discard(order):
                self._gone([order])
                self.counts["stopped"] += 1

    def close(self, *, seconds: float = 10.0) -> None:
        """Take nothing in any more, finish what was begun (at most `seconds`), end the workers."""
        with self._change:
            self._closing = True
            self._change.notify_all()
            self._passing.notify_all()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    # -------------------------------------------------------------------------------------------- workers

    def _work(self, lane: _Lane) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: lane.lines or self._closing)
                if not lane.lines:
                    return
                orders = lane.take(self.batch)
                if lane.many:
                    # Whoever came with one question while the batch before ran need not wait for this one.
                    self._passing.notify_all()
            self._serve(orders)
            with self._change:
                lane.many = frozenset()

    def _overtake(self, lane: _Lane) -> None:
        while True:
            with self._change:
                self._passing.wait_for(lambda: lane.overtaking() or self._closing)
                if self._closing:
                    return
                orders = lane.overtake(self.batch)
            self._serve(orders)

    def _serve(self, orders: list[Order]) -> None:
        try:
            self._answer([order for order in orders if not order.stopped()])
        finally:
            with self._change:
                self._gone(orders)
                self.counts["stopped"] += sum(order.stop.is_set() for order in orders)

    def _answer(self, orders: list[Order]) -> None:
        if not orders:
            return
        approach = orders[0].approach
        listeners = [Listener(_nothing if order.whole else order.told, order.stopped) for order in orders]
        asked = [
            Asked(order.question, order.asker.groups, listener, order.history)
            for order, listener in zip(orders, listeners, strict=True)
        ]
        try:
            answers = self.answering.answer(approach, asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told, and the worker lives on
            if len(orders) > 1 and not any(listener.told for listener in listeners):
                # One bad question must not take the others with it.
                for order in orders:
                    self._answer([order])
                return
            self.counts["failed"] += len(orders)
            known = error if isinstance(error, TunewiseError) else Failed(f"the model failed: {type(error).__name__}")
            known.__cause__ = error if known is not error else error.__cause__
            for order in orders:
                order.tell(known)
            return
        for order, listener, answer in zip(orders, listeners, answers, strict=True):
            text = content(approach, answer, order.question)
            if len(text) > len(listener.told) and text.startswith(listener.told) and not order.whole:
                order.tell(Delta(text[len(listener.told) :]))
            if order.stopped():
                continue
            self.counts["done"] += 1
            order.tell(Done(order.id, answer, approach, order.question, text))


def _nothing(text: str) -> None:
    return None


def _turns(history: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """(question, answer) pairs of the (role, text) messages of a conversation; a question without answer has ""."""
    turns: list[tuple[str, str]] = []
    for role, text in history:
        if role == "user":
            turns.append((text, ""))
        elif role == "assistant" and turns:
            turns[-1] = (turns[-1][0], text)
    return tuple(turns)
