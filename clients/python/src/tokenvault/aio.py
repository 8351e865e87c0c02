"""The client for asyncio: the same calls as `tokenvault.Client`, to be awaited."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Callable, Coroutine, Iterable, List, Optional, Sequence, Tuple, Type, TypeVar

import grpc
import grpc.aio

from ._attempt import Metadata
from ._audit import AccessLogCounts, AccessLogPage, AccessLogQuery, next_page
from ._checkpoint import Checkpoint
from ._config import ClientConfig, PathOrText
from ._connections import Connections, Io
from ._deny import DeniedToken
from ._errors import DeadlineExceeded, TransportError
from ._explain import AccessQuestion, Explanation
from ._export import ExportDone, Exporting, encode
from ._items import (
    Answer,
    CallContext,
    FoundToken,
    HeldToken,
    IssuedToken,
    KnownValue,
    NewValue,
    Receipt,
    Revealed,
    Sealed,
    TokenDescription,
    TokenLife,
)
from ._prove import LogEntry, ProvedEntry
from ._stream import Held
from ._tail import Following, TailStep
from ._tasks import AsyncStream, Batches
from ._verb import DESCRIBE, DETOKENIZE, FIND, RESUME, REVOKE, SUSPEND, TOKENIZE, renew
from .v1 import audit_service_pb2 as audit_v1

R = TypeVar("R")

__all__ = ["AsyncAccessLogExport", "AsyncAccessLogTail", "AsyncClient", "AsyncStream", "Batches"]


class AsyncClient:
    """A client of one vault, for the tasks of one event loop. See `tokenvault.Client`, whose calls these are."""

    def __init__(self, config: ClientConfig) -> None:
        self._connections = Connections(config, _Io())

    def __repr__(self) -> str:
        return f"AsyncClient({self._connections.config.endpoint!r})"

    async def connect(self) -> AsyncClient:
        """Connects now, and raises ConnectError if the vault can't be reached or its certificate is not trusted."""
        await self._connections.connect()
        return self

    async def close(self) -> None:
        """Closes all connections. Calls that are under way end with an error."""
        for channel in self._connections.close():
            await channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        await self.close()

    async def tokenize(
        self, context: CallContext, items: Iterable[NewValue], *, deadline: Optional[float] = None
    ) -> Answer[IssuedToken]:
        """Tokenizes values: a result for each, in order."""
        return await self._connections.batch(TOKENIZE, context, items, deadline)

    async def detokenize(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[Revealed]:
        """Reveals the values of tokens: a result for each, in order."""
        return await self._connections.batch(DETOKENIZE, context, items, deadline)

    async def describe_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenDescription]:
        """Asks what is known of tokens beside their values: a result for each, in order."""
        return await self._connections.batch(DESCRIBE, context, items, deadline)

    async def find_tokens(
        self, context: CallContext, items: Iterable[KnownValue], *, deadline: Optional[float] = None
    ) -> Answer[FoundToken]:
        """Finds the tokens that values have already: a result for each, in order. Nothing is made."""
        return await self._connections.batch(FIND, context, items, deadline)

    async def renew_tokens(
        self,
        context: CallContext,
        items: Iterable[HeldToken],
        *,
        ttl_seconds: Optional[int] = None,
        deadline: Optional[float] = None,
    ) -> Answer[TokenLife]:
        """Gives tokens a new end of their lifetime, so many seconds from now: how it stands with each then, in order.

        Without `ttl_seconds` they live as long as their class says, and never longer than it allows. See `tokenize`.
        """
        return await self._connections.batch(renew(ttl_seconds), context, items, deadline)

    async def suspend_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenLife]:
        """Suspends tokens: they lead nowhere until they are resumed. How it stands with each then, in order."""
        return await self._connections.batch(SUSPEND, context, items, deadline)

    async def resume_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenLife]:
        """Ends the suspension of tokens: how it stands with each then, in order."""
        return await self._connections.batch(RESUME, context, items, deadline)

    async def revoke_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenLife]:
        """Revokes tokens: they lead nowhere, for ever. How it stands with each then, in order."""
        return await self._connections.batch(REVOKE, context, items, deadline)

    def tokenize_stream(
        self, context: CallContext, batches: Batches[NewValue], *, first_number: int = 0
    ) -> AsyncStream[IssuedToken]:
        """Tokenizes a long row of batches over one call; gives their answers in order."""
        return AsyncStream(Held(self._connections, TOKENIZE, context, first_number), batches)

    def detokenize_stream(
        self, context: CallContext, batches: Batches[HeldToken], *, first_number: int = 0
    ) -> AsyncStream[Revealed]:
        """Reveals a long row of batches over one call; gives their answers in order."""
        return AsyncStream(Held(self._connections, DETOKENIZE, context, first_number), batches)

    async def query_access_log(self, query: AccessLogQuery, *, deadline: Optional[float] = None) -> AccessLogPage:
        """Asks the log of a region for one page. The question itself becomes an entry."""
        return await self._connections.query(query, deadline)

    async def count_access_log(
        self, query: AccessLogQuery, by: Optional[str] = None, *, deadline: Optional[float] = None
    ) -> AccessLogCounts:
        """Counts entries that match: all of them, and by decision, principal, data_class, action or hour.

        Pages and the order of the question are not looked at. Each call that it takes is a question of its own.
        """
        return await self._connections.count(query, by, deadline)

    async def access_log(
        self, query: AccessLogQuery, *, deadline: Optional[float] = None
    ) -> AsyncIterator[audit_v1.AccessLogEntry]:
        """All entries that match, in the order asked for, page by page; each page is a question of its own."""
        asked: Optional[AccessLogQuery] = query
        while asked is not None:
            page = await self.query_access_log(asked, deadline=deadline)
            for entry in page.entries:
                yield entry
            asked = next_page(asked, page)

    async def checkpoint(
        self, log: str, *, pinned: Optional[str] = None, deadline: Optional[float] = None
    ) -> Checkpoint:
        """The newest checkpoint of a region's log, or of the node's, verified; see `tokenvault.Client.checkpoint`."""
        return await self._connections.checkpoint(log, pinned, deadline)

    async def log_entry(
        self,
        region: str,
        index: int,
        *,
        purpose: Optional[str] = None,
        reference: Optional[str] = None,
        deadline: Optional[float] = None,
    ) -> LogEntry:
        """One entry of a region's log by its index, from 0. The question itself becomes an entry."""
        return await self._connections.log_entry(region, index, purpose, reference, deadline)

    async def prove_entry(
        self,
        log: str,
        index: int,
        leaf_hash: Optional[bytes] = None,
        *,
        pinned: Optional[str] = None,
        deadline: Optional[float] = None,
    ) -> ProvedEntry:
        """Has a log prove that it holds an entry; see `tokenvault.Client.prove_entry`."""
        return await self._connections.prove_entry(log, index, leaf_hash, pinned, deadline)

    async def prove_entry_under(
        self, log: str, index: int, leaf_hash: bytes, under: Checkpoint, *, deadline: Optional[float] = None
    ) -> ProvedEntry:
        """The same under a checkpoint that was verified before, so that many proofs lead to one signed root."""
        return await self._connections.prove_entry_under(log, index, leaf_hash, under, deadline)

    async def prove_growth(
        self, log: str, since: Checkpoint, *, pinned: Optional[str] = None, deadline: Optional[float] = None
    ) -> Checkpoint:
        """Has a log prove that its newest checkpoint, which is given, goes on from an older one."""
        return await self._connections.prove_growth(log, since, pinned, deadline)

    def tail_access_log(self, query: AccessLogQuery, from_index: Optional[int] = None) -> AsyncAccessLogTail:
        """Follows the log of a region; see `tokenvault.Client.tail_access_log`."""
        return AsyncAccessLogTail(Following(self._connections, query, from_index))

    async def export_access_log(
        self,
        query: AccessLogQuery,
        format: str,
        *,
        from_index: int = 0,
        until_index: Optional[int] = None,
        pinned: Optional[str] = None,
    ) -> AsyncAccessLogExport:
        """Begins to write out a part of a region's log; see `tokenvault.Client.export_access_log`."""
        request = encode(query, format, from_index, until_index)
        exporting = Exporting(self._connections, query.region, request, pinned)
        await exporting.begin()
        return AsyncAccessLogExport(exporting)

    async def explain_access(self, question: AccessQuestion, *, deadline: Optional[float] = None) -> Explanation:
        """Asks whether a caller would be shown the value of a token. The question becomes an entry of the log."""
        return await self._connections.explain(question, deadline)

    async def deny_access_tokens(self, tokens: Iterable[DeniedToken], *, deadline: Optional[float] = None) -> None:
        """Denies access tokens from now on, at the node that answers; the deadline holds for each 100 of them."""
        await self._connections.deny(tokens, deadline)

    async def denied_access_tokens(self, *, deadline: Optional[float] = None) -> List[DeniedToken]:
        """The access tokens that are denied at the node that answers, by issuer and `jti`."""
        return await self._connections.denied(deadline)


class AsyncAccessLogTail(AsyncIterator[TailStep]):
    """A log that is followed; see `tokenvault.AccessLogTail`. To wait for a part can be cancelled without a loss."""

    def __init__(self, following: Following) -> None:
        self._following = following

    @property
    def next_index(self) -> Optional[int]:
        """Where to go on later: behind the last entry that was looked at. None before the first part has come."""
        return self._following.next_index

    async def __anext__(self) -> TailStep:
        step = await self._following.next()
        if step is None:
            raise StopAsyncIteration
        return step

    async def aclose(self) -> None:
        """Ends it; who waits for the next part is told that it has ended."""
        self._following.close()

    async def __aenter__(self) -> AsyncAccessLogTail:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        await self.aclose()


class AsyncAccessLogExport(AsyncIterator[bytes]):
    """An export under way: the bytes of the file as they come, or `save` for all of it."""

    def __init__(self, exporting: Exporting) -> None:
        self._exporting = exporting

    @property
    def receipt(self) -> Optional[Receipt]:
        """Where the log holds the entry of this very call."""
        return self._exporting.receipt

    @property
    def done(self) -> Optional[ExportDone]:
        """The manifest, which speaks of the bytes that came and of this very call; None before the end."""
        return self._exporting.done

    async def __anext__(self) -> bytes:
        data = await self._exporting.next()
        if data is None:
            raise StopAsyncIteration
        return data

    async def save(self, path: PathOrText) -> ExportDone:
        """Writes the file and beside it `<path>.manifest`; see `tokenvault.AccessLogExport.save`."""
        return await self._exporting.save(path)

    async def aclose(self) -> None:
        """Ends it; an export that did not come to its end is worth nothing."""
        self._exporting.close()

    async def __aenter__(self) -> AsyncAccessLogExport:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        await self.aclose()


class _Io(Io):
    """Everything is awaited."""

    def channel(self, target: str, credentials: grpc.ChannelCredentials, options: Sequence[Tuple[str, Any]]) -> Any:
        return grpc.aio.secure_channel(target, credentials, options)

    async def ready(self, channel: Any, seconds: float) -> bool:
        try:
            await asyncio.wait_for(channel.channel_ready(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    async def unary(
        self, channel: Any, path: str, request: Sealed, seconds: float, metadata: Metadata
    ) -> Tuple[Sealed, Any]:
        multi = channel.unary_unary(path, request_serializer=Sealed.open, response_deserializer=Sealed)
        call = multi(request, timeout=seconds, metadata=metadata)
        answer = await call
        return answer, await call.initial_metadata()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def blocking(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    async def answers(
        self, channel: Any, path: str, request: Sealed, seconds: float, metadata: Metadata
    ) -> Tuple[Tuple[Any, Optional[Sealed]], Any]:
        multi = channel.unary_stream(path, request_serializer=Sealed.open, response_deserializer=Sealed)
        call = multi(request, metadata=metadata)
        try:
            first = await asyncio.wait_for(self.read(call), seconds)
            return (call, first), await call.initial_metadata()
        except asyncio.TimeoutError:
            call.cancel()
            raise DeadlineExceeded(seconds) from None
        except BaseException:
            call.cancel()
            raise

    async def read(self, call: Any) -> Optional[Sealed]:
        # In a task of its own, so that a call that was cancelled is told from a caller that was.
        reading = asyncio.ensure_future(call.read())
        try:
            await asyncio.wait([reading])
        finally:
            reading.cancel()
        if reading.cancelled():
            raise TransportError("the stream was cancelled")
        answer: Any = reading.result()
        return None if answer is grpc.aio.EOF else answer

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, R]]], at_once: int) -> List[R]:
        turns = asyncio.Semaphore(at_once)

        async def one(call: Callable[[], Coroutine[Any, Any, R]]) -> R:
            async with turns:
                return await call()

        return list(await asyncio.gather(*(one(call) for call in calls)))
