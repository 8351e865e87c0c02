"""The typed client of the Tokenvault: mutual TLS, deadlines, bounded repeats, decoded refusals, receipts.

    from tokenvault import CallContext, Client, ClientConfig, NewValue

    with Client(ClientConfig.from_environment()) as vault:
        context = CallContext(region="eu", audience="payments", purpose="bulk_load")
        answer = vault.tokenize(context, [NewValue("card_number", "4111111111111111")])
        token = answer.get_all()[0].token

`tokenvault.aio` has the same for asyncio. Nothing here decides about access, nothing keeps a value longer than its
call, and nothing that holds a value or a token shows it when printed.
"""

from ._audit import AccessLogCounts, AccessLogEntry, AccessLogFilter, AccessLogPage, AccessLogQuery
from ._checkpoint import NODE, Checkpoint, leaf_hash, verify_consistency, verify_inclusion
from ._client import AccessLogExport, AccessLogTail, Client
from ._client_credentials import ClientCredentials
from ._config import ClientConfig
from ._deny import DeniedToken
from ._errors import (
    AnswerMalformed,
    BudgetSpent,
    CertificateRefused,
    CheckpointRefuted,
    CircuitOpen,
    CommitConflict,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    Denied,
    ExportRefuted,
    IdempotencyKeyReused,
    InvalidRequest,
    LogContradicted,
    ProofRefuted,
    Refused,
    TokenNotFound,
    TokenUnavailable,
    TokenvaultError,
    TransportError,
    Unavailable,
    ValueNotFound,
    ValueRejected,
    Violation,
    WrongRegion,
)
from ._explain import AccessQuestion, ExplainedCaller, ExplainedToken, Explanation
from ._export import ExportAsked, ExportDone, ExportManifest, verify_export
from ._items import (
    Answer,
    CallContext,
    CallMade,
    FoundToken,
    HeldToken,
    Idempotency,
    IssuedToken,
    ItemResult,
    KnownValue,
    NewValue,
    Receipt,
    Revealed,
    TokenDescription,
    TokenLife,
    TokenState,
)
from ._prove import LogEntry, ProvedEntry
from ._tail import TailStep
from ._threads import Stream
from ._tokens import FileToken, StaticToken, TokenSource
from .aio import AsyncAccessLogExport, AsyncAccessLogTail, AsyncClient, AsyncStream

__all__ = [
    "NODE",
    "AccessLogCounts",
    "AccessLogEntry",
    "AccessLogExport",
    "AccessLogFilter",
    "AccessLogPage",
    "AccessLogQuery",
    "AccessLogTail",
    "AccessQuestion",
    "Answer",
    "AnswerMalformed",
    "AsyncAccessLogExport",
    "AsyncAccessLogTail",
    "AsyncClient",
    "AsyncStream",
    "BudgetSpent",
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
    "ExportAsked",
    "ExportDone",
    "ExportManifest",
    "ExportRefuted",
    "FileToken",
    "FoundToken",
    "HeldToken",
    "Idempotency",
    "IdempotencyKeyReused",
    "InvalidRequest",
    "IssuedToken",
    "ItemResult",
    "KnownValue",
    "LogContradicted",
    "LogEntry",
    "NewValue",
    "ProofRefuted",
    "ProvedEntry",
    "Receipt",
    "Refused",
    "Revealed",
    "StaticToken",
    "Stream",
    "TailStep",
    "TokenDescription",
    "TokenLife",
    "TokenNotFound",
    "TokenSource",
    "TokenState",
    "TokenUnavailable",
    "TokenvaultError",
    "TransportError",
    "Unavailable",
    "ValueNotFound",
    "ValueRejected",
    "Violation",
    "WrongRegion",
    "leaf_hash",
    "verify_consistency",
    "verify_export",
    "verify_inclusion",
]
__version__ = "0.1.0"
