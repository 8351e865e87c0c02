"""More items than one request may hold: cut into runs that each fit one request."""

from __future__ import annotations

from typing import Iterable, List, Set

from ._items import Measured

#: Items in a request, or in a message of a stream.
BATCH_ITEMS_MAX = 1000
#: Distinct data classes in a request.
REQUEST_CLASSES_MAX = 32
# Bytes that are kept free for everything but the items: names, purpose, reference, key.
_REQUEST_HEAD_BYTES = 4096
#: Bytes of items that fit one request of 8 MiB.
REQUEST_ROOM_BYTES = (8 << 20) - _REQUEST_HEAD_BYTES
#: Bytes of items that fit one message of a stream, of 1 MiB.
STREAM_MESSAGE_ROOM_BYTES = (1 << 20) - _REQUEST_HEAD_BYTES
# Bytes around one item: its field's tag and its length.
_ITEM_HEAD_BYTES = 6


def split(items: Iterable[Measured], room: int) -> List[range]:
    """Cuts items into runs, in order, each within `room` bytes and the limits of items and distinct classes.

    An item that is too large by itself gets a run of its own, so that it is refused alone.
    """
    runs: List[range] = []
    start = end = used = 0
    classes: Set[str] = set()
    for name, length in items:
        length += _ITEM_HEAD_BYTES
        full = (
            end - start >= BATCH_ITEMS_MAX
            or used + length > room
            or (len(classes) >= REQUEST_CLASSES_MAX and name not in classes)
        )
        if full and end > start:
            runs.append(range(start, end))
            start, used = end, 0
            classes.clear()
        end += 1
        used += length
        classes.add(name)
    if end > start:
        runs.append(range(start, end))
    return runs
