"""Who saw what: questions to the access log of a region."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional, Union

from ._errors import ConfigurationError
from ._items import Receipt, Sealed, text_bytes
from .v1 import audit_service_pb2 as v1

QUERY_PATH = "/tokenvault.v1.AuditService/QueryAccessLog"
QUERY_ANSWER = v1.QueryAccessLogResponse
COUNT_PATH = "/tokenvault.v1.AuditService/CountAccessLog"
COUNT_ANSWER = v1.CountAccessLogResponse
#: An entry of the access log, as the contract states it: its words are the server's, which may be newer than ours.
AccessLogEntry = v1.AccessLogEntry


@dataclass(frozen=True)
class AccessLogFilter:
    """Which entries are meant: those that meet all of it. What is None is met by every entry.

    `from_ms` is at or after, `until_ms` before that log time, in milliseconds since 1970. `token` needs `data_class`.
    `purpose` and `reference` are those of the entries that are looked for, not those of the question. `source` is an
    address or a network in CIDR notation.
    """

    from_ms: Optional[int] = None
    until_ms: Optional[int] = None
    principal: Optional[str] = None
    action: Optional[str] = None
    decision: Optional[str] = None
    data_class: Optional[str] = None
    token: Optional[str] = field(default=None, repr=False)
    audience: Optional[str] = None
    purpose: Optional[str] = None
    reference: Optional[str] = None
    reason: Optional[str] = None
    source: Optional[str] = None
    request_id: Optional[str] = None


@dataclass(frozen=True)
class AccessLogQuery:
    """A question to the log of a region: which entries, and why it is asked.

    `oldest_first` turns the order around. `page_size` is 1 to 1000, the vault's default if None; `page_token` is where
    to go on, as the page before said it.
    """

    region: str
    purpose: Optional[str] = None
    reference: Optional[str] = None
    filter: AccessLogFilter = AccessLogFilter()
    oldest_first: bool = False
    page_size: Optional[int] = None
    page_token: Optional[str] = None


@dataclass(frozen=True)
class AccessLogCounts:
    """How many entries meet a question.

    `counts` is how they divide: by name, or by the first millisecond of an hour since 1970; empty if that was not
    asked. `entries` is their sum, each once; `entries_read` how many the vault read to tell: all others it counted by
    the log's index. `receipts` is where the log holds the entries of this very question, one for each part. Entries
    below `minimum_index` were pruned, and are not counted.
    """

    counts: Dict[Union[str, int], int]
    entries: int
    entries_read: int
    log_size: int
    receipts: List[Receipt]
    minimum_index: int = 0


@dataclass(frozen=True)
class AccessLogPage:
    """A page of entries, in the order that was asked for.

    A page can be empty and still have a next one. `next_page_token` is None on the last page; `log_size` is the size of
    the log that the answer was taken from; `receipt` is where the log holds the entry of this very question. Entries
    below `minimum_index` were pruned, and are not in the answer.
    """

    entries: List[v1.AccessLogEntry]
    next_page_token: Optional[str]
    log_size: int
    receipt: Receipt
    minimum_index: int = 0


def encode(query: AccessLogQuery) -> Sealed:
    """A question as messages have it."""
    message = v1.QueryAccessLogRequest(
        region=query.region,
        purpose=query.purpose or "",
        reference=query.reference or "",
        filter=encode_filter(query.filter),
        oldest_first=query.oldest_first,
        page_size=query.page_size or 0,
        page_token=query.page_token or "",
    )
    return Sealed(message.SerializeToString())


def encode_count(query: AccessLogQuery, by: Optional[str], page_token: str) -> Sealed:
    """A question for counts as messages have it."""
    message = v1.CountAccessLogRequest(
        region=query.region,
        purpose=query.purpose or "",
        reference=query.reference or "",
        filter=encode_filter(query.filter),
        group_by=by or "",
        page_token=page_token,
    )
    return Sealed(message.SerializeToString())


def encode_filter(asked: AccessLogFilter) -> v1.AccessLogFilter:
    """Which entries, as messages have it."""
    try:
        token = text_bytes(asked.token or "", "the token").decode()
    except ConfigurationError as error:
        # Without the frame below, which holds the token.
        wrong = error.with_traceback(None)
    else:
        return _message(asked, token)
    raise wrong


def _message(asked: AccessLogFilter, token: str) -> v1.AccessLogFilter:
    return v1.AccessLogFilter(
        from_ms=asked.from_ms or 0,
        until_ms=asked.until_ms or 0,
        principal=asked.principal or "",
        action=asked.action or "",
        decision=asked.decision or "",
        data_class=asked.data_class or "",
        token=token,
        audience=asked.audience or "",
        purpose=asked.purpose or "",
        reference=asked.reference or "",
        reason=asked.reason or "",
        source=asked.source or "",
        request_id=asked.request_id or "",
    )


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
        part.minimum_index,
    )


def page(answer: v1.QueryAccessLogResponse) -> AccessLogPage:
    """Reads a page."""
    receipt = Receipt.read(answer.receipt)
    next_page_token, entries = answer.next_page_token or None, list(answer.entries)
    return AccessLogPage(entries, next_page_token, answer.log_size, receipt, answer.minimum_index)


def next_page(query: AccessLogQuery, answer: AccessLogPage) -> Optional[AccessLogQuery]:
    """The question for the page after this one, if there is one."""
    if answer.next_page_token is None:
        return None
    return replace(query, page_token=answer.next_page_token)
