"""What goes into a call and what comes out of it. Nothing here shows a value, a subject or a token when printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, List, Optional, Tuple, TypeVar, Union, cast

from ._errors import AnswerMalformed, ConfigurationError, TokenvaultError
from .v1 import audit_service_pb2 as audit_v1

T = TypeVar("T")

_LEAF_BYTES = 32


class Idempotency(Enum):
    """How the vault recognises the repeat of a request, where the caller gives no key of its own."""

    #: The client names every request that could do something twice, so that its repeat makes no second token and is no
    #: second use of one.
    AUTOMATIC = "automatic"
    #: Nothing names it; such a request is then never repeated.
    OFF = "off"


@dataclass(frozen=True)
class CallContext:
    """Where, for whom and why a call is made.

    `audience` is who shall be able to reveal the tokens; for a reveal, the audience that the caller belongs to.
    `reference` is a free reference for the log, an order or a ticket. `idempotency` is a key of the caller, so that it
    can repeat the request itself, after a restart for instance (a batch that needs several calls names them `<key>/0`,
    `<key>/1` and so on), or one of `Idempotency`.
    """

    region: str
    audience: str
    purpose: Optional[str] = None
    reference: Optional[str] = None
    idempotency: Union[str, Idempotency] = Idempotency.AUTOMATIC


@dataclass(frozen=True)
class NewValue:
    """A value to be tokenized, with its data class; text is sent as UTF-8.

    `subject` is the person that it is about, for classes that are deterministic per subject. `ttl_seconds`,
    `not_before_ms` (milliseconds since 1970) and `max_uses` say how long, from when on and how often its token shall
    lead to it, within what the class allows; None is for as long as the class says, at once, as often as may be. A
    token that a deterministic class gives again keeps the life that it has.
    """

    data_class: str
    value: Union[bytes, str] = field(repr=False)
    subject: Optional[str] = field(default=None, repr=False)
    ttl_seconds: Optional[int] = None
    not_before_ms: Optional[int] = None
    max_uses: Optional[int] = None


@dataclass(frozen=True)
class IssuedToken:
    """A token, as the vault issued it.

    `created` is false if the vault had a live token for this value already, which is given again. `expires_at_ms` is
    when its lifetime ends, in milliseconds since 1970; None if it does not.
    """

    token: str = field(repr=False)
    created: bool
    expires_at_ms: Optional[int]


@dataclass(frozen=True)
class KnownValue:
    """A value whose token is wanted, of a class where the same value has the same token; text is sent as UTF-8.

    `subject` is the person that it is about, for classes that are deterministic per subject.
    """

    data_class: str
    value: Union[bytes, str] = field(repr=False)
    subject: Optional[str] = field(default=None, repr=False)


@dataclass(frozen=True)
class FoundToken:
    """A token that a value has already; it may be suspended, or its time be to come.

    `expires_at_ms` is when its lifetime ends, in milliseconds since 1970; None if it does not.
    """

    token: str = field(repr=False)
    expires_at_ms: Optional[int]


@dataclass(frozen=True)
class HeldToken:
    """A token that the caller holds, with the data class that it was issued for."""

    data_class: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Revealed:
    """A value that was revealed. Python can't wipe memory: keep no second name for it, and not for long."""

    value: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The value as text in UTF-8."""
        text = _decoded(self.value)
        if text is None:
            # Raised here, since a UnicodeDecodeError would hold the value.
            raise ValueError("the value is no text in UTF-8; take the bytes")
        return text


@dataclass(frozen=True)
class TokenDescription:
    """What the vault tells of a token beside its value; times in milliseconds since 1970.

    `format` is that of its data class. `created_at_ms` is None for a token that is computed, of which nothing is
    stored; `expires_at_ms` where its lifetime does not end; `uses` and `max_uses` where its uses are not counted.
    """

    format: str
    created_at_ms: Optional[int]
    expires_at_ms: Optional[int]
    uses: Optional[int] = None
    max_uses: Optional[int] = None


class TokenState(Enum):
    """What was set of a token."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


@dataclass(frozen=True)
class TokenLife:
    """How it stands with a token; times in milliseconds since 1970.

    It leads to its value while it is active, from `not_before_ms` (None: from the beginning) to `expires_at_ms` (None:
    for ever), until `uses` are as many as `max_uses` (None: they are not counted).
    """

    state: TokenState
    not_before_ms: Optional[int]
    expires_at_ms: Optional[int]
    uses: Optional[int]
    max_uses: Optional[int]


@dataclass(frozen=True)
class Receipt:
    """Where the log holds the entry of a call. Whoever keeps it can prove later that the entry was changed.

    `origin` is the name of the log, `index` the entry's place in it from 0, `leaf_hash` the entry's leaf hash
    (RFC 6962 section 2.1). `log_id` tells which log of that name it is: the leaf hash of its first entry, which no two
    logs share.
    """

    origin: str
    index: int
    leaf_hash: bytes
    log_id: bytes

    @staticmethod
    def read(receipt: audit_v1.Receipt) -> Receipt:
        """Reads the receipt of an answer."""
        hashes = (receipt.leaf_hash, receipt.log_id)
        if not receipt.origin or any(len(found) != _LEAF_BYTES for found in hashes):
            raise AnswerMalformed("its receipt is missing or malformed")
        return Receipt(receipt.origin, receipt.index, *hashes)


@dataclass(frozen=True)
class ItemResult(Generic[T]):
    """What became of one item: `get()` gives it, or raises `error`."""

    error: Optional[TokenvaultError]
    _output: Optional[T] = field(repr=False)

    @staticmethod
    def of(output: T) -> ItemResult[T]:
        return ItemResult(None, output)

    @staticmethod
    def failed(error: TokenvaultError) -> ItemResult[T]:
        return ItemResult(error, None)

    def get(self) -> T:
        """The result; raises why there is none."""
        if self.error is not None:
            raise self.error
        return cast(T, self._output)


@dataclass(frozen=True)
class CallMade:
    """One call of a batch: which items it carried, and how it ended.

    `items` are their places in the batch. `error` is why it was refused as a whole; then every item of it has that
    error. An attempt before the last one may have been carried out, and stand in the log.
    """

    items: range
    receipt: Optional[Receipt]
    error: Optional[TokenvaultError]
    request_id: Optional[str]
    attempts: int
    seconds: float


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The answer to a batch: a result for each item in order, and the calls that were made, in that order too."""

    results: List[ItemResult[T]]
    calls: List[CallMade]

    def get_all(self) -> List[T]:
        """The results of all items; raises the first item's error if one has none."""
        return [result.get() for result in self.results]

    @property
    def receipts(self) -> List[Receipt]:
        """The receipts of the calls that were carried out."""
        return [call.receipt for call in self.calls if call.receipt is not None]


class Sealed:
    """An encoded message. It is handed around in place of the message, so that no traceback shows what is in it."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    @staticmethod
    def open(sealed: Sealed) -> bytes:
        """What gRPC sends."""
        return sealed.encoded


class Hidden(List[T]):
    """A list that is not shown when printed."""

    def __repr__(self) -> str:
        return f"<{len(self)} items>"


#: The class and the number of bytes of an item that is encoded.
Measured = Tuple[str, int]


def value_bytes(value: object) -> bytes:
    """A value as messages have it."""
    if isinstance(value, str):
        return text_bytes(value, "the value")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise ConfigurationError("the value must be bytes or str")


def text_bytes(text: object, what: str) -> bytes:
    """A text in UTF-8. An error of Python's own would hold the text."""
    encoded = _encoded(text) if isinstance(text, str) else None
    if encoded is None:
        raise ConfigurationError(f"{what} must be a str of Unicode without lone surrogates")
    return encoded


def _encoded(text: str) -> Optional[bytes]:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return None


def _decoded(value: bytes) -> Optional[str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
