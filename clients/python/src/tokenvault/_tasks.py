"""Streams for asyncio: a task takes batches from the caller's iterator, one sends, one takes answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, AsyncIterable, AsyncIterator, Generic, Iterable, List, Optional, Type, TypeVar, Union

import grpc

from ._attempt import attempt_metadata
from ._connections import Link
from ._errors import TokenvaultError, TransportError, of_call, request_id_of
from ._items import Answer, Sealed
from ._stream import Held

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")

#: Batches as a stream takes them, from an iterator of either kind.
Batches = Union[AsyncIterable[Iterable[I]], Iterable[Iterable[I]]]


class AsyncStream(Generic[T], AsyncIterator[Answer[T]]):
    """Answers to the batches of an iterator, in their order. Leave it by `aclose()`, `async with`, or at its end."""

    def __init__(self, held: Held[I, T], batches: Batches[I]) -> None:
        self._held: Held[Any, T] = held
        self._batches: Batches[Any] = batches
        self._is_closed = False
        self._feeder: Optional[asyncio.Task[None]] = None
        # Of the current stream: its call, and the tasks that send and take answers.
        self._call: Any = None
        self._link: Optional[Link] = None
        self._tasks: List[asyncio.Task[None]] = []
        self._broken: Optional[TokenvaultError] = None
        # Made where the loop runs: before Python 3.10 an event belongs to the loop in which it was made.
        self._room: asyncio.Event
        self._unsent: asyncio.Event
        self._news: asyncio.Event
        # That the current stream has given an answer.
        self._heard: asyncio.Event

    @property
    def answered(self) -> int:
        """The number of the first batch whose answer was not taken.

        After a failure a new stream with the same idempotency key and this as `first_number` goes on with that batch,
        and makes no token twice.
        """
        return self._held.answered

    async def __anext__(self) -> Answer[T]:
        waits_since = time.monotonic()
        while True:
            answer = await self._wait(waits_since)
            if answer is not None:
                return answer
            error, self._broken = self._broken, None
            if error is None:
                error = await self._open()
            if error is not None:
                await self._go_on_after(error)

    async def aclose(self) -> None:
        """Ends the stream. What was not answered by then may or may not have been carried out."""
        self._is_closed = True
        tasks = self._abandon()
        if self._feeder is not None:
            self._feeder.cancel()
            tasks.append(self._feeder)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> AsyncStream[T]:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        await self.aclose()

    async def _wait(self, waits_since: float) -> Optional[Answer[T]]:
        """Waits for an answer. None if the stream has broken, or is to be opened."""
        held = self._held
        if self._feeder is None and not self._is_closed:
            self._room, self._unsent, self._news = asyncio.Event(), asyncio.Event(), asyncio.Event()
            self._feeder = asyncio.ensure_future(self._feed())
        while True:
            answer = held.next_answer()
            if answer is not None:
                self._room.set()
                return answer
            if self._is_closed:
                raise StopAsyncIteration
            if held.is_over():
                await self.aclose()
                if held.fault is not None:
                    raise held.fault
                raise StopAsyncIteration
            if self._broken is not None or (self._call is None and held.has_unanswered()):
                return None
            left = held.left(waits_since)
            if left is not None and left <= 0:
                await self.aclose()
                raise held.late()
            self._news.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)

    async def _go_on_after(self, error: TokenvaultError) -> None:
        try:
            waits = self._held.pause_or_raise(error)
        except TokenvaultError:
            await self.aclose()
            raise
        await asyncio.sleep(waits)

    async def _open(self) -> Optional[TokenvaultError]:
        """Opens a stream; says why there is none."""
        held = self._held
        link = held.connections.link_for(held.region)
        try:
            link.breaker.admit()
        except TokenvaultError as refused:
            return refused.with_traceback(None)
        try:
            token = await held.connections.token(held.connections.config.deadline)
        except TokenvaultError as unavailable:
            link.breaker.untold()
            return unavailable.with_traceback(None)
        multi = link.channel.stream_stream(held.path, request_serializer=Sealed.open, response_deserializer=Sealed)
        held.opened()
        self._heard = asyncio.Event()
        self._link = link
        self._call = call = multi(metadata=attempt_metadata(token))
        self._tasks = [
            asyncio.ensure_future(self._write(call)),
            asyncio.ensure_future(self._read(call, link, token)),
        ]
        return None

    def _abandon(self) -> List[asyncio.Task[None]]:
        call, self._call = self._call, None
        link, self._link = self._link, None
        tasks, self._tasks = self._tasks, []
        if call is not None:
            call.cancel()
        if link is not None:
            link.breaker.untold()
        for task in tasks:
            task.cancel()
        if self._feeder is not None:
            self._news.set()
        return tasks

    async def _feed(self) -> None:
        """Takes batches from the caller's iterator."""
        held = self._held
        try:
            async for items in _either(self._batches):
                held.hand_over(items)
                self._unsent.set()
                self._news.set()
                while not held.has_room():
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:  # it belongs to the caller
            held.fault = error
        held.is_fed = True
        self._unsent.set()
        self._news.set()

    async def _write(self, call: Any) -> None:
        """Sends."""
        held = self._held
        # That the stream is broken, its answers tell.
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            while call is self._call:
                if held.has_unsent():
                    await call.write(held.next_to_send())
                    # A write to a stream that the vault has just ended makes gRPC forget why it was ended (grpc issue
                    # 36066). What the vault refuses it mostly refuses with the first message: nothing follows that
                    # before there is an answer. A later end is forgotten at worst until the next stream is refused.
                    await self._heard.wait()
                elif held.is_fed:
                    # Nothing follows: the vault answers the rest and ends.
                    await call.done_writing()
                    return
                else:
                    self._unsent.clear()
                    await self._unsent.wait()

    async def _read(self, call: Any, link: Link, token: Optional[str]) -> None:
        """Takes answers, until the stream ends."""
        held = self._held
        error: Optional[TokenvaultError] = None
        try:
            request_id = request_id_of(await call.initial_metadata())
            while True:
                reply = await call.read()
                if reply is grpc.aio.EOF:
                    break
                link.judge(None, 0)
                self._heard.set()
                held.take(reply, request_id)
                self._news.set()
        except TokenvaultError as malformed:
            error = malformed.with_traceback(None)
            call.cancel()
        except grpc.RpcError as failed:
            error = of_call(failed, held.connections.config.deadline)
            held.connections.token_refused(token, error)
        except asyncio.CancelledError:
            if call is self._call:
                # Not by us: gRPC ends so what was cancelled elsewhere, by a channel that is closed for instance.
                error = TransportError("the stream was cancelled")
            else:
                raise
        if call is not self._call:
            return
        if error is None and not held.has_unanswered():
            link.judge(None, 0)
        else:
            self._broken = held.judge(link, error or TransportError("the stream ended early"))
        writer, self._tasks = self._tasks[0], []
        writer.cancel()
        self._call = self._link = None
        self._news.set()


async def _either(batches: Batches[I]) -> AsyncIterator[Iterable[I]]:
    """Batches of an iterator of either kind. One that is not asynchronous is taken on the loop: it must not block."""
    if isinstance(batches, AsyncIterable):
        async for items in batches:
            yield items
    else:
        for items in batches:
            yield items
            await asyncio.sleep(0)
