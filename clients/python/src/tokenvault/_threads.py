"""Streams for threads.

One thread takes batches from the caller's iterator, one takes answers; gRPC has one of its own that sends. The caller's
thread waits, and opens the stream anew when it has broken.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any, Generic, Iterable, Iterator, Optional, Type, TypeVar

import grpc

from ._attempt import attempt_metadata
from ._connections import Link, run
from ._errors import TokenvaultError, TransportError, of_call, request_id_of
from ._items import Answer, Hidden, Sealed
from ._stream import Held

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")


class Stream(Generic[T], Iterator[Answer[T]]):
    """Answers to the batches of an iterator, in their order. Leave it by `close()`, `with`, or at its end.

    The batches are taken on a thread of its own, as many ahead as `ClientConfig.stream_window` says.
    """

    def __init__(self, held: Held[I, T], batches: Iterable[Iterable[I]]) -> None:
        engine: _Engine[Any, T] = _Engine(held, batches)
        self._engine = engine
        self._closing = weakref.finalize(self, engine.close)

    def __next__(self) -> Answer[T]:
        return self._engine.next()

    @property
    def answered(self) -> int:
        """The number of the first batch whose answer was not taken.

        After a failure a new stream with the same idempotency key and this as `first_number` goes on with that batch,
        and makes no token twice.
        """
        return self._engine.held.answered

    def close(self) -> None:
        """Ends the stream. What was not answered by then may or may not have been carried out."""
        self._closing()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        self.close()


class _Engine(Generic[I, T]):
    def __init__(self, held: Held[I, T], batches: Iterable[Iterable[I]]) -> None:
        self.held = held
        self._batches = batches
        self._changed = threading.Condition()
        self._is_feeding = False
        self._is_closed = False
        # Which stream is the current one: threads of another one have nothing to say.
        self._generation = 0
        self._call: Any = None
        self._link: Optional[Link] = None
        self._broken: Optional[TokenvaultError] = None

    def next(self) -> Answer[T]:
        waits_since = time.monotonic()
        while True:
            with self._changed:
                answer = self._wait(waits_since)
                error, self._broken = self._broken, None
            if answer is not None:
                return answer
            if error is None:
                error = self._open()
            if error is not None:
                self._go_on_after(error)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._abandon()

    def _wait(self, waits_since: float) -> Optional[Answer[T]]:
        """Waits for an answer. None if the stream has broken, or is to be opened."""
        held = self.held
        while True:
            answer = held.next_answer()
            if answer is not None:
                self._changed.notify_all()
                return answer
            if self._is_closed:
                raise StopIteration
            if not self._is_feeding:
                self._is_feeding = True
                threading.Thread(target=self._feed, name="tokenvault-feed", daemon=True).start()
            if held.is_over():
                self._is_closed = True
                self._abandon()
                if held.fault is not None:
                    raise held.fault
                raise StopIteration
            if self._broken is not None or (self._call is None and held.has_unanswered()):
                return None
            left = held.left(waits_since)
            if left is not None and left <= 0:
                self._is_closed = True
                self._abandon()
                raise held.late()
            self._changed.wait(left)

    def _go_on_after(self, error: TokenvaultError) -> None:
        try:
            with self._changed:
                waits = self.held.pause_or_raise(error)
        except TokenvaultError:
            self.close()
            raise
        time.sleep(waits)

    def _open(self) -> Optional[TokenvaultError]:
        """Opens a stream; says why there is none."""
        held = self.held
        link = held.connections.link_for(held.region)
        try:
            link.breaker.admit()
        except TokenvaultError as refused:
            return refused.with_traceback(None)
        try:
            token = run(held.connections.token(held.connections.config.deadline))
        except TokenvaultError as unavailable:
            link.breaker.untold()
            return unavailable.with_traceback(None)
        multi = link.channel.stream_stream(held.path, request_serializer=Sealed.open, response_deserializer=Sealed)
        with self._changed:
            self._generation += 1
            generation = self._generation
            held.opened()
            self._link = link
            self._call = call = multi(self._outgoing(generation), metadata=attempt_metadata(token))
        reader = (call, link, token, generation)
        threading.Thread(target=self._read, args=reader, name="tokenvault-read", daemon=True).start()
        return None

    def _abandon(self) -> None:
        self._generation += 1
        call, self._call = self._call, None
        link, self._link = self._link, None
        if call is not None:
            call.cancel()
        if link is not None:
            link.breaker.untold()
        self._changed.notify_all()

    def _feed(self) -> None:
        """Takes batches from the caller's iterator."""
        fault: Optional[BaseException] = None
        try:
            for items in self._batches:
                # Items may come lazily, from elsewhere; nobody else has to wait for them.
                batch = Hidden(items)
                with self._changed:
                    self.held.hand_over(batch)
                    self._changed.notify_all()
                    while not self.held.has_room() and not self._is_closed:
                        self._changed.wait()
                    if self._is_closed:
                        break
        except BaseException as error:  # it belongs to the caller's thread
            fault = error
        with self._changed:
            self.held.fault = fault
            self.held.is_fed = True
            self._changed.notify_all()

    def _outgoing(self, generation: int) -> Iterator[Sealed]:
        """What gRPC's thread sends."""
        held = self.held
        while True:
            with self._changed:
                while True:
                    if generation != self._generation:
                        return
                    if held.has_unsent():
                        message = held.next_to_send()
                        break
                    if held.is_fed:
                        # Nothing follows: the vault answers the rest and ends.
                        return
                    self._changed.wait()
            yield message

    def _read(self, call: Any, link: Link, token: Optional[str], generation: int) -> None:
        """Takes answers, until the stream ends."""
        held = self.held
        error: Optional[TokenvaultError] = None
        try:
            request_id = request_id_of(call.initial_metadata())
            for reply in call:
                with self._changed:
                    if generation != self._generation:
                        return
                    link.judge(None, 0)
                    held.take(reply, request_id)
                    self._changed.notify_all()
        except TokenvaultError as malformed:
            error = malformed.with_traceback(None)
            call.cancel()
        except grpc.RpcError as failed:
            error = of_call(failed, held.connections.config.deadline)
            held.connections.token_refused(token, error)
        with self._changed:
            if generation != self._generation:
                return
            if error is None and not held.has_unanswered():
                link.judge(None, 0)
            else:
                error = held.judge(link, error or TransportError("the stream ended early"))
                self._broken = error
            self._generation += 1
            self._call = self._link = None
            self._changed.notify_all()
