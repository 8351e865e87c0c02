"""The way that every call takes, written once for threads and for tasks.

It is written as coroutines over `Io`. The asyncio client awaits them; in the blocking client every method of `Io`
blocks where it stands, so that a coroutine never waits and `run` takes it to its end in one go.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    Any,
    Callable,
    Coroutine,
    Dict,
    Generic,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import grpc

from . import _audit as audit
from . import _checkpoint as checkpoints
from . import _deny as denying
from . import _explain as asking
from . import _prove as proving
from ._attempt import DEADLINE_TELLING, Breaker, Metadata, attempt_metadata, log, pause
from ._checkpoint import Checkpoint
from ._config import ClientConfig, Endpoint, check_deadline
from ._errors import (
    CircuitOpen,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    ProofRefuted,
    Refused,
    TokenUnavailable,
    TokenvaultError,
    TransportError,
    WrongRegion,
    of_call,
    request_id_of,
)
from ._items import Answer, CallContext, CallMade, ItemResult, Receipt, Sealed
from ._seen import Seen, goes_on
from ._verb import Verb, parse

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")
T = TypeVar("T")

#: How one request is made on a channel: its bytes, the seconds that it has, its metadata.
Exchange = Callable[[Any, str, Sealed, float, Metadata], Coroutine[Any, Any, Tuple[R, Any]]]

#: The largest answer that is read, in bytes: as many of the largest values as one request may ask for.
ANSWER_BYTES_MAX = 1000 * ((64 << 10) + 1024)
# Milliseconds that TCP and TLS may take together.
_CONNECT_DEADLINE_MS = 5000
# Regions that may be followed elsewhere: as many as a vault can have.
_REGIONS_MAX = 16

_OPTIONS: Sequence[Tuple[str, Any]] = (
    # Repeats are decided here, where it is known which call may be repeated.
    ("grpc.enable_retries", 0),
    # Values go to the vault by no detour, and nobody else says how.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", _CONNECT_DEADLINE_MS),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class Io:
    """What differs between threads and tasks."""

    def channel(self, target: str, credentials: grpc.ChannelCredentials, options: Sequence[Tuple[str, Any]]) -> Any:
        """A channel, which connects with its first call."""
        raise NotImplementedError

    async def ready(self, channel: Any, seconds: float) -> bool:
        """Waits until the channel is connected; says whether it is."""
        raise NotImplementedError

    async def unary(
        self, channel: Any, path: str, request: Sealed, seconds: float, metadata: Metadata
    ) -> Tuple[Sealed, Any]:
        """One request; gives the answer and its metadata, or raises grpc.RpcError."""
        raise NotImplementedError

    async def answers(
        self, channel: Any, path: str, request: Sealed, seconds: float, metadata: Metadata
    ) -> Tuple[Tuple[Any, Optional[Sealed]], Any]:
        """One request with many answers; gives the call, the first of them as `read` does, and the call's metadata.

        Raises grpc.RpcError, TransportError, or DeadlineExceeded if none comes in so many seconds.
        """
        raise NotImplementedError

    async def read(self, call: Any) -> Optional[Sealed]:
        """The next answer; None at the end. Raises grpc.RpcError or TransportError."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    async def blocking(self, work: Callable[[], R]) -> R:
        """Does what may wait for a file, a lock or a server."""
        raise NotImplementedError

    async def together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, R]]], at_once: int) -> List[R]:
        """Makes calls, several at once; gives their results in order."""
        raise NotImplementedError


def run(call: Coroutine[Any, Any, R]) -> R:
    """Takes a coroutine to its end whose Io blocks."""
    try:
        call.send(None)
    except StopIteration as ended:
        result: R = ended.value
        return result
    raise AssertionError("an Io that blocks does not wait")


@dataclass
class Link:
    """A connection, and what is known of it."""

    endpoint: Endpoint
    channel: Any
    breaker: Breaker
    has_answered: bool = False

    def judge(self, error: Optional[TokenvaultError], seconds: float) -> None:
        """Notes how an attempt ended that had so many seconds."""
        is_silence = isinstance(error, TransportError)
        if isinstance(error, TokenUnavailable) or (isinstance(error, DeadlineExceeded) and seconds < DEADLINE_TELLING):
            self.breaker.untold()
        elif is_silence or isinstance(error, DeadlineExceeded):
            self.breaker.failed()
        else:
            self.has_answered = self.has_answered or error is None or isinstance(error, Refused)
            self.breaker.answered()

    def explain(self, error: TokenvaultError) -> TokenvaultError:
        """Makes more of a broken connection that never gave an answer."""
        if isinstance(error, TransportError) and not self.has_answered:
            return TransportError(f"{error}, before there was any; does the vault accept this client certificate?")
        return error


@dataclass
class Made(Generic[T]):
    """How a call ended, and what is known of it."""

    outcome: Union[T, TokenvaultError]
    request_id: Optional[str]
    attempts: int
    seconds: float


class Connections:
    """The connections of a client, and the way of a call through them."""

    def __init__(self, config: ClientConfig, io: Io) -> None:
        self.config = config
        self.io = io
        self._home = Endpoint.parse(config.endpoint)
        self._followed = {Endpoint.parse(text) for text in config.followed}
        self._elsewhere = {region: Endpoint.parse(text) for region, text in config.regions.items()}
        self._lock = threading.Lock()
        self._links: Dict[Tuple[Endpoint, bool], Link] = {}
        self._is_closed = False
        self._seen = Seen(None if config.checkpoints is None else Path(config.checkpoints))

    def link_for(self, region: str) -> Link:
        """The connection for calls of a region."""
        with self._lock:
            endpoint = self._elsewhere.get(region)
            return self._link(endpoint or self._home, is_home=endpoint is None)

    def follow(self, region: str, error: TokenvaultError) -> Optional[Link]:
        """The connection that a refusal sends calls for a region to, if that is allowed."""
        # A token of another region is refused by the same reason; such a call was not meant for there.
        if not isinstance(error, WrongRegion) or error.region != region:
            return None
        try:
            endpoint = Endpoint.parse(error.endpoint)
        except ConfigurationError:
            return None
        with self._lock:
            full = len(self._elsewhere) >= _REGIONS_MAX
            if endpoint not in self._followed or region in self._elsewhere or full:
                return None
            self._elsewhere[region] = endpoint
            log.debug("calls for %s go to %s", region, endpoint)
            return self._link(endpoint, is_home=False)

    def _link(self, endpoint: Endpoint, is_home: bool) -> Link:
        if self._is_closed:
            raise ConfigurationError("the client is closed")
        link = self._links.get((endpoint, is_home))
        if link is None:
            options = list(_OPTIONS)
            if is_home and self.config.server_name:
                options.append(("grpc.ssl_target_name_override", self.config.server_name))
            credentials = grpc.ssl_channel_credentials(self.config.ca, self.config.key, self.config.certificate)
            link = Link(endpoint, self.io.channel(endpoint.target, credentials, options), Breaker(str(endpoint)))
            self._links[endpoint, is_home] = link
        return link

    def close(self) -> List[Any]:
        """Takes no more calls; gives the channels, to be closed."""
        with self._lock:
            self._is_closed = True
            links, self._links = list(self._links.values()), {}
        return [link.channel for link in links]

    async def connect(self) -> None:
        """Connects to the configured endpoint."""
        link = self.link_for("")
        seconds = min(self.config.deadline, _CONNECT_DEADLINE_MS / 1000)
        if not await self.io.ready(link.channel, seconds):
            raise ConnectError(
                f"can't connect to {link.endpoint} within {seconds:g} s; does the vault listen there, is its "
                "certificate from the configured CA, and does the key belong to the client certificate?"
            )

    async def token(self, seconds: float) -> Optional[str]:
        """The access token to show now."""
        source = self.config.token_source
        if source is None:
            return None
        give = source.token
        return await self.io.blocking(lambda: give(seconds))

    def token_refused(self, token: Optional[str], error: Optional[TokenvaultError]) -> None:
        """Tells the source of a token that the vault does not know who shows it."""
        is_unknown = isinstance(error, Refused) and error.code == grpc.StatusCode.UNAUTHENTICATED
        if self.config.token_source is not None and token is not None and is_unknown:
            self.config.token_source.refused(token)

    async def unary(
        self, region: str, path: str, request: Sealed, repeatable: bool, deadline: Optional[float]
    ) -> Made[Sealed]:
        """Makes one logical call for a region, with its deadline and its repeats."""
        seconds = check_deadline(self.config.deadline if deadline is None else deadline)
        begun = time.monotonic()
        attempts = 0
        while True:
            attempts += 1
            ends = begun + seconds
            outcome, request_id = await self._attempt(self.io.unary, region, path, request, ends, seconds)
            now = time.monotonic()
            if isinstance(outcome, Sealed):
                return Made(outcome, request_id, attempts, now - begun)
            waits = pause(attempts, outcome.retry_after)
            # A call that begins while an endpoint is left alone has no claim to wait for it.
            is_turned_away = isinstance(outcome, CircuitOpen) and attempts == 1
            gives_up = attempts >= self.config.attempts_max or now + waits >= begun + seconds or is_turned_away
            if not repeatable or not outcome.is_passing or gives_up:
                return Made(outcome, outcome.request_id, attempts, now - begun)
            log.debug("%s: attempt %d: %s; again in %.3f s", path, attempts, type(outcome).__name__, waits)
            await self.io.sleep(waits)

    async def answers(self, region: str, path: str, request: Sealed) -> Tuple[Any, Sealed]:
        """Opens a call with many answers, once; gives it and the first of them."""
        seconds = self.config.deadline
        ends = time.monotonic() + seconds
        outcome, _ = await self._attempt(self.io.answers, region, path, request, ends, seconds)
        if isinstance(outcome, TokenvaultError):
            raise outcome
        call, first = outcome
        if first is None:
            raise TransportError("the stream ended before there was an answer")
        return call, first

    async def next_answer(self, call: Any) -> Sealed:
        """The next answer of such a call, which is not over yet."""
        try:
            answer = await self.io.read(call)
        except grpc.RpcError as failed:
            error = of_call(failed, self.config.deadline)
        else:
            if answer is not None:
                return answer
            error = TransportError("the stream ended early")
        raise error

    async def _attempt(
        self, exchange: Exchange[R], region: str, path: str, request: Sealed, ends: float, seconds: float
    ) -> Tuple[Union[R, TokenvaultError], Optional[str]]:
        """One attempt; where the vault sends it on and that is allowed, one more, there."""
        outcome, request_id = await self._on(exchange, self.link_for(region), path, request, ends, seconds)
        link = self.follow(region, outcome) if isinstance(outcome, TokenvaultError) else None
        if link is None:
            return outcome, request_id
        return await self._on(exchange, link, path, request, ends, seconds)

    async def _on(
        self, exchange: Exchange[R], link: Link, path: str, request: Sealed, ends: float, seconds: float
    ) -> Tuple[Union[R, TokenvaultError], Optional[str]]:
        """One request on one connection. Errors are returned: they are raised where no frame holds a value."""
        try:
            link.breaker.admit()
        except CircuitOpen as refused:
            return refused.with_traceback(None), None
        token: Optional[str] = None
        left = 0.0
        is_told = False
        try:
            left = ends - time.monotonic()
            if left <= 0:
                return DeadlineExceeded(seconds), None
            token = await self.token(left)
            left = max(0.001, ends - time.monotonic())
            answer, metadata = await exchange(link.channel, path, request, left, attempt_metadata(token))
            link.judge(None, left)
            is_told = True
            return answer, request_id_of(metadata)
        except TokenUnavailable as unavailable:
            return unavailable.with_traceback(None), None
        except (DeadlineExceeded, TransportError) as broken:
            link.judge(broken, left)
            is_told = True
            return broken.with_traceback(None), None
        except grpc.RpcError as failed:
            error = of_call(failed, seconds)
            self.token_refused(token, error)
            link.judge(error, left)
            is_told = True
            return link.explain(error), error.request_id
        finally:
            if not is_told:
                link.breaker.untold()

    async def batch(
        self, verb: Verb[I, T], context: CallContext, items: Iterable[I], deadline: Optional[float]
    ) -> Answer[T]:
        """Makes the calls of a batch, several at once; raises the first call's error when none has succeeded."""
        requests = verb.requests(context, items)
        calls = [self._call_of_batch(verb, context.region, *request, deadline) for request in requests]
        made = await self.io.together(calls, self.config.in_flight_max)
        if made and all(call.error is not None for call, _ in made):
            raise made[0][0].error or AssertionError("it was just there")
        results = [result for _, results in made for result in results]
        return Answer(results, [call for call, _ in made])

    def _call_of_batch(
        self,
        verb: Verb[I, T],
        region: str,
        run: range,
        request: Sealed,
        repeatable: bool,
        deadline: Optional[float],
    ) -> Callable[[], Coroutine[Any, Any, Tuple[CallMade, List[ItemResult[T]]]]]:
        async def call() -> Tuple[CallMade, List[ItemResult[T]]]:
            made = await self.unary(region, verb.path, request, repeatable, deadline)
            receipt: Optional[Receipt] = None
            results: List[ItemResult[T]] = []
            error: Optional[TokenvaultError] = None
            if isinstance(made.outcome, TokenvaultError):
                error = made.outcome
            else:
                try:
                    receipt, results = verb.read(made.outcome, len(run), made.request_id)
                except TokenvaultError as malformed:
                    error = malformed.with_traceback(None)
            if error is not None:
                results = [ItemResult.failed(error) for _ in run]
            return CallMade(run, receipt, error, made.request_id, made.attempts, made.seconds), results

        return call

    async def query(self, query: audit.AccessLogQuery, deadline: Optional[float]) -> audit.AccessLogPage:
        """Asks the log of a region."""
        await self.demand_growth(query.region, deadline)
        made = await self.unary(query.region, audit.QUERY_PATH, audit.encode(query), True, deadline)
        return audit.page(parse(audit.QUERY_ANSWER, _outcome(made)))

    async def count(
        self, query: audit.AccessLogQuery, by: Optional[str], deadline: Optional[float]
    ) -> audit.AccessLogCounts:
        """Counts entries of the log of a region, in as many calls as it takes."""
        counts, page_token = audit.AccessLogCounts({}, 0, 0, 0, []), ""
        await self.demand_growth(query.region, deadline)
        while True:
            message = audit.encode_count(query, by, page_token)
            made = await self.unary(query.region, audit.COUNT_PATH, message, True, deadline)
            part = parse(audit.COUNT_ANSWER, _outcome(made))
            counts, page_token = audit.add_part(counts, part, by), part.next_page_token
            if not page_token:
                return counts

    async def demand_growth(self, region: str, deadline: Optional[float]) -> None:
        """Where checkpoints are kept between runs, a log is asked only if it goes on from what was seen of it."""
        if self.config.checkpoints is not None:
            await self.checkpoint(region, None, deadline)

    async def checkpoint(self, name: str, pinned: Optional[str], deadline: Optional[float]) -> Checkpoint:
        """The newest checkpoint of a log, verified; what was seen of the log before has to be its beginning."""
        made = await self.unary(name, checkpoints.CHECKPOINT_PATH, checkpoints.encode_checkpoint(name), True, deadline)
        answer = parse(checkpoints.CHECKPOINT_ANSWER, _outcome(made))
        newest = checkpoints.verified(name, answer.checkpoint, answer.verifier_key, pinned)
        witnessed = checkpoints.witnessed(answer, newest)
        agreed = await self._agree(name, newest, deadline)
        return replace(agreed, witnessed=witnessed, minimum_index=answer.minimum_index)

    async def log_entry(
        self, region: str, index: int, purpose: Optional[str], reference: Optional[str], deadline: Optional[float]
    ) -> proving.LogEntry:
        """One entry of a region's log."""
        message = proving.encode_entry(region, index, purpose, reference)
        made = await self.unary(region, proving.ENTRY_PATH, message, True, deadline)
        return proving.log_entry(parse(proving.ENTRY_ANSWER, _outcome(made)))

    async def prove_entry(
        self, name: str, index: int, leaf: Optional[bytes], pinned: Optional[str], deadline: Optional[float]
    ) -> proving.ProvedEntry:
        """Has a log prove that it holds an entry, under its newest checkpoint."""
        # A log that gave a receipt had an entry there.
        answer = await self._inclusion(name, index, 0, leaf is not None, deadline)
        newest = checkpoints.verified(name, answer.checkpoint, answer.verifier_key, pinned)
        proved = _proved(answer, index, leaf, newest)
        await self._agree(name, newest, deadline)
        return proved

    async def prove_entry_under(
        self, name: str, index: int, leaf: bytes, under: Checkpoint, deadline: Optional[float]
    ) -> proving.ProvedEntry:
        """The same under a checkpoint that was verified before, and not under the newest one."""
        if not 0 <= index < under.size:
            raise ProofRefuted("the tree of that size has no such position")
        # A log that signed this checkpoint had an entry there.
        answer = await self._inclusion(name, index, under.size, True, deadline)
        return _proved(answer, index, leaf, under)

    async def prove_growth(
        self, name: str, since: Checkpoint, pinned: Optional[str], deadline: Optional[float]
    ) -> Checkpoint:
        """Has a log prove that its newest checkpoint goes on from an older one."""
        answer = await self._consistency(name, since.size, 0, deadline)
        newest = checkpoints.verified(name, answer.checkpoint, answer.verifier_key, pinned)
        if newest.origin != since.origin:
            raise ProofRefuted("the newest checkpoint is of another log")
        checkpoints.verify_consistency(since, newest, proving.read_hashes(answer.hashes))
        await self._agree(name, newest, deadline)
        return newest

    async def _agree(self, name: str, now: Checkpoint, deadline: Optional[float]) -> Checkpoint:
        """Holds a checkpoint against the newest that was seen of its log; keeps and gives the larger one.

        A vault can answer with an older one, be it that answers overtake each other. What was kept stays where no
        history has both.
        """

        async def ask(name: str, older: int, later: int) -> List[bytes]:
            return proving.read_hashes((await self._consistency(name, older, later, deadline)).hashes)

        seen = self._seen
        while True:
            known = await self.io.blocking(lambda: seen.known(name))
            if known is not None:
                await goes_on(name, known, now, ask)
                if now.size <= known.size:
                    seen.remember(name, known)
                    return known
            agreed = known
            if await self.io.blocking(lambda: seen.keep(name, agreed, now)):
                return now

    async def _inclusion(self, name: str, index: int, size: int, was_there: bool, deadline: Optional[float]) -> Any:
        message = proving.encode_inclusion(name, index, size)
        made = await self.unary(name, proving.INCLUSION_PATH, message, True, deadline)
        if was_there and isinstance(made.outcome, TokenvaultError) and proving.is_out_of_tree(made.outcome):
            raise ProofRefuted("the tree of that size has no such position")
        return parse(proving.INCLUSION_ANSWER, _outcome(made))

    async def _consistency(self, name: str, old_size: int, new_size: int, deadline: Optional[float]) -> Any:
        message = proving.encode_consistency(name, old_size, new_size)
        made = await self.unary(name, proving.CONSISTENCY_PATH, message, True, deadline)
        return parse(proving.CONSISTENCY_ANSWER, _outcome(made))

    async def explain(self, question: asking.AccessQuestion, deadline: Optional[float]) -> asking.Explanation:
        """Asks whether a caller would be shown a value."""
        made = await self.unary(question.region, asking.EXPLAIN_PATH, asking.encode(question), True, deadline)
        return asking.explanation(parse(asking.EXPLAIN_ANSWER, _outcome(made)))

    async def deny(self, tokens: Iterable[denying.DeniedToken], deadline: Optional[float]) -> None:
        """Denies access tokens, in as many calls as it takes. To deny twice does no harm."""
        for request in denying.encode(tokens):
            made = await self.unary(checkpoints.NODE, denying.DENY_PATH, request, True, deadline)
            parse(denying.DENY_ANSWER, _outcome(made))

    async def denied(self, deadline: Optional[float]) -> List[denying.DeniedToken]:
        """All access tokens that are denied, page by page."""
        found: List[denying.DeniedToken] = []
        page_token = ""
        while True:
            request = denying.encode_list(page_token)
            made = await self.unary(checkpoints.NODE, denying.DENIED_PATH, request, True, deadline)
            tokens, page_token = denying.page(parse(denying.DENIED_ANSWER, _outcome(made)))
            found += tokens
            if not page_token:
                return found


def _outcome(made: Made[Sealed]) -> Sealed:
    if isinstance(made.outcome, TokenvaultError):
        raise made.outcome
    return made.outcome


def _proved(answer: Any, index: int, leaf: Optional[bytes], tree: Checkpoint) -> proving.ProvedEntry:
    """An inclusion proof, once it leads to the root of the tree."""
    stated, hashes = proving.read_hash(answer.leaf_hash), proving.read_hashes(answer.hashes)
    if leaf is not None and leaf != stated:
        raise ProofRefuted("the log holds another entry at this index")
    checkpoints.verify_inclusion(tree, index, stated, hashes)
    return proving.ProvedEntry(index, stated, hashes, tree)
