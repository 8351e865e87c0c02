"""The newest checkpoint of each log that was seen: every other one has to be of the same history.

It is kept for as long as the client lives and, where a folder is named, on disk: then a log that was rolled back or
written anew between two runs is noticed as well. A folder is of one vault, and holds for each of its logs, by the name
that we ask for it, `<log>.checkpoint` (the signed note) and `<log>.vkey`; the client in Rust keeps it in the same way,
so that both may share one. What the vault states itself, origin and key, must stay what it was.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any, Callable, Coroutine, Dict, Iterator, List, Optional

from ._checkpoint import Checkpoint, verify_consistency
from ._errors import ConfigurationError, LogContradicted, ProofRefuted, TokenvaultError
from ._prove import is_out_of_tree

#: Asks a log for the hashes that lead from a size to a larger one.
AskConsistency = Callable[[str, int, int], Coroutine[Any, Any, List[bytes]]]


class Seen:
    """What was seen of logs."""

    def __init__(self, folder: Optional[Path]) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        # By the name that we ask for a log.
        self._newest: Dict[str, Checkpoint] = {}

    def known(self, log: str) -> Optional[Checkpoint]:
        """The newest that is known of a log, here or in the folder, where other processes may keep theirs."""
        with self._lock:
            return self._known(log)

    def _known(self, log: str) -> Optional[Checkpoint]:
        known, kept = self._newest.get(log), self._load(log)
        return kept if kept is not None and (known is None or known.size < kept.size) else known

    def keep(self, log: str, agreed: Optional[Checkpoint], now: Checkpoint) -> bool:
        """Keeps what was agreed to go on from `agreed`.

        Nothing is kept, and False given, if there is a larger one by now: that has to be agreed with first.
        """
        with self._lock, self._locked(log):
            known = self._known(log)
            if known is not None and (agreed is None or known.size > agreed.size):
                return False
            self._write(log, now)
            self._newest[log] = now
            return True

    def remember(self, log: str, known: Checkpoint) -> None:
        """Keeps in memory what the folder has."""
        with self._lock:
            here = self._newest.get(log)
            if here is None or here.size < known.size:
                self._newest[log] = known

    def _load(self, log: str) -> Optional[Checkpoint]:
        if self._folder is None:
            return None
        checkpoint, key = self._folder / f"{log}.checkpoint", self._folder / f"{log}.vkey"
        try:
            note = checkpoint.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _unusable(checkpoint, error) from None
        try:
            return Checkpoint.open(note, key.read_text(encoding="utf-8").rstrip())
        except (OSError, ValueError) as error:
            raise _unusable(key, error) from None

    @contextlib.contextmanager
    def _locked(self, log: str) -> Iterator[None]:
        """One process at a time writes."""
        if self._folder is None:
            yield
            return
        try:
            import fcntl
        except ImportError:
            raise ConfigurationError("checkpoints can't be kept in a folder on this system; leave it out") from None
        lock = self._folder / f"{log}.lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = lock.open("wb")
        except OSError as error:
            raise _unusable(lock, error) from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _write(self, log: str, now: Checkpoint) -> None:
        """Writes each file anew in one step, the key first: a checkpoint never stands there without its key."""
        if self._folder is None:
            return
        for ending, text in (("vkey", now.verifier_key + "\n"), ("checkpoint", now.note)):
            path, new = self._folder / f"{log}.{ending}", self._folder / f"{log}.{ending}.new"
            try:
                with new.open("wb") as file:
                    file.write(text.encode())
                    file.flush()
                    # A power cut must not leave an empty file under the name.
                    os.fsync(file.fileno())
                new.replace(path)
            except OSError as error:
                raise _unusable(path, error) from None


async def goes_on(log: str, known: Checkpoint, now: Checkpoint, ask: AskConsistency) -> None:
    """Holds two checkpoints of a log against each other: the smaller tree has to be the beginning of the larger."""
    if known.origin != now.origin:
        raise LogContradicted(known.origin, known.size, "it is of another log")
    if known.verifier_key != now.verifier_key:
        raise LogContradicted(known.origin, known.size, "it is signed by another key")
    older, later = sorted((known, now), key=lambda checkpoint: checkpoint.size)
    contradicted: Optional[str] = None
    try:
        is_told = older.size in (0, later.size)
        verify_consistency(older, later, [] if is_told else await ask(log, older.size, later.size))
    except ProofRefuted as refuted:
        contradicted = str(refuted)
    except TokenvaultError as error:
        if not is_out_of_tree(error):
            raise
        # It has no tree of a size that it had: entries are gone.
        contradicted = "the log has no tree of a size that it had"
    if contradicted is not None:
        raise LogContradicted(known.origin, known.size, contradicted)


def _unusable(path: Path, error: Exception) -> ConfigurationError:
    problem = error.strerror if isinstance(error, OSError) else "it is no text"
    return ConfigurationError(f"the folder of checkpoints can't be used: {path}: {problem}")
