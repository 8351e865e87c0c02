"""A part of the access log as a file, with the manifest that the log's key has signed (docs/EXPORT.md)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Dict, Mapping, Optional, Type, TypeVar

from ._audit import AccessLogQuery, encode_filter
from ._checkpoint import Checkpoint, open_note
from ._config import PathOrText
from ._connections import Connections
from ._errors import AnswerMalformed, CheckpointRefuted, ConfigurationError, ExportRefuted, TransportError
from ._items import Receipt, Sealed
from ._verb import parse
from .v1 import audit_service_pb2 as v1

EXPORT_PATH = "/tokenvault.v1.AuditService/ExportAccessLog"
EXPORT_ANSWER = v1.ExportAccessLogResponse

#: What stands behind a file's name for its manifest.
MANIFEST_ENDING = ".manifest"

# The first line of what is signed.
_CONTEXT = "tokenvault access log export v1"
_HASH = re.compile(r"[0-9a-f]{64}\Z")
_READ_BYTES = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True)
class ExportAsked:
    """Who asked for an export, when and why, and where the log says so.

    `at_ms` is by the vault's wall clock, in milliseconds since 1970; `index` and `leaf_hash` are those of the entry.
    """

    principal: str
    tenant: str
    purpose: str
    reference: str
    request_id: str
    at_ms: int
    index: int
    leaf_hash: bytes


@dataclass(frozen=True)
class ExportManifest:
    """What was exported, for whom, and where in the log that stands. `open` checks its signature.

    Entries from `from_index` on and before `until_index` were looked at; `filters` names what was asked for beside
    that, a token by its keyed hash. The file has `length_bytes` with this `sha256`, and holds so many `entries` in so
    many `rows`. `checkpoint` covers the range and the entry of the asking.
    """

    origin: str
    log_id: bytes
    checkpoint: Checkpoint
    from_index: int
    until_index: int
    filters: Mapping[str, str]
    format: str
    entries: int
    rows: int
    length_bytes: int
    sha256: bytes
    asked: ExportAsked

    @staticmethod
    def open(note: str, verifier_key: str) -> ExportManifest:
        """Reads a manifest, once its signature and that of the checkpoint in it are checked, and what it says can be.

        It needs no vault: `verifier_key` is the log's key, got by another way.
        """
        name, text = open_note(note, verifier_key)
        context, _, body = text.partition("\n")
        if context != _CONTEXT:
            raise ExportRefuted("the manifest's first line must say what it is")
        manifest = _read(body, verifier_key)
        own = manifest.asked.index
        if manifest.origin != name:
            raise ExportRefuted("the manifest's origin must be the name that it is signed under")
        # The range ends before the asking, and the checkpoint came after it.
        if not manifest.from_index <= manifest.until_index <= own < manifest.checkpoint.size:
            raise ExportRefuted("range and receipt must lie within the tree of the manifest's checkpoint")
        if manifest.entries > manifest.until_index - manifest.from_index:
            raise ExportRefuted("the manifest counts more entries than its range has")
        return manifest

    def verify(self, file: BinaryIO) -> None:
        """Raises ExportRefuted unless the file has the bytes that the manifest speaks of."""
        bytes_read, digest = 0, hashlib.sha256()
        while chunk := file.read(_READ_BYTES):
            bytes_read += len(chunk)
            digest.update(chunk)
        self._check(bytes_read, digest.digest())

    def _check(self, bytes_read: int, digest: bytes) -> None:
        if (bytes_read, digest) != (self.length_bytes, self.sha256):
            raise ExportRefuted("the file has not the bytes that the manifest speaks of")


@dataclass(frozen=True)
class ExportDone:
    """A whole export: the manifest as it came, what it says, and the key that it was checked with."""

    note: str
    manifest: ExportManifest
    verifier_key: str


def verify_export(path: PathOrText, verifier_key: str) -> ExportManifest:
    """Verifies a file that was exported by the manifest beside it, without a vault; gives what the manifest says.

    `verifier_key` is the log's key, got by another way.
    """
    file = Path(path)
    note = file.with_name(file.name + MANIFEST_ENDING).read_text(encoding="utf-8")
    manifest = ExportManifest.open(note, verifier_key)
    with file.open("rb") as opened:
        manifest.verify(opened)
    return manifest


def encode(query: AccessLogQuery, form: str, from_index: int, until_index: Optional[int]) -> Sealed:
    """A question for an export as messages have it."""
    message = v1.ExportAccessLogRequest(
        region=query.region,
        purpose=query.purpose or "",
        reference=query.reference or "",
        filter=encode_filter(query.filter),
        format=form,
        from_index=from_index,
        until_index=until_index,
    )
    return Sealed(message.SerializeToString())


class Exporting:
    """An export under way, apart from threads and tasks."""

    def __init__(self, connections: Connections, region: str, request: Sealed, pinned: Optional[str]) -> None:
        self._connections = connections
        self._region = region
        self._request = request
        self._pinned = pinned
        self._call: Any = None
        self._bytes = 0
        self._hash = hashlib.sha256()
        self.receipt: Optional[Receipt] = None
        self.done: Optional[ExportDone] = None

    async def begin(self) -> None:
        """Opens it. An export that is cut is worth nothing, and not repeated."""
        await self._connections.demand_growth(self._region, None)
        self._call, first = await self._connections.answers(self._region, EXPORT_PATH, self._request)
        message = parse(EXPORT_ANSWER, first)
        self.receipt = Receipt.read(message.receipt)
        if message.data:
            raise AnswerMalformed("bytes came with the receipt")

    async def next(self) -> Optional[bytes]:
        """The next bytes of the file; None at its end, when the manifest is there and speaks of them."""
        while self.done is None:
            if self._call is None:
                raise TransportError("the export was closed")
            message = parse(EXPORT_ANSWER, await self._connections.next_answer(self._call))
            if message.manifest:
                self.done = self._finish(message)
                self.close()
            elif message.data:
                self._bytes += len(message.data)
                self._hash.update(message.data)
                data: bytes = message.data
                return data
        return None

    def _finish(self, message: v1.ExportAccessLogResponse) -> ExportDone:
        verifier_key = self._pinned if self._pinned is not None else message.verifier_key
        manifest = ExportManifest.open(message.manifest, verifier_key)
        if (manifest.length_bytes, manifest.sha256) != (self._bytes, self._hash.digest()):
            raise AnswerMalformed("the manifest is not of the bytes that came")
        asked, own = manifest.asked, self.receipt
        if own is None or Receipt(manifest.origin, asked.index, asked.leaf_hash, manifest.log_id) != own:
            raise AnswerMalformed("the manifest is not of this call")
        return ExportDone(message.manifest, manifest, verifier_key)

    async def save(self, path: PathOrText) -> ExportDone:
        """Writes the file and its manifest; both come into being when the export is whole."""
        io = self._connections.io
        target = Path(path)
        manifest = target.with_name(target.name + MANIFEST_ENDING)
        # What stands in the way is told before anything is written.
        for there in (target, manifest):
            if os.path.lexists(there):
                raise ConfigurationError(f"{there} is there already: name another file")
        with _Part(target) as part, _Part(manifest) as note:
            while (data := await self.next()) is not None:
                await io.blocking(partial(part.file.write, data))
            if self.done is None:
                raise AssertionError("it has just ended")
            note.file.write(self.done.note.encode())
            # The manifest last: a file without one is known not to be whole.
            await io.blocking(part.finish)
            await io.blocking(note.finish)
        return self.done

    def close(self) -> None:
        """Ends it."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class _Part:
    """A file that is being written under a name of its own, and gets its name when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        # A link is not followed, and what another export is writing is left to it. Its owner alone may read it.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self.file: BinaryIO = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        except FileExistsError:
            raise ConfigurationError(f"{self._part} is there: remove it if no export is at work") from None

    def finish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        # Unlike a rename it does not replace what came into being meanwhile; the part goes when this is left.
        os.link(self._part, self._path)

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *_: Any) -> None:
        self.file.close()
        with contextlib.suppress(OSError):
            self._part.unlink()


def _read(body: str, verifier_key: str) -> ExportManifest:
    try:
        found = json.loads(body)
        asked, within = found["asked"], found["range"]
        receipt = asked["receipt"]
        filters: Dict[str, str] = {name: _of(str, value) for name, value in found["filters"].items()}
        return ExportManifest(
            origin=_of(str, found["origin"]),
            log_id=_hash(found["log_id"]),
            checkpoint=Checkpoint.open(_of(str, found["checkpoint"]), verifier_key),
            from_index=_number(within["from"]),
            until_index=_number(within["to"]),
            filters=filters,
            format=_of(str, found["format"]),
            entries=_number(found["entries"]),
            rows=_number(found["rows"]),
            length_bytes=_number(found["bytes"]),
            sha256=_hash(found["sha256"]),
            asked=ExportAsked(
                principal=_of(str, asked["principal"]),
                tenant=_of(str, asked["tenant"]),
                purpose=_of(str, asked["purpose"]),
                reference=_of(str, asked["reference"]),
                request_id=_of(str, asked["request_id"]),
                at_ms=_number(asked["at_ms"]),
                index=_number(receipt["index"]),
                leaf_hash=_hash(receipt["leaf_hash"]),
            ),
        )
    except CheckpointRefuted:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise ExportRefuted("a field of the manifest is missing or of another kind") from None


def _of(kind: Type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _hash(value: object) -> bytes:
    if not _HASH.match(_of(str, value)):
        raise ValueError
    return bytes.fromhex(_of(str, value))
