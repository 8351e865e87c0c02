"""The blocking client. It may be shared by threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Coroutine, Iterable, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar

import grpc

from ._attempt import Metadata
from ._audit import AccessLogCounts, AccessLogPage, AccessLogQuery, next_page
from ._checkpoint import Checkpoint
from ._config import ClientConfig, PathOrText
from ._connections import Connections, Io, run
from ._deny import DeniedToken
from ._errors import DeadlineExceeded
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
from ._threads import Stream
from ._verb import DESCRIBE, DETOKENIZE, FIND, RESUME, REVOKE, SUSPEND, TOKENIZE, renew
from .v1 import audit_service_pb2 as audit_v1

R = TypeVar("R")


class Client:
    """A client of one vault, for threads. It connects with its first call, and anew by itself when that breaks.

    `deadline` of a call is in seconds, all its attempts included; the configuration's where it is None.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._connections = Connections(config, _Io())

    def __repr__(self) -> str:
        return f"Client({self._connections.config.endpoint!r})"

    def connect(self) -> Client:
        """Connects now, and raises ConnectError if the vault can't be reached or its certificate is not trusted.

        That ours is not shows at the first call: TLS 1.3 lets a client finish before the server has looked.
        """
        run(self._connections.connect())
        return self

    def close(self) -> None:
        """Closes all connections. Calls that are under way end with an error."""
        for channel in self._connections.close():
            channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        self.close()

    def tokenize(
        self, context: CallContext, items: Iterable[NewValue], *, deadline: Optional[float] = None
    ) -> Answer[IssuedToken]:
        """Tokenizes values: a result for each, in order. More than one request may hold go in several calls.

        Raises when every call of the batch was refused as a whole; if only some were, their items bear the error.
        """
        return run(self._connections.batch(TOKENIZE, context, items, deadline))

    def detokenize(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[Revealed]:
        """Reveals the values of tokens: a result for each, in order. See `tokenize`."""
        return run(self._connections.batch(DETOKENIZE, context, items, deadline))

    def describe_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenDescription]:
        """Asks what is known of tokens beside their values: a result for each, in order. See `tokenize`."""
        return run(self._connections.batch(DESCRIBE, context, items, deadline))

    def find_tokens(
        self, context: CallContext, items: Iterable[KnownValue], *, deadline: Optional[float] = None
    ) -> Answer[FoundToken]:
        """Finds the tokens that values have already: a result for each, in order. Nothing is made. See `tokenize`."""
        return run(self._connections.batch(FIND, context, items, deadline))

    def renew_tokens(
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
        return run(self._connections.batch(renew(ttl_seconds), context, items, deadline))

    def suspend_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenLife]:
        """Suspends tokens: they lead nowhere until they are resumed. How it stands with each then, in order."""
        return run(self._connections.batch(SUSPEND, context, items, deadline))

    def resume_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenLife]:
        """Ends the suspension of tokens: how it stands with each then, in order."""
        return run(self._connections.batch(RESUME, context, items, deadline))

    def revoke_tokens(
        self, context: CallContext, items: Iterable[HeldToken], *, deadline: Optional[float] = None
    ) -> Answer[TokenLife]:
        """Revokes tokens: they lead nowhere, for ever. How it stands with each then, in order."""
        return run(self._connections.batch(REVOKE, context, items, deadline))

    def tokenize_stream(
        self, context: CallContext, batches: Iterable[Iterable[NewValue]], *, first_number: int = 0
    ) -> Stream[IssuedToken]:
        """Tokenizes a long row of batches over one call; gives their answers in order.

        What was not answered when the stream broke is sent again, under the same key, and makes no token twice. With a
        key of the caller, the same number means the same batch, also on another stream and after a restart: the first
        batch has `first_number`, each further one the next. The deadline holds for every batch, the attempts for every
        stretch without an answer. A stream that fails for good raises; see `Stream.answered`.
        """
        return Stream(Held(self._connections, TOKENIZE, context, first_number), batches)

    def detokenize_stream(
        self, context: CallContext, batches: Iterable[Iterable[HeldToken]], *, first_number: int = 0
    ) -> Stream[Revealed]:
        """Reveals a long row of batches over one call; see `tokenize_stream`."""
        return Stream(Held(self._connections, DETOKENIZE, context, first_number), batches)

    def query_access_log(self, query: AccessLogQuery, *, deadline: Optional[float] = None) -> AccessLogPage:
        """Asks the log of a region for one page. The question itself becomes an entry."""
        return run(self._connections.query(query, deadline))

    def count_access_log(
        self, query: AccessLogQuery, by: Optional[str] = None, *, deadline: Optional[float] = None
    ) -> AccessLogCounts:
        """Counts entries that match: all of them, and by decision, principal, data_class, action or hour.

        Pages and the order of the question are not looked at. Each call that it takes is a question of its own.
        """
        return run(self._connections.count(query, by, deadline))

    def access_log(
        self, query: AccessLogQuery, *, deadline: Optional[float] = None
    ) -> Iterator[audit_v1.AccessLogEntry]:
        """All entries that match, in the order asked for, page by page; each page is a question of its own."""
        asked: Optional[AccessLogQuery] = query
        while asked is not None:
            page = self.query_access_log(asked, deadline=deadline)
            yield from page.entries
            asked = next_page(asked, page)

    def checkpoint(self, log: str, *, pinned: Optional[str] = None, deadline: Optional[float] = None) -> Checkpoint:
        """The newest checkpoint of a region's log, or of the node's (`NODE`).

        What this client has seen of the log before has to be its beginning, which the vault is asked to prove; one that
        was rolled back or written anew raises LogContradicted. `ClientConfig.checkpoints` keeps it between runs. Its
        signature is checked by `pinned`, a verifier key that was got by another way. Without one it is checked by
        the key that the vault states itself, which shows no more than that the answer is whole.
        """
        return run(self._connections.checkpoint(log, pinned, deadline))

    def log_entry(
        self,
        region: str,
        index: int,
        *,
        purpose: Optional[str] = None,
        reference: Optional[str] = None,
        deadline: Optional[float] = None,
    ) -> LogEntry:
        """One entry of a region's log by its index, from 0. The question itself becomes an entry."""
        return run(self._connections.log_entry(region, index, purpose, reference, deadline))

    def prove_entry(
        self,
        log: str,
        index: int,
        leaf_hash: Optional[bytes] = None,
        *,
        pinned: Optional[str] = None,
        deadline: Optional[float] = None,
    ) -> ProvedEntry:
        """Has a log prove that it holds an entry, under its newest checkpoint.

        `leaf_hash` is the one that a receipt names: a log that holds another entry there raises ProofRefuted. `pinned`
        as for `checkpoint`.
        """
        return run(self._connections.prove_entry(log, index, leaf_hash, pinned, deadline))

    def prove_entry_under(
        self, log: str, index: int, leaf_hash: bytes, under: Checkpoint, *, deadline: Optional[float] = None
    ) -> ProvedEntry:
        """The same under a checkpoint that was verified before, so that many proofs lead to one signed root."""
        return run(self._connections.prove_entry_under(log, index, leaf_hash, under, deadline))

    def prove_growth(
        self, log: str, since: Checkpoint, *, pinned: Optional[str] = None, deadline: Optional[float] = None
    ) -> Checkpoint:
        """Has a log prove that its newest checkpoint, which is given, goes on from an older one.

        Then nothing was altered, dropped or reordered between the two. `pinned` as for `checkpoint`.
        """
        return run(self._connections.prove_growth(log, since, pinned, deadline))

    def tail_access_log(self, query: AccessLogQuery, from_index: Optional[int] = None) -> AccessLogTail:
        """Follows the log of a region: entries that match, and those that come.

        It begins at `from_index`, or at the filter's `from_ms`, at the later of both; at those that come from now on
        where neither is said. It has no end: a filter that says one is refused. Pages are not looked at.
        """
        return AccessLogTail(Following(self._connections, query, from_index))

    def export_access_log(
        self,
        query: AccessLogQuery,
        format: str,
        *,
        from_index: int = 0,
        until_index: Optional[int] = None,
        pinned: Optional[str] = None,
    ) -> AccessLogExport:
        """Begins to write out a part of a region's log: `jsonl`, `csv`, `ocsf` or `cef`.

        It holds the entries that match, from `from_index` on and before `until_index` or the log's end. `pinned` as for
        `checkpoint`. An export that is cut is worth nothing, and not repeated.
        """
        request = encode(query, format, from_index, until_index)
        exporting = Exporting(self._connections, query.region, request, pinned)
        run(exporting.begin())
        return AccessLogExport(exporting)

    def explain_access(self, question: AccessQuestion, *, deadline: Optional[float] = None) -> Explanation:
        """Asks whether a caller would be shown the value of a token. The question becomes an entry of the log."""
        return run(self._connections.explain(question, deadline))

    def deny_access_tokens(self, tokens: Iterable[DeniedToken], *, deadline: Optional[float] = None) -> None:
        """Denies access tokens from now on, at the node that answers; the deadline holds for each 100 of them."""
        run(self._connections.deny(tokens, deadline))

    def denied_access_tokens(self, *, deadline: Optional[float] = None) -> List[DeniedToken]:
        """The access tokens that are denied at the node that answers, by issuer and `jti`."""
        return run(self._connections.denied(deadline))


class AccessLogTail(Iterator[TailStep]):
    """A log that is followed: entries, or how far the vault has looked, at least every 10 seconds or so.

    Where the stream is cut it goes on by itself, at the next entry. It raises when the vault refuses, or can't be
    reached in as many attempts as the client makes; asked again after that, it goes on where it was.
    """

    def __init__(self, following: Following) -> None:
        self._following = following

    @property
    def next_index(self) -> Optional[int]:
        """Where to go on later: behind the last entry that was looked at. None before the first part has come."""
        return self._following.next_index

    def __next__(self) -> TailStep:
        step = run(self._following.next())
        if step is None:
            raise StopIteration
        return step

    def close(self) -> None:
        """Ends it; who waits for the next part is told that it has ended."""
        self._following.close()

    def __enter__(self) -> AccessLogTail:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        self.close()


class AccessLogExport(Iterator[bytes]):
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

    def __next__(self) -> bytes:
        data = run(self._exporting.next())
        if data is None:
            raise StopIteration
        return data

    def save(self, path: PathOrText) -> ExportDone:
        """Writes the file and beside it `<path>.manifest`, readable by their owner alone.

        Both come into being when the export is whole; nothing that is there is replaced.
        """
        return run(self._exporting.save(path))

    def close(self) -> None:
        """Ends it; an export that did not come to its end is worth nothing."""
        self._exporting.close()

    def __enter__(self) -> AccessLogExport:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        self.close()


class _Io(Io):
    """Everything blocks where it stands."""

    def channel(self, target: str, credentials: grpc.ChannelCredentials, options: Sequence[Tuple[str, Any]]) -> Any:
        return grpc.secure_channel(target, credentials, options)

    async def ready(self, channel: Any, seconds: float) -> bool:
        waiting = grpc.channel_ready_future(channel)
        try:
            waiting.result(seconds)
        except grpc.FutureTimeoutError:
            return False
        finally:
            waiting.cancel()
        return True

    async def unary(
        self, channel: Any, path: str, request: Sealed, seconds: float, metadata: Metadata
    ) -> Tuple[Sealed, Any]:
        multi = channel.unary_unary(path, request_serializer=Sealed.open, response_deserializer=Sealed)
        answer, call = multi.with_call(request, timeout=seconds, metadata=metadata)
        return answer, call.initial_metadata()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def blocking(self, work: Callable[[], R]) -> R:
        return work()

    async def answers(
        self, channel: Any, path: str, request: Sealed, seconds: float, metadata: Metadata
    ) -> Tuple[Tuple[Any, Optional[Sealed]], Any]:
        multi = channel.unary_stream(path, request_serializer=Sealed.open, response_deserializer=Sealed)
        call = multi(request, metadata=metadata)
        # A deadline of gRPC's would hold for the whole call, which may last.
        late = threading.Event()

        def end() -> None:
            late.set()
            call.cancel()

        ending = threading.Timer(seconds, end)
        ending.daemon = True
        ending.start()
        try:
            return (call, await self.read(call)), call.initial_metadata()
        except grpc.RpcError:
            if late.is_set():
                raise DeadlineExceeded(seconds) from None
            raise
        except BaseException:
            call.cancel()
            raise
        finally:
            ending.cancel()

    async def read(self, call: Any) -> Optional[Sealed]:
        answer: Optional[Sealed] = next(call, None)
        return answer

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, R]]], at_once: int) -> List[R]:
        if len(calls) <= 1:
            return [await call() for call in calls]
        with ThreadPoolExecutor(min(at_once, len(calls)), "tokenvault-call") as pool:
            return list(pool.map(lambda call: run(call()), calls))
