"""The access log as it grows, across cuts and restarts of the vault. What both kinds of client know of a tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional

from ._attempt import log, pause
from ._audit import AccessLogQuery, encode_filter
from ._connections import Connections
from ._errors import AnswerMalformed, Refused, TokenvaultError
from ._items import Sealed
from ._verb import parse
from .v1 import audit_service_pb2 as v1

TAIL_PATH = "/tokenvault.v1.AuditService/TailAccessLog"
TAIL_ANSWER = v1.TailAccessLogResponse

# A stream that ends for these goes on with the next one.
_PASSING_REASONS = ("DEADLINE_EXCEEDED", "CANCELLED", "SHUTTING_DOWN")


@dataclass(frozen=True)
class TailStep:
    """A part of a log: entries that match, oldest first, of which there may be none.

    All entries before `next_index` were looked at; `log_size` is the size of the log.
    """

    entries: List[v1.AccessLogEntry]
    next_index: int
    log_size: int


class Following:
    """A log that is followed, apart from threads and tasks."""

    def __init__(self, connections: Connections, query: AccessLogQuery, from_index: Optional[int]) -> None:
        self._connections = connections
        self._query = query
        self._call: Any = None
        self._failures = 0
        self.is_closed = False
        self.next_index = from_index

    async def next(self) -> Optional[TailStep]:
        """The next part; None once it is closed. Can be cancelled and called again without a loss."""
        while not self.is_closed:
            try:
                step = await self._step()
            except TokenvaultError as error:
                failed = error.with_traceback(None)
            except BaseException:
                self.cancel()
                raise
            else:
                self._failures = 0
                self.next_index = step.next_index
                return step
            self.cancel()
            if not self.is_closed:
                await self._go_on_after(failed)
        return None

    def cancel(self) -> None:
        """Ends the stream; the next one goes on."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def close(self) -> None:
        self.is_closed = True
        self.cancel()

    async def _go_on_after(self, error: TokenvaultError) -> None:
        self._failures += 1
        is_passing = error.is_passing or (isinstance(error, Refused) and error.reason in _PASSING_REASONS)
        if not is_passing or self._failures >= self._connections.config.attempts_max:
            # Whoever asks again begins to count anew, and goes on where it was.
            self._failures = 0
            raise error
        waits = pause(self._failures, error.retry_after)
        log.debug("%s: broken: %s; again in %.3f s", TAIL_PATH, type(error).__name__, waits)
        await self._connections.io.sleep(waits)

    async def _step(self) -> TailStep:
        connections = self._connections
        if self._call is None:
            self._call, answer = await connections.answers(self._query.region, TAIL_PATH, self._encode())
        else:
            answer = await connections.next_answer(self._call)
        message = parse(TAIL_ANSWER, answer)
        if self.next_index is not None and message.next_index < self.next_index:
            raise AnswerMalformed("the log went back")
        return TailStep(list(message.entries), message.next_index, message.log_size)

    def _encode(self) -> Sealed:
        query = self._query
        message = v1.TailAccessLogRequest(
            region=query.region,
            purpose=query.purpose or "",
            reference=query.reference or "",
            filter=encode_filter(query.filter),
            from_index=self.next_index,
        )
        return Sealed(message.SerializeToString())
