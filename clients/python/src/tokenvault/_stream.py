"""Streams: many batches over one call, each answered by itself, in order. What both kinds of client know of one.

What was not answered when a stream broke is sent again on a new one, under the same key and numbers, so that no token
is made twice. A stream that fails for good raises from the first batch without an answer.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Deque, Generic, Iterable, List, Optional, TypeVar

from ._attempt import log, pause
from ._connections import Connections, Link
from ._errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    Refused,
    TokenvaultError,
    TransportError,
)
from ._items import Answer, CallContext, CallMade, ItemResult, Sealed
from ._split import STREAM_MESSAGE_ROOM_BYTES
from ._verb import Verb

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")

# Messages that one batch may be cut into: the numbers of a batch's messages follow each other.
BATCH_MESSAGES_MAX = 4096
# The highest number of a batch.
_NUMBER_MAX = 2**64 // BATCH_MESSAGES_MAX - 2

# A stream that ends for these goes on with the next one.
_PASSING_REASONS = ("COMMIT_CONFLICT", "DEADLINE_EXCEEDED", "CANCELLED")


@dataclass
class _Batch(Generic[T]):
    """A batch, and what was answered of it."""

    left: int
    results: List[ItemResult[T]] = field(default_factory=list, repr=False)
    calls: List[CallMade] = field(default_factory=list)


@dataclass
class _Message(Generic[T]):
    """A message on its way."""

    sequence: int
    items: range
    encoded: List[Any] = field(repr=False)
    batch: _Batch[T]
    since: float
    attempts: int = 0


class Held(Generic[I, T]):
    """What is known of a stream, apart from threads and tasks."""

    def __init__(self, connections: Connections, verb: Verb[I, T], context: CallContext, first_number: int) -> None:
        if not 0 <= first_number <= _NUMBER_MAX:
            raise ConfigurationError("the number of the first batch must not be negative, nor above 2^52")
        self.connections = connections
        self.verb = verb
        self.start = verb.start(context)
        self.number = first_number
        self.answered = first_number
        self.is_fed = False
        self.fault: Optional[BaseException] = None
        self._batches: Deque[_Batch[T]] = deque()
        self._unanswered: Deque[_Message[T]] = deque()
        self._sent = 0
        self._failures = 0
        self._begun_with: Optional[int] = None
        self._is_started = False

    @property
    def region(self) -> str:
        return self.start.region

    @property
    def path(self) -> str:
        return self.verb.stream_path

    def has_room(self) -> bool:
        """Whether another batch may be handed over."""
        return len(self._batches) < self.connections.config.stream_window

    def has_unanswered(self) -> bool:
        return bool(self._unanswered)

    def has_unsent(self) -> bool:
        return self._sent < len(self._unanswered)

    def is_over(self) -> bool:
        """Whether all was handed over, answered and taken."""
        return self.is_fed and not self._batches

    def hand_over(self, items: Iterable[I]) -> None:
        """Takes a batch."""
        encoded = self.verb.encoded(items)
        runs = self.verb.runs(encoded, STREAM_MESSAGE_ROOM_BYTES)
        if len(runs) > BATCH_MESSAGES_MAX or self.number > _NUMBER_MAX:
            raise ConfigurationError("the batch is too large for a stream; cut it")
        batch: _Batch[T] = _Batch(len(runs))
        now = time.monotonic()
        for sequence, run in enumerate(runs, self.number * BATCH_MESSAGES_MAX):
            self._unanswered.append(_Message(sequence, run, encoded[run.start : run.stop], batch, now))
        self._batches.append(batch)
        self.number += 1

    def opened(self) -> None:
        """A stream was opened: all that is unanswered has to go out on it."""
        self._sent = 0
        self._is_started = False
        self._begun_with = self._unanswered[0].sequence if self._unanswered else None

    def next_to_send(self) -> Sealed:
        """The next message to go out; there is one that is unsent."""
        message = self._unanswered[self._sent]
        start = None if self._is_started else self.start
        self._is_started = True
        self._sent += 1
        message.attempts += 1
        return self.verb.stream_request(start, message.sequence, message.encoded)

    def take(self, reply: Sealed, request_id: Optional[str]) -> None:
        """Takes the answer to the oldest message."""
        if not self._sent:
            raise TransportError("an answer came to what was not sent")
        message = self._unanswered[0]
        receipt, results = self.verb.read_stream(reply, message.sequence, len(message.items), request_id)
        self._unanswered.popleft()
        self._sent -= 1
        batch = message.batch
        batch.left -= 1
        batch.results.extend(results)
        took = time.monotonic() - message.since
        batch.calls.append(CallMade(message.items, receipt, None, request_id, message.attempts, took))

    def next_answer(self) -> Optional[Answer[T]]:
        """The answer to the oldest batch, once it is whole."""
        if not self._batches or self._batches[0].left:
            return None
        batch = self._batches.popleft()
        self.answered += 1
        return Answer(batch.results, batch.calls)

    def left(self, waits_since: float) -> Optional[float]:
        """The seconds that the oldest message may still wait; None if none does.

        Only the time counts in which somebody waits: what happens while an answer is worked on is nobody's delay.
        """
        if not self._unanswered:
            return None
        return max(self._unanswered[0].since, waits_since) + self.connections.config.deadline - time.monotonic()

    def late(self) -> TokenvaultError:
        return DeadlineExceeded(self.connections.config.deadline)

    def judge(self, link: Link, error: TokenvaultError) -> TokenvaultError:
        """Notes why a stream broke; gives what it means for the next one."""
        link.judge(error, self.connections.config.deadline)
        if self.connections.follow(self.region, error) is not None:
            return TransportError("the region is served elsewhere")
        return link.explain(error)

    def pause_or_raise(self, error: TokenvaultError) -> float:
        """After a stream has broken: the pause before the next one. Raises where there is none."""
        if not self._unanswered:
            # Nobody waits for it; the next batch opens another.
            return 0.0
        if self._unanswered[0].sequence != self._begun_with:
            self._failures = 0
            self._begun_with = self._unanswered[0].sequence
        self._failures += 1
        is_passing = error.is_passing or (isinstance(error, Refused) and error.reason in _PASSING_REASONS)
        may_repeat = not self.verb.is_named or bool(self.start.idempotency_key)
        is_turned_away = isinstance(error, CircuitOpen) and not self._unanswered[0].attempts
        if not may_repeat or not is_passing or is_turned_away or self._failures >= self.connections.config.attempts_max:
            raise error
        waits = pause(self._failures, error.retry_after)
        log.debug("%s: broken: %s; again in %.3f s", self.path, type(error).__name__, waits)
        return waits
