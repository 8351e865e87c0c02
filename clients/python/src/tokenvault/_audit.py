"""Who saw what: the access log of a region, and its checkpoints."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional, Tuple, Union

from ._ed25519 import verify
from ._errors import CheckpointRefuted
from ._items import Receipt, Sealed, text_bytes
from .v1 import audit_service_pb2 as v1

QUERY_PATH = "/tokenvault.v1.AuditService/QueryAccessLog"
QUERY_ANSWER = v1.QueryAccessLogResponse
COUNT_PATH = "/tokenvault.v1.AuditService/CountAccessLog"
COUNT_ANSWER = v1.CountAccessLogResponse
CHECKPOINT_PATH = "/tokenvault.v1.AuditService/GetCheckpoint"
CHECKPOINT_ANSWER = v1.GetCheckpointResponse

#: The name under which the node's own log is asked for a checkpoint.
NODE = "node"

# The kind of key and signature that checkpoints have (c2sp.org/signed-note): Ed25519.
_ED25519 = 1

#: An entry of the access log, as the contract states it: its words are the server's, which may be newer than ours.
AccessLogEntry = v1.AccessLogEntry


@dataclass(frozen=True)
class AccessLogQuery:
    """A question to the log of a region. What is None matches everything; times in milliseconds since 1970.

    `from_ms` is at or after, `until_ms` before that log time. `token` needs `data_class`. `page_size` is 1 to 1000, the
    vault's default if None; `page_token` is where to go on, as the page before said it. `purpose` and `reference` are
    those of the question; `entry_purpose` and `entry_reference` those of the entries that are looked for. `source` is
    an address or a network in CIDR notation. `oldest_first` turns the order around.
    """

    region: str
    purpose: Optional[str] = None
    reference: Optional[str] = None
    from_ms: Optional[int] = None
    until_ms: Optional[int] = None
    principal: Optional[str] = None
    action: Optional[str] = None
    decision: Optional[str] = None
    data_class: Optional[str] = None
    token: Optional[str] = field(default=None, repr=False)
    page_size: Optional[int] = None
    page_token: Optional[str] = None
    audience: Optional[str] = None
    entry_purpose: Optional[str] = None
    entry_reference: Optional[str] = None
    reason: Optional[str] = None
    source: Optional[str] = None
    request_id: Optional[str] = None
    oldest_first: bool = False


@dataclass(frozen=True)
class AccessLogCounts:
    """How many entries meet a question.

    `counts` is how they divide: by name, or by the first millisecond of an hour since 1970; empty if that was not
    asked. `entries` is their sum, each once; `entries_read` how many the vault read to tell: all others it counted by
    the log's index. `receipts` is where the log holds the entries of this very question, one for each part.
    """

    counts: Dict[Union[str, int], int]
    entries: int
    entries_read: int
    log_size: int
    receipts: List[Receipt]


@dataclass(frozen=True)
class AccessLogPage:
    """A page of entries, in the order that was asked for.

    A page can be empty and still have a next one. `next_page_token` is None on the last page; `log_size` is the size of
    the log that the answer was taken from; `receipt` is where the log holds the entry of this very question.
    """

    entries: List[v1.AccessLogEntry]
    next_page_token: Optional[str]
    log_size: int
    receipt: Receipt


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose signature was checked.

    `note` is the signed note as it came, `verifier_key` the key that it was checked with; `origin`, `size` and `root`
    are what it states.
    """

    note: str
    verifier_key: str
    origin: str
    size: int
    root: bytes


def encode(query: AccessLogQuery) -> Sealed:
    """A question as messages have it."""
    message = v1.QueryAccessLogRequest(
        region=query.region,
        purpose=query.purpose or "",
        reference=query.reference or "",
        from_ms=query.from_ms or 0,
        until_ms=query.until_ms or 0,
        principal=query.principal or "",
        action=query.action or "",
        decision=query.decision or "",
        data_class=query.data_class or "",
        token=text_bytes(query.token or "", "the token").decode(),
        page_size=query.page_size or 0,
        page_token=query.page_token or "",
        audience=query.audience or "",
        entry_purpose=query.entry_purpose or "",
        entry_reference=query.entry_reference or "",
        reason=query.reason or "",
        source=query.source or "",
        request_id=query.request_id or "",
        oldest_first=query.oldest_first,
    )
    return Sealed(message.SerializeToString())


def encode_count(query: AccessLogQuery, by: Optional[str], page_token: str) -> Sealed:
    """A question for counts as messages have it."""
    message = v1.CountAccessLogRequest(
        region=query.region,
        purpose=query.purpose or "",
        reference=query.reference or "",
        from_ms=query.from_ms or 0,
        until_ms=query.until_ms or 0,
        principal=query.principal or "",
        action=query.action or "",
        decision=query.decision or "",
        data_class=query.data_class or "",
        token=text_bytes(query.token or "", "the token").decode(),
        audience=query.audience or "",
        entry_purpose=query.entry_purpose or "",
        entry_reference=query.entry_reference or "",
        reason=query.reason or "",
        source=query.source or "",
        request_id=query.request_id or "",
        group_by=by or "",
        page_token=page_token,
    )
    return Sealed(message.SerializeToString())


def add_part(counts: AccessLogCounts, part: v1.CountAccessLogResponse, by: Optional[str]) -> AccessLogCounts:
    """Counts with those of one more part."""
    divided = dict(counts.counts)
    for count in part.counts:
        key = count.hour_ms if by == "hour" else count.name
        divided[key] = divided.get(key, 0) + count.entries
    return AccessLogCounts(
        divided,
        counts.entries + part.entries,
        counts.entries_read + part.entries_read,
        part.log_size,
        [*counts.receipts, Receipt.read(part.receipt)],
    )


def page(answer: v1.QueryAccessLogResponse) -> AccessLogPage:
    """Reads a page."""
    receipt = Receipt.read(answer.receipt)
    return AccessLogPage(list(answer.entries), answer.next_page_token or None, answer.log_size, receipt)


def next_page(query: AccessLogQuery, answer: AccessLogPage) -> Optional[AccessLogQuery]:
    """The question for the page after this one, if there is one."""
    if answer.next_page_token is None:
        return None
    return replace(query, page_token=answer.next_page_token)


def encode_checkpoint(log: str) -> Sealed:
    return Sealed(v1.GetCheckpointRequest(region=log).SerializeToString())


def verified(answer: v1.GetCheckpointResponse, log: str, pinned: Optional[str]) -> Checkpoint:
    """Verifies a checkpoint by a pinned key; without one by the key that the vault states itself."""
    verifier_key = pinned if pinned is not None else answer.verifier_key
    origin, size, root = open_checkpoint(answer.checkpoint, verifier_key)
    # `<vault>/audit/<log>/…`
    if origin.split("/")[2:3] != [log]:
        raise CheckpointRefuted("it is of another log")
    return Checkpoint(answer.checkpoint, verifier_key, origin, size, root)


def open_checkpoint(note: str, verifier_key: str) -> Tuple[str, int, bytes]:
    """Origin, size and root of a signed note (c2sp.org/tlog-checkpoint), once its signature is checked."""
    name, key = _verifier_key(verifier_key)
    identity = _identity(name, key)
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise CheckpointRefuted("it is no signed note")
    body = (text + "\n").encode()
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if dash == "\u2014" and signer == name:
            signature = _base64(encoded)
            if hmac.compare_digest(signature[:4], identity) and verify(key, body, signature[4:]):
                return _statement(text, name)
    raise CheckpointRefuted("no signature is one of the key")


def _statement(text: str, name: str) -> Tuple[str, int, bytes]:
    lines = text.split("\n")
    if len(lines) < 3 or lines[0] != name or not lines[1].isascii() or not lines[1].isdigit():
        raise CheckpointRefuted("it is no checkpoint of the key's log")
    root = _base64(lines[2])
    if len(root) != hashlib.sha256().digest_size:
        raise CheckpointRefuted("its root is no hash")
    return lines[0], int(lines[1]), root


def _verifier_key(text: str) -> Tuple[str, bytes]:
    """The name and the public key of `<name>+<8 hex digits>+<base64>`."""
    name, _, rest = text.partition("+")
    digits, _, encoded = rest.partition("+")
    raw = _base64(encoded)
    if len(raw) != 33 or raw[0] != _ED25519 or digits.lower() != _identity(name, raw[1:]).hex():
        raise CheckpointRefuted("the verifier key is none")
    return name, raw[1:]


def _identity(name: str, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([_ED25519]) + key).digest()[:4]


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointRefuted("it holds no base64 where it should") from None
