"""The typed client of the Tokenvault: mutual TLS, deadlines, bounded repeats, decoded refusals, receipts.

    from tokenvault import CallContext, Client, ClientConfig, NewValue

    with Client(ClientConfig.from_environment()) as vault:
        context = CallContext(region="eu", audience="payments", purpose="bulk_load")
        answer = vault.tokenize(context, [NewValue("card_number", "4111111111111111")])
        token = answer.get_all()[0].token

`tokenvault.aio` has the same for asyncio. Nothing here decides about access, nothing keeps a value longer than its
call, and nothing that holds a value or a token shows it when printed.
"""

from ._audit import NODE, AccessLogCounts, AccessLogEntry, AccessLogPage, AccessLogQuery, Checkpoint
from ._client import Client
from ._client_credentials import ClientCredentials
from ._config import ClientConfig
from ._deny import DeniedToken
from ._errors import (
    AnswerMalformed,
    CertificateRefused,
    CheckpointRefuted,
    CircuitOpen,
    CommitConflict,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    Denied,
    IdempotencyKeyReused,
    InvalidRequest,
    Refused,
    TokenNotFound,
    TokenUnavailable,
    TokenvaultError,
    TransportError,
    Unavailable,
    ValueRejected,
    Violation,
    WrongRegion,
)
from ._explain import AccessQuestion, ExplainedCaller, ExplainedToken, Explanation
from ._items import (
    Answer,
    CallContext,
    CallMade,
    HeldToken,
    Idempotency,
    IssuedToken,
    ItemResult,
    NewValue,
    Receipt,
    Revealed,
    TokenDescription,
)
from ._threads import Stream
from ._tokens import FileToken, StaticToken, TokenSource
from .aio import AsyncClient, AsyncStream

__all__ = [
    "NODE",
    "AccessLogCounts",
    "AccessLogEntry",
    "AccessLogPage",
    "AccessLogQuery",
    "AccessQuestion",
    "Answer",
    "AnswerMalformed",
    "AsyncClient",
    "AsyncStream",
    "CallContext",
    "CallMade",
    "CertificateRefused",
    "Checkpoint",
    "CheckpointRefuted",
    "CircuitOpen",
    "Client",
    "ClientConfig",
    "ClientCredentials",
    "CommitConflict",
    "ConfigurationError",
    "ConnectError",
    "DeadlineExceeded",
    "Denied",
    "DeniedToken",
    "ExplainedCaller",
    "ExplainedToken",
    "Explanation",
    "FileToken",
    "HeldToken",
    "Idempotency",
    "IdempotencyKeyReused",
    "InvalidRequest",
    "IssuedToken",
    "ItemResult",
    "NewValue",
    "Receipt",
    "Refused",
    "Revealed",
    "StaticToken",
    "Stream",
    "TokenDescription",
    "TokenNotFound",
    "TokenSource",
    "TokenUnavailable",
    "TokenvaultError",
    "TransportError",
    "Unavailable",
    "ValueRejected",
    "Violation",
    "WrongRegion",
]
__version__ = "0.1.0"
