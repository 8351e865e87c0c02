"""Signed notes, checkpoints and the proofs that hold them against each other (C2SP, RFC 6962)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from ._ed25519 import verify
from ._errors import AnswerMalformed, CheckpointRefuted, ProofRefuted
from ._items import Sealed
from .v1 import audit_service_pb2 as v1

CHECKPOINT_PATH = "/tokenvault.v1.AuditService/GetCheckpoint"
CHECKPOINT_ANSWER = v1.GetCheckpointResponse

#: The name under which the node's own log is asked for a checkpoint.
NODE = "node"

# The longest note that is read, in bytes.
_NOTE_BYTES_MAX = 256 * 1024
# The kind of key and signature that notes have (c2sp.org/signed-note): Ed25519.
_ED25519 = 1
_HASH_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose signature was checked.

    `note` is the signed note as it came, `verifier_key` the key that it was checked with; `origin`, `size` and `root`
    are what it states. `witnessed` is the newest checkpoint that the vault's witnesses have cosigned, where it came
    with this one and the same key signed it: whose cosignatures they are is for the reader to verify. Entries below
    `minimum_index` were pruned, by the vault's word, where that came with the checkpoint.
    """

    note: str
    verifier_key: str
    origin: str
    size: int
    root: bytes
    witnessed: Optional[str] = None
    minimum_index: Optional[int] = None

    @staticmethod
    def open(note: str, verifier_key: str) -> Checkpoint:
        """Reads a checkpoint that was kept (c2sp.org/tlog-checkpoint), once its signature is checked."""
        name, text = open_note(note, verifier_key)
        lines = text.split("\n")
        is_number = len(lines) > 2 and lines[1].isascii() and lines[1].isdigit() and str(int(lines[1])) == lines[1]
        if lines[0] != name or not is_number:
            raise CheckpointRefuted("it is no checkpoint of the key's log")
        size, root = int(lines[1]), _base64(lines[2])
        if len(root) != _HASH_BYTES or (size == 0 and root != hashlib.sha256().digest()):
            raise CheckpointRefuted("its root is none of a tree of its size")
        return Checkpoint(note, verifier_key, name, size, root)


def open_note(note: str, verifier_key: str) -> Tuple[str, str]:
    """The name of a key and the text of a note (c2sp.org/signed-note) that it has signed."""
    name, key = _verifier_key(verifier_key)
    identity = _identity(name, key)
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n") or len(note) > _NOTE_BYTES_MAX:
        raise CheckpointRefuted("it is no signed note")
    body = (text + "\n").encode()
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        if dash == "\u2014" and signer == name:
            signature = _base64(encoded)
            if hmac.compare_digest(signature[:4], identity) and verify(key, body, signature[4:]):
                return name, text
    raise CheckpointRefuted("no signature is one of the key")


def encode_checkpoint(log: str) -> Sealed:
    return Sealed(v1.GetCheckpointRequest(region=log).SerializeToString())


def verified(log: str, note: str, stated: str, pinned: Optional[str]) -> Checkpoint:
    """Verifies a checkpoint of a log by a pinned key; without one by the key that the vault states itself."""
    checkpoint = Checkpoint.open(note, pinned if pinned is not None else stated)
    # `<vault>/audit/<log>/…`
    if checkpoint.origin.split("/")[2:3] != [log]:
        raise CheckpointRefuted("it is of another log")
    return checkpoint


def witnessed(answer: v1.GetCheckpointResponse, newest: Checkpoint) -> Optional[str]:
    """The cosigned checkpoint that came with another one, if it is of its log."""
    if not answer.witnessed_checkpoint:
        return None
    if Checkpoint.open(answer.witnessed_checkpoint, newest.verifier_key).size > newest.size:
        raise AnswerMalformed("the witnessed checkpoint is larger than the newest one")
    return answer.witnessed_checkpoint


def leaf_hash(entry: bytes) -> bytes:
    """The leaf hash of an entry's bytes (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def verify_inclusion(tree: Checkpoint, index: int, leaf: bytes, hashes: Sequence[bytes]) -> None:
    """Raises ProofRefuted unless the tree has this leaf at this index (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < tree.size:
        raise ProofRefuted("the tree of that size has no such position")
    at, last, root = index, tree.size - 1, leaf
    for beside in hashes:
        if last == 0:
            raise ProofRefuted("it has more hashes than its tree has levels")
        if at & 1 or at == last:
            root = _node(beside, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = _node(root, beside)
        at, last = at >> 1, last >> 1
    if last != 0 or root != tree.root:
        raise ProofRefuted("it does not show that the tree holds this entry at this index")


def verify_consistency(older: Checkpoint, later: Checkpoint, hashes: Sequence[bytes]) -> None:
    """Raises ProofRefuted unless the later tree begins with the older one (RFC 9162 section 2.1.4.2)."""
    if not _is_consistent(older, later, list(hashes)):
        raise ProofRefuted("it does not show that the newer tree continues the older one")


def _is_consistent(older: Checkpoint, later: Checkpoint, hashes: List[bytes]) -> bool:
    if older.size >= later.size or older.size == 0:
        is_same = older.size == later.size and older.root == later.root
        return not hashes and (is_same or (older.size == 0 and later.size > 0))
    if older.size & (older.size - 1) == 0:
        # A whole tree: its root is where the proof begins, and is left out.
        hashes.insert(0, older.root)
    if not hashes:
        return False
    at, last = older.size - 1, later.size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = _node(beside, before), _node(beside, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = _node(after, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and before == older.root and after == later.root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


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
