"""What can go wrong, told apart by what the caller can do about it. Texts never repeat a value, a token or a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Type, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

# The domain of the vault's own ErrorInfo; what bears another one was said by something in between.
DOMAIN = "tokenvault"
# The metadata under which every answer of the vault carries its request id.
REQUEST_ID = "tokenvault-request-id"
# The metadata that holds a google.rpc.Status.
STATUS_DETAILS = "grpc-status-details-bin"

_CODES: Dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# What gRPC's own library and proxies say when a connection breaks; INTERNAL stands for streams that were reset.
_OF_TRANSPORT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
)

_M = TypeVar("_M", bound=Message)


class TokenvaultError(Exception):
    """Why a call, or one item of it, has no result."""

    #: Whether the same request can succeed a little later.
    is_passing: bool = False
    #: The seconds that the vault asks to wait, if it does.
    retry_after: Optional[float] = None
    #: The id under which the vault's logs know the call, if the vault answered.
    request_id: Optional[str] = None


class ConfigurationError(TokenvaultError):
    """The client or the call is not put together as it must be; nothing was sent."""


class ConnectError(TokenvaultError):
    """There is no connection to the vault; nothing was sent."""


class TransportError(TokenvaultError):
    """The connection broke, or something between us and the vault answered in its place."""

    is_passing = True


class CertificateRefused(TokenvaultError):
    """The vault does not accept our certificate; what was sent was not read."""


class CircuitOpen(TokenvaultError):
    """The endpoint did not answer several times in a row; nothing was sent, to give it time."""

    is_passing = True


class DeadlineExceeded(TokenvaultError):
    """The call's deadline passed before there was an answer; whether it was carried out is not known."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"no answer within {round(seconds * 1000)} ms; allow more time, and repeat with the same idempotency key"
        )


class AnswerMalformed(TokenvaultError):
    """The vault's answer is not one to the request."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the answer of the vault makes no sense: {what}; is the client older than the vault?")


class CheckpointRefuted(TokenvaultError):
    """A checkpoint does not verify. Keep it: it is evidence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the checkpoint does not verify: {why}")


class ProofRefuted(TokenvaultError):
    """The log does not hold what it held, or not what a receipt says. Keep receipt and checkpoint as evidence."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the proof does not verify: {why}")


class LogContradicted(TokenvaultError):
    """The log is not the one that was seen before: rolled back, written anew, or another was put in its place."""

    #: The log.
    origin: str
    #: The size of the newest tree that was seen.
    size: int

    def __init__(self, origin: str, size: int, why: str) -> None:
        seen = f"what was seen of it at size {size}"
        super().__init__(f"the log {origin} contradicts {seen}: {why}; keep both checkpoints")
        self.origin = origin
        self.size = size


class ExportRefuted(TokenvaultError):
    """A file that was exported, or its manifest, does not verify."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the export does not verify: {why}")


class TokenUnavailable(TokenvaultError):
    """There is no access token to show; nothing was sent to the vault."""

    def __init__(self, problem: str, is_passing: bool = False) -> None:
        super().__init__(problem)
        self.is_passing = is_passing


@dataclass(frozen=True)
class Violation:
    """A field of a request that breaks its rule."""

    field: str
    rule: str


class Refused(TokenvaultError):
    """The vault refused the call or the item. Programs match on the class or on `reason`, never on the text."""

    #: The gRPC code.
    code: grpc.StatusCode
    #: The reason's name, as docs/ERRORS.md lists them. Empty if the vault named none.
    reason: str
    #: What happened, and what to do about it, for people.
    message: str
    #: Which fields break which rules.
    violations: Tuple[Violation, ...]
    #: What belongs to the reason: `rule` of VALUE_REJECTED, `region` and `endpoint` of WRONG_REGION.
    metadata: Mapping[str, str]

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        request_id: Optional[str] = None,
        violations: Sequence[Violation] = (),
        retry_after: Optional[float] = None,
        metadata: Optional[Mapping[str, str]] = None,
    ) -> None:
        named = ", ".join(filter(None, [reason, f"request {request_id}" if request_id else ""]))
        super().__init__(f"{message} ({named})" if named else message)
        self.code = code
        self.message = message
        self.reason = reason
        self.request_id = request_id
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})
        self.is_passing = code == grpc.StatusCode.UNAVAILABLE or reason in ("COMMIT_CONFLICT", "RATE_LIMITED")


class InvalidRequest(Refused):
    """The request is not one that the vault takes; `violations` says which fields."""


class ValueRejected(InvalidRequest):
    """The value is none of its data class."""

    @property
    def rule(self) -> str:
        """The rule that it breaks: `luhn`."""
        return self.metadata.get("rule", "")


class Denied(Refused):
    """The caller is not known, or may not do this."""


class TokenNotFound(Refused):
    """The vault has no such token for this caller: another class, audience or tenant, expired, or unknown."""


class WrongRegion(Refused):
    """What is asked for lives in a region that is not served here."""

    @property
    def region(self) -> str:
        """The region, if the vault names it."""
        return self.metadata.get("region", "")

    @property
    def endpoint(self) -> str:
        """Where it is served, if the vault names it."""
        return self.metadata.get("endpoint", "")


class IdempotencyKeyReused(Refused):
    """The key was used for a request with other content."""


class ValueNotFound(Refused):
    """The value has no live token of this data class for this audience."""


class BudgetSpent(Refused):
    """The caller's budget for this data class and purpose is spent; `retry_after` says when there is room again."""


class CommitConflict(Refused):
    """Other calls kept changing the same records; the whole call may be tried again."""


class Unavailable(Refused):
    """The vault is busy, shuts down or can't write its log; it passes."""


_BY_REASON: Dict[str, Type[Refused]] = {
    "VALUE_REJECTED": ValueRejected,
    "VALUE_TOO_LARGE": ValueRejected,
    "TOKEN_NOT_FOUND": TokenNotFound,
    "VALUE_NOT_FOUND": ValueNotFound,
    "BUDGET_SPENT": BudgetSpent,
    "WRONG_REGION": WrongRegion,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReused,
    "COMMIT_CONFLICT": CommitConflict,
}
_BY_CODE: Dict[grpc.StatusCode, Type[Refused]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.PERMISSION_DENIED: Denied,
    grpc.StatusCode.UNAUTHENTICATED: Denied,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
}


def of_item(status: status_pb2.Status, request_id: Optional[str]) -> Refused:
    """Reads the status of an item in the answer to a call."""
    info = _detail(status, error_details_pb2.ErrorInfo)
    by_vault = info.domain == DOMAIN
    reason = info.reason if by_vault else ""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    retry = _detail(status, error_details_pb2.RetryInfo)
    bad = _detail(status, error_details_pb2.BadRequest)
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code, Refused)
    return kind(
        code,
        status.message,
        reason=reason,
        request_id=_detail(status, error_details_pb2.RequestInfo).request_id or request_id,
        violations=[Violation(field.field, field.description) for field in bad.field_violations],
        retry_after=_seconds(retry) if retry.HasField("retry_delay") else None,
        metadata=dict(info.metadata) if by_vault else {},
    )


def of_call(error: Any, deadline: float) -> TokenvaultError:
    """Reads the error of a call that had this deadline. `error` is gRPC's, of a thread's or of a task's call."""
    code: grpc.StatusCode = error.code()
    # The metadata of an answer's beginning do not count: its end is somebody else's when the connection breaks.
    request_id = request_id_of(error.trailing_metadata())
    status = _status(error)
    by_vault = bool(request_id) or _detail(status, error_details_pb2.ErrorInfo).domain == DOMAIN
    if by_vault:
        return of_item(status, request_id or request_id_of(error.initial_metadata()))
    problem = " ".join((error.details() or "it says no more").split())
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(deadline)
    if code in _OF_TRANSPORT:
        return _of_handshake(problem) or TransportError(f"no answer from the vault: {problem}")
    return of_item(status, request_id)


def request_id_of(metadata: Any) -> Optional[str]:
    """The request id that an answer's metadata carry."""
    for name, value in metadata or ():
        if name == REQUEST_ID and isinstance(value, str):
            return value
    return None


def _status(error: Any) -> status_pb2.Status:
    """The google.rpc.Status of an error; where there is none, one of its code and text."""
    code: int = error.code().value[0]
    for name, value in error.trailing_metadata() or ():
        if name == STATUS_DETAILS and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                break
            # gRPC's own code decides, whatever the details state.
            if status.code == code:
                return status
    return status_pb2.Status(code=code, message=error.details() or "")


def _detail(status: status_pb2.Status, kind: Type[_M]) -> _M:
    """The detail of a kind; an empty one if there is none."""
    for packed in status.details:
        if packed.Is(kind.DESCRIPTOR):
            try:
                return kind.FromString(packed.value)
            except DecodeError:
                break
    return kind()


def _seconds(retry: error_details_pb2.RetryInfo) -> float:
    return max(0.0, float(retry.retry_delay.seconds) + float(retry.retry_delay.nanos) / 1e9)


def _of_handshake(problem: str) -> Optional[TokenvaultError]:
    """What gRPC's texts tell of a connection that was not made, where trying again is of no use.

    In TLS 1.3 the server refuses our certificate by an alert after our side of the handshake is done; gRPC calls that
    alert corrupted data.
    """
    if "TSI_DATA_CORRUPTED" in problem:
        return CertificateRefused(
            "the vault refuses the client certificate: show one of a client CA that it is configured with"
        )
    if "CERTIFICATE_VERIFY_FAILED" in problem:
        return ConnectError("the server's certificate is from none of the configured authorities; nothing was sent")
    if "Failed to create security handshaker" in problem:
        return ConfigurationError("the client key does not belong to the client certificate, or one of them is broken")
    return None
