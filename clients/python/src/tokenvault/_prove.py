"""Entries of a log by their index, and proofs: that it holds an entry, and that it has only grown."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Iterable, List, Optional

from ._checkpoint import Checkpoint, leaf_hash
from ._errors import AnswerMalformed, Refused, TokenvaultError
from ._items import Receipt, Sealed
from .v1 import audit_service_pb2 as v1

ENTRY_PATH = "/tokenvault.v1.AuditService/GetEntry"
ENTRY_ANSWER = v1.GetEntryResponse
INCLUSION_PATH = "/tokenvault.v1.AuditService/GetInclusionProof"
INCLUSION_ANSWER = v1.GetInclusionProofResponse
CONSISTENCY_PATH = "/tokenvault.v1.AuditService/GetConsistencyProof"
CONSISTENCY_ANSWER = v1.GetConsistencyProofResponse


@dataclass(frozen=True)
class LogEntry:
    """One entry of a region's log.

    `entry` is what it says and `entry_bytes` what its leaf hash is of; both are None for an entry of another tenant,
    and for one that was pruned: those below `minimum_index` were. `receipt` is where the log holds the entry of this
    very question.
    """

    entry: Optional[v1.AccessLogEntry]
    entry_bytes: Optional[bytes]
    leaf_hash: bytes
    receipt: Receipt
    minimum_index: int = 0


@dataclass(frozen=True)
class ProvedEntry:
    """An entry that a log was shown to hold: its place, its leaf hash, the proof and the checkpoint of the tree."""

    index: int
    leaf_hash: bytes
    hashes: List[bytes]
    checkpoint: Checkpoint

    def file(self, entry_bytes: Optional[bytes] = None) -> str:
        """The proof as a file (c2sp.org/tlog-proof) that anybody can check offline.

        It holds the bytes of the entry, if they are to go with it.
        """
        lines = ["c2sp.org/tlog-proof@v1"]
        if entry_bytes is not None:
            lines.append(f"extra {_base64(entry_bytes)}")
        lines += [f"index {self.index}", *map(_base64, self.hashes), "", self.checkpoint.note]
        return "\n".join(lines)


def encode_entry(region: str, index: int, purpose: Optional[str], reference: Optional[str]) -> Sealed:
    message = v1.GetEntryRequest(region=region, purpose=purpose or "", reference=reference or "", index=index)
    return Sealed(message.SerializeToString())


def log_entry(answer: v1.GetEntryResponse) -> LogEntry:
    """Reads an entry, whose bytes have to be those of its hash."""
    leaf, receipt = read_hash(answer.leaf_hash), Receipt.read(answer.receipt)
    if not answer.HasField("entry"):
        return LogEntry(None, None, leaf, receipt, answer.minimum_index)
    if leaf_hash(answer.entry_bytes) != leaf:
        raise AnswerMalformed("the entry's bytes are not those of its hash")
    return LogEntry(answer.entry, answer.entry_bytes, leaf, receipt, answer.minimum_index)


def encode_inclusion(log: str, index: int, tree_size: int) -> Sealed:
    message = v1.GetInclusionProofRequest(region=log, index=index, tree_size=tree_size)
    return Sealed(message.SerializeToString())


def encode_consistency(log: str, old_size: int, new_size: int) -> Sealed:
    message = v1.GetConsistencyProofRequest(region=log, old_size=old_size, new_size=new_size)
    return Sealed(message.SerializeToString())


def is_out_of_tree(error: TokenvaultError) -> bool:
    """Whether a log says that it is shorter than a question takes it to be."""
    return isinstance(error, Refused) and any(found.field in ("index", "old_size") for found in error.violations)


def read_hash(found: bytes) -> bytes:
    """A hash of an answer."""
    if len(found) != 32:
        raise AnswerMalformed("a hash has not 32 bytes")
    return found


def read_hashes(found: Iterable[bytes]) -> List[bytes]:
    """The hashes of a proof."""
    return [read_hash(one) for one in found]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
