"""The calls that take items: how each is put into messages and read out of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Callable, Generic, Iterable, List, Optional, Sequence, Tuple, TypeVar

from google.protobuf.message import DecodeError

from ._errors import AnswerMalformed, ConfigurationError, of_item
from ._items import (
    CallContext,
    FoundToken,
    HeldToken,
    Hidden,
    Idempotency,
    IssuedToken,
    ItemResult,
    KnownValue,
    NewValue,
    Receipt,
    Revealed,
    Sealed,
    TokenDescription,
    TokenLife,
    TokenState,
    text_bytes,
    value_bytes,
)
from ._split import REQUEST_ROOM_BYTES, split
from .v1 import token_service_pb2 as v1

I = TypeVar("I")  # noqa: E741
T = TypeVar("T")

_IDEMPOTENCY_KEY_CHARS_MAX = 128
_U32_MAX = 2**32 - 1
_U64_MAX = 2**64 - 1

TOKEN_SERVICE = "/tokenvault.v1.TokenService/"


@dataclass(frozen=True)
class Verb(Generic[I, T]):
    """One kind of call.

    `is_named` says whether a request has to have a name to be sent again without harm. The fields of messages are
    handled as Any: they differ between the verbs in their types alone. `also` are further fields of each request.
    """

    name: str
    is_named: bool
    encode: Callable[[I], Any]
    output: Callable[[Any], Optional[T]]
    request_type: Any
    answer_type: Any
    stream_request_type: Any = None
    stream_answer_type: Any = None
    also: Tuple[Tuple[str, Any], ...] = ()

    @property
    def path(self) -> str:
        return TOKEN_SERVICE + self.name

    @property
    def stream_path(self) -> str:
        return f"{self.path}Stream"

    def encoded(self, items: Iterable[I]) -> Hidden[Any]:
        try:
            return Hidden(self.encode(item) for item in items)
        except ConfigurationError as error:
            # Without the frames below, which hold the value.
            wrong = error.with_traceback(None)
        raise wrong

    def runs(self, encoded: Sequence[Any], room: int) -> List[range]:
        return split(((item.data_class, item.ByteSize()) for item in encoded), room)

    def requests(self, context: CallContext, items: Iterable[I]) -> List[Tuple[range, Sealed, bool]]:
        """The requests of a batch: the items of each, its bytes, and whether its repeat does no harm."""
        encoded = self.encoded(items)
        runs = self.runs(encoded, REQUEST_ROOM_BYTES)
        requests = []
        for run, key in zip(runs, self._keys(context, len(runs))):
            message = self.request_type(
                region=context.region,
                purpose=context.purpose or "",
                reference=context.reference or "",
                audience=context.audience,
                items=encoded[run.start : run.stop],
                **dict(self.also),
            )
            if key:
                message.idempotency_key = key
            requests.append((run, Sealed(message.SerializeToString()), bool(key) or not self.is_named))
        return requests

    def _keys(self, context: CallContext, calls: int) -> List[str]:
        """The idempotency keys of a batch of so many calls; empty where there is none."""
        if self.request_type in (v1.DescribeTokensRequest, v1.FindTokensRequest):
            return [""] * calls
        if not isinstance(context.idempotency, str):
            return [self.key(context) for _ in range(calls)]
        if calls == 1:
            return [self.key(context)]
        keys = [f"{context.idempotency}/{call}" for call in range(calls)]
        if any(len(key) > _IDEMPOTENCY_KEY_CHARS_MAX for key in keys):
            raise ConfigurationError("the idempotency key is too long for a batch of several calls; shorten it")
        return keys

    def key(self, context: CallContext) -> str:
        """The key of one request or one stream; empty where there is none."""
        if isinstance(context.idempotency, str):
            if not context.idempotency:
                raise ConfigurationError("the idempotency key must not be empty; Idempotency.OFF stands for none")
            return context.idempotency
        if context.idempotency is Idempotency.AUTOMATIC and self.is_named:
            return secrets.token_hex(16)
        return ""

    def start(self, context: CallContext) -> v1.StreamStart:
        """What holds for a whole stream."""
        return v1.StreamStart(
            region=context.region,
            purpose=context.purpose or "",
            reference=context.reference or "",
            audience=context.audience,
            idempotency_key=self.key(context),
        )

    def stream_request(self, start: Optional[v1.StreamStart], sequence: int, items: Sequence[Any]) -> Sealed:
        return Sealed(self.stream_request_type(start=start, sequence=sequence, items=items).SerializeToString())

    def read(self, answer: Sealed, items: int, request_id: Optional[str]) -> Tuple[Receipt, Hidden[ItemResult[T]]]:
        """Reads the answer to so many items."""
        return self._read(parse(self.answer_type, answer), items, request_id)

    def read_stream(
        self, answer: Sealed, sequence: int, items: int, request_id: Optional[str]
    ) -> Tuple[Receipt, Hidden[ItemResult[T]]]:
        """Reads the answer to a message of a stream."""
        message = parse(self.stream_answer_type, answer)
        if message.sequence != sequence:
            raise AnswerMalformed("it answers no message that was sent")
        return self._read(message, items, request_id)

    def _read(self, message: Any, items: int, request_id: Optional[str]) -> Tuple[Receipt, Hidden[ItemResult[T]]]:
        receipt = Receipt.read(message.receipt)
        if len(message.results) != items:
            raise AnswerMalformed("it has not one result an item")
        return receipt, Hidden(self._result(result, request_id) for result in message.results)

    def _result(self, result: Any, request_id: Optional[str]) -> ItemResult[T]:
        if result.WhichOneof("outcome") == "error":
            return ItemResult.failed(of_item(result.error, request_id))
        output = self.output(result)
        if output is None:
            raise AnswerMalformed("it has an item without a result")
        return ItemResult.of(output)


def parse(kind: Any, answer: Sealed) -> Any:
    """Reads an answer."""
    try:
        return kind.FromString(answer.encoded)
    except DecodeError:
        pass
    raise AnswerMalformed("it is no message of its kind")


def _value(item: NewValue) -> v1.TokenizeItem:
    return v1.TokenizeItem(
        data_class=item.data_class,
        value=value_bytes(item.value),
        subject=text_bytes(item.subject or "", "the subject").decode(),
        ttl_seconds=_number(item.ttl_seconds, "ttl_seconds", _U64_MAX),
        not_before_ms=_number(item.not_before_ms, "not_before_ms", _U64_MAX),
        max_uses=_number(item.max_uses, "max_uses", _U32_MAX),
    )


def _known(item: KnownValue) -> v1.FindItem:
    return v1.FindItem(
        data_class=item.data_class,
        value=value_bytes(item.value),
        subject=text_bytes(item.subject or "", "the subject").decode(),
    )


def _number(number: Optional[int], name: str, largest: int) -> int:
    """A number as messages have it: none is 0, which no caller may mean."""
    if number is None:
        return 0
    if not isinstance(number, int) or not 1 <= number <= largest:
        raise ConfigurationError(f"{name} must be a whole number from 1 to {largest}; leave it out for the default")
    return number


def _token(item: HeldToken) -> v1.DetokenizeItem:
    return v1.DetokenizeItem(data_class=item.data_class, token=text_bytes(item.token, "the token").decode())


def _issued(result: v1.TokenizeResult) -> Optional[IssuedToken]:
    if not result.HasField("issued"):
        return None
    return IssuedToken(result.issued.token, result.issued.created, result.issued.expires_at_ms or None)


def _revealed(result: v1.DetokenizeResult) -> Optional[Revealed]:
    return Revealed(result.revealed.value) if result.HasField("revealed") else None


def _described(result: v1.DescribeTokenResult) -> Optional[TokenDescription]:
    if not result.HasField("described"):
        return None
    told = result.described
    return TokenDescription(
        told.format,
        told.created_at_ms if told.stored else None,
        told.expires_at_ms or None,
        told.uses if told.max_uses else None,
        told.max_uses or None,
    )


def _found(result: v1.FindTokenResult) -> Optional[FoundToken]:
    if not result.HasField("found"):
        return None
    return FoundToken(result.found.token, result.found.expires_at_ms or None)


_STATES = {
    v1.TOKEN_STATE_ACTIVE: TokenState.ACTIVE,
    v1.TOKEN_STATE_SUSPENDED: TokenState.SUSPENDED,
    v1.TOKEN_STATE_REVOKED: TokenState.REVOKED,
}


def _changed(result: v1.ChangeTokenResult) -> Optional[TokenLife]:
    life = result.changed
    if not result.HasField("changed") or life.state not in _STATES:
        return None
    return TokenLife(
        _STATES[life.state],
        life.not_before_ms or None,
        life.expires_at_ms or None,
        life.uses if life.max_uses else None,
        life.max_uses or None,
    )


TOKENIZE: Verb[NewValue, IssuedToken] = Verb(
    "Tokenize",
    True,
    _value,
    _issued,
    v1.TokenizeRequest,
    v1.TokenizeResponse,
    v1.TokenizeStreamRequest,
    v1.TokenizeStreamResponse,
)
# A token whose uses are counted is used up by a repeat that the vault can't tell from another call.
DETOKENIZE: Verb[HeldToken, Revealed] = Verb(
    "Detokenize",
    True,
    _token,
    _revealed,
    v1.DetokenizeRequest,
    v1.DetokenizeResponse,
    v1.DetokenizeStreamRequest,
    v1.DetokenizeStreamResponse,
)
DESCRIBE: Verb[HeldToken, TokenDescription] = Verb(
    "DescribeTokens", False, _token, _described, v1.DescribeTokensRequest, v1.DescribeTokensResponse
)

FIND: Verb[KnownValue, FoundToken] = Verb(
    "FindTokens", False, _known, _found, v1.FindTokensRequest, v1.FindTokensResponse
)


def _change(name: str, *also: Tuple[str, Any]) -> Verb[HeldToken, TokenLife]:
    return Verb(name, True, _token, _changed, v1.ChangeTokensRequest, v1.ChangeTokensResponse, also=also)


def renew(ttl_seconds: Optional[int]) -> Verb[HeldToken, TokenLife]:
    return _change("RenewTokens", ("ttl_seconds", _number(ttl_seconds, "ttl_seconds", _U64_MAX)))


SUSPEND = _change("SuspendTokens")
RESUME = _change("ResumeTokens")
REVOKE = _change("RevokeTokens")
