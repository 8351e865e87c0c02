"""One attempt and the next: what each shows afresh, how long to pause, and when to leave an endpoint alone."""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from typing import List, Optional, Tuple

from ._errors import CircuitOpen

log = logging.getLogger("tokenvault")

# The pause before the second attempt; it doubles with each further one.
_PAUSE_FIRST = 0.05
# The longest pause, apart from what the vault asks for.
_PAUSE_MAX = 2.0

# Attempts in a row without an answer after which an endpoint is left alone.
_FAILURES_MAX = 5
# For how long, at first and at most.
_OPEN_FIRST = 0.5
_OPEN_MAX = 10.0
# A call that had less time than this says nothing about the endpoint when it ends without an answer.
DEADLINE_TELLING = 1.0

Metadata = Tuple[Tuple[str, str], ...]


def attempt_metadata(token: Optional[str]) -> Metadata:
    """What every attempt carries, made anew each time so that it can't be sent again by somebody else.

    A nonce of 16 random bytes in lower-case hex, the wall clock in milliseconds since 1970, and the access token.
    """
    shown: List[Tuple[str, str]] = [
        ("tokenvault-nonce", secrets.token_hex(16)),
        ("tokenvault-timestamp", str(time.time_ns() // 1_000_000)),
    ]
    if token is not None:
        shown.append(("authorization", f"Bearer {token}"))
    return tuple(shown)


def pause(attempts: int, asked: Optional[float]) -> float:
    """The pause after this many attempts, in seconds.

    It is what the vault asks for, and between half and all of our own on top, so that clients that were refused
    together do not come back together.
    """
    own: float = min(_PAUSE_MAX, _PAUSE_FIRST * float(2 ** min(attempts - 1, 16)))
    return (asked or 0.0) + own * random.uniform(0.5, 1.0)


class Breaker:
    """Leaves an endpoint alone that did not answer several times in a row.

    While it is open, calls that begin fail at once with CircuitOpen; calls that are under way wait. After its time one
    attempt goes through: an answer closes it, whatever it says; none opens it for twice as long.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._failures = 0
        self._open_for = _OPEN_FIRST
        self._open_until = 0.0
        self._is_probing = False

    def admit(self) -> None:
        """Lets an attempt through, or raises CircuitOpen. Each one that is let through ends with one of the below."""
        with self._lock:
            if self._failures < _FAILURES_MAX:
                return
            left = self._open_until - time.monotonic()
            if left <= 0 and not self._is_probing:
                self._is_probing = True
                return
            refused = CircuitOpen(f"{self._endpoint} did not answer {self._failures} times in a row; nothing was sent")
            refused.retry_after = max(left, _PAUSE_FIRST)
        raise refused

    def answered(self) -> None:
        """The vault has answered."""
        with self._lock:
            self._failures = 0
            self._open_for = _OPEN_FIRST
            self._is_probing = False

    def failed(self) -> None:
        """There was no answer."""
        with self._lock:
            self._failures += 1
            if self._failures == _FAILURES_MAX or self._is_probing:
                self._open_until = time.monotonic() + self._open_for
                self._open_for = min(_OPEN_MAX, self._open_for * 2)
                log.warning("%s does not answer; it is left alone for a while", self._endpoint)
            self._is_probing = False

    def untold(self) -> None:
        """The attempt ended without telling anything about the endpoint."""
        with self._lock:
            self._is_probing = False
