"""The client for asyncio: the same calls as `tokenvault.Client`, to be awaited."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, Callable, Coroutine, Iterable, List, Optional, Sequence, Tuple, Type, TypeVar

import grpc
import grpc.aio

from ._attempt import Metadata
from ._audit import AccessLogCounts, AccessLogPage, AccessLogQuery, Checkpoint, next_page
from ._config import ClientConfig
from ._connections import Connections, Io
from ._deny import DeniedToken
from ._explain import AccessQuestion, Explanation
from ._items import Answer, CallContext, HeldToken, IssuedToken, NewValue, Revealed, Sealed, TokenDescription
from ._stream import Held
from ._tasks import AsyncStream, Batches
from ._tokens import TokenSource
from ._verb import DESCRIBE, DETOKENIZE, TOKENIZE
from .v1 import audit_service_pb2 as audit_v1

R = TypeVar("R")

__all__ = ["AsyncClient", "AsyncStream", "Batches"]


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

    async def explain_access(self, question: AccessQuestion, *, deadline: Optional[float] = None) -> Explanation:
        """Asks whether a caller would be shown the value of a token. The question becomes an entry of the log."""
        return await self._connections.explain(question, deadline)

    async def deny_access_tokens(self, tokens: Iterable[DeniedToken], *, deadline: Optional[float] = None) -> None:
        """Denies access tokens from now on, at the node that answers; the deadline holds for each 100 of them."""
        await self._connections.deny(tokens, deadline)

    async def denied_access_tokens(self, *, deadline: Optional[float] = None) -> List[DeniedToken]:
        """The access tokens that are denied at the node that answers, by issuer and `jti`."""
        return await self._connections.denied(deadline)


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

    async def token(self, source: TokenSource, seconds: float) -> str:
        # A source may read a file or ask a server.
        return await asyncio.get_running_loop().run_in_executor(None, source.token, seconds)

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, R]]], at_once: int) -> List[R]:
        turns = asyncio.Semaphore(at_once)

        async def one(call: Callable[[], Coroutine[Any, Any, R]]) -> R:
            async with turns:
                return await call()

        return list(await asyncio.gather(*(one(call) for call in calls)))
