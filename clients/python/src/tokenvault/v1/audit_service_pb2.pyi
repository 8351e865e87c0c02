from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Receipt(_message.Message):
    __slots__ = ("origin", "index", "leaf_hash", "log_id")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    origin: str
    index: int
    leaf_hash: bytes
    log_id: bytes
    def __init__(self, origin: _Optional[str] = ..., index: _Optional[int] = ..., leaf_hash: _Optional[bytes] = ..., log_id: _Optional[bytes] = ...) -> None: ...

class AccessLogFilter(_message.Message):
    __slots__ = ("from_ms", "until_ms", "principal", "action", "decision", "data_class", "token", "audience", "purpose", "reference", "reason", "source", "request_id")
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    DATA_CLASS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    from_ms: int
    until_ms: int
    principal: str
    action: str
    decision: str
    data_class: str
    token: str
    audience: str
    purpose: str
    reference: str
    reason: str
    source: str
    request_id: str
    def __init__(self, from_ms: _Optional[int] = ..., until_ms: _Optional[int] = ..., principal: _Optional[str] = ..., action: _Optional[str] = ..., decision: _Optional[str] = ..., data_class: _Optional[str] = ..., token: _Optional[str] = ..., audience: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., reason: _Optional[str] = ..., source: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class QueryAccessLogRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "filter", "oldest_first", "page_size", "page_token")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    filter: AccessLogFilter
    oldest_first: bool
    page_size: int
    page_token: str
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., filter: _Optional[_Union[AccessLogFilter, _Mapping[str, object]]] = ..., oldest_first: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class QueryAccessLogResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "log_size", "receipt", "minimum_index")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_INDEX_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AccessLogEntry]
    next_page_token: str
    log_size: int
    receipt: Receipt
    minimum_index: int
    def __init__(self, entries: _Optional[_Iterable[_Union[AccessLogEntry, _Mapping[str, object]]]] = ..., next_page_token: _Optional[str] = ..., log_size: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping[str, object]]] = ..., minimum_index: _Optional[int] = ...) -> None: ...

class CountAccessLogRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "filter", "group_by", "page_token")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    filter: AccessLogFilter
    group_by: str
    page_token: str
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., filter: _Optional[_Union[AccessLogFilter, _Mapping[str, object]]] = ..., group_by: _Optional[str] = ..., page_token: _Optional[str] = ...) -> None: ...

class CountAccessLogResponse(_message.Message):
    __slots__ = ("counts", "entries", "next_page_token", "log_size", "receipt", "entries_read", "minimum_index")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_READ_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_INDEX_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[AccessLogCount]
    entries: int
    next_page_token: str
    log_size: int
    receipt: Receipt
    entries_read: int
    minimum_index: int
    def __init__(self, counts: _Optional[_Iterable[_Union[AccessLogCount, _Mapping[str, object]]]] = ..., entries: _Optional[int] = ..., next_page_token: _Optional[str] = ..., log_size: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping[str, object]]] = ..., entries_read: _Optional[int] = ..., minimum_index: _Optional[int] = ...) -> None: ...

class AccessLogCount(_message.Message):
    __slots__ = ("name", "hour_ms", "entries")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOUR_MS_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    hour_ms: int
    entries: int
    def __init__(self, name: _Optional[str] = ..., hour_ms: _Optional[int] = ..., entries: _Optional[int] = ...) -> None: ...

class AccessLogEntry(_message.Message):
    __slots__ = ("receipt", "log_time_ms", "wall_time_ms", "request_id", "tenant", "principal", "certificate_sha256", "source", "action", "decision", "reason", "purpose", "reference", "audience", "policy_ids", "policy_version", "items", "count", "identity_issuer", "explained_principal")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    LOG_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    POLICY_IDS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_ISSUER_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    receipt: Receipt
    log_time_ms: int
    wall_time_ms: int
    request_id: str
    tenant: str
    principal: str
    certificate_sha256: str
    source: str
    action: str
    decision: str
    reason: str
    purpose: str
    reference: str
    audience: str
    policy_ids: _containers.RepeatedScalarFieldContainer[str]
    policy_version: str
    items: _containers.RepeatedCompositeFieldContainer[AccessLogItems]
    count: int
    identity_issuer: str
    explained_principal: str
    def __init__(self, receipt: _Optional[_Union[Receipt, _Mapping[str, object]]] = ..., log_time_ms: _Optional[int] = ..., wall_time_ms: _Optional[int] = ..., request_id: _Optional[str] = ..., tenant: _Optional[str] = ..., principal: _Optional[str] = ..., certificate_sha256: _Optional[str] = ..., source: _Optional[str] = ..., action: _Optional[str] = ..., decision: _Optional[str] = ..., reason: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., policy_ids: _Optional[_Iterable[str]] = ..., policy_version: _Optional[str] = ..., items: _Optional[_Iterable[_Union[AccessLogItems, _Mapping[str, object]]]] = ..., count: _Optional[int] = ..., identity_issuer: _Optional[str] = ..., explained_principal: _Optional[str] = ...) -> None: ...

class AccessLogItems(_message.Message):
    __slots__ = ("data_class", "outcome", "count", "record_numbers", "token_hashes", "level")
    DATA_CLASS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    RECORD_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_HASHES_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    data_class: str
    outcome: str
    count: int
    record_numbers: _containers.RepeatedScalarFieldContainer[int]
    token_hashes: _containers.RepeatedScalarFieldContainer[bytes]
    level: str
    def __init__(self, data_class: _Optional[str] = ..., outcome: _Optional[str] = ..., count: _Optional[int] = ..., record_numbers: _Optional[_Iterable[int]] = ..., token_hashes: _Optional[_Iterable[bytes]] = ..., level: _Optional[str] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("region",)
    REGION_FIELD_NUMBER: _ClassVar[int]
    region: str
    def __init__(self, region: _Optional[str] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint", "verifier_key", "witnessed_checkpoint", "minimum_index")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    WITNESSED_CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_INDEX_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    verifier_key: str
    witnessed_checkpoint: str
    minimum_index: int
    def __init__(self, checkpoint: _Optional[str] = ..., verifier_key: _Optional[str] = ..., witnessed_checkpoint: _Optional[str] = ..., minimum_index: _Optional[int] = ...) -> None: ...

class GetEntryRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "index")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    index: int
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., index: _Optional[int] = ...) -> None: ...

class GetEntryResponse(_message.Message):
    __slots__ = ("entry", "entry_bytes", "leaf_hash", "receipt", "minimum_index")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_INDEX_FIELD_NUMBER: _ClassVar[int]
    entry: AccessLogEntry
    entry_bytes: bytes
    leaf_hash: bytes
    receipt: Receipt
    minimum_index: int
    def __init__(self, entry: _Optional[_Union[AccessLogEntry, _Mapping[str, object]]] = ..., entry_bytes: _Optional[bytes] = ..., leaf_hash: _Optional[bytes] = ..., receipt: _Optional[_Union[Receipt, _Mapping[str, object]]] = ..., minimum_index: _Optional[int] = ...) -> None: ...

class GetInclusionProofRequest(_message.Message):
    __slots__ = ("region", "index", "tree_size")
    REGION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    region: str
    index: int
    tree_size: int
    def __init__(self, region: _Optional[str] = ..., index: _Optional[int] = ..., tree_size: _Optional[int] = ...) -> None: ...

class GetInclusionProofResponse(_message.Message):
    __slots__ = ("tree_size", "leaf_hash", "hashes", "checkpoint", "verifier_key")
    TREE_SIZE_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    tree_size: int
    leaf_hash: bytes
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    checkpoint: str
    verifier_key: str
    def __init__(self, tree_size: _Optional[int] = ..., leaf_hash: _Optional[bytes] = ..., hashes: _Optional[_Iterable[bytes]] = ..., checkpoint: _Optional[str] = ..., verifier_key: _Optional[str] = ...) -> None: ...

class GetConsistencyProofRequest(_message.Message):
    __slots__ = ("region", "old_size", "new_size")
    REGION_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    region: str
    old_size: int
    new_size: int
    def __init__(self, region: _Optional[str] = ..., old_size: _Optional[int] = ..., new_size: _Optional[int] = ...) -> None: ...

class GetConsistencyProofResponse(_message.Message):
    __slots__ = ("new_size", "hashes", "checkpoint", "verifier_key")
    NEW_SIZE_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    new_size: int
    hashes: _containers.RepeatedScalarFieldContainer[bytes]
    checkpoint: str
    verifier_key: str
    def __init__(self, new_size: _Optional[int] = ..., hashes: _Optional[_Iterable[bytes]] = ..., checkpoint: _Optional[str] = ..., verifier_key: _Optional[str] = ...) -> None: ...

class TailAccessLogRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "filter", "from_index")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FROM_INDEX_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    filter: AccessLogFilter
    from_index: int
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., filter: _Optional[_Union[AccessLogFilter, _Mapping[str, object]]] = ..., from_index: _Optional[int] = ...) -> None: ...

class TailAccessLogResponse(_message.Message):
    __slots__ = ("entries", "next_index", "log_size", "receipt")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AccessLogEntry]
    next_index: int
    log_size: int
    receipt: Receipt
    def __init__(self, entries: _Optional[_Iterable[_Union[AccessLogEntry, _Mapping[str, object]]]] = ..., next_index: _Optional[int] = ..., log_size: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping[str, object]]] = ...) -> None: ...

class ExportAccessLogRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "filter", "format", "from_index", "until_index")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FROM_INDEX_FIELD_NUMBER: _ClassVar[int]
    UNTIL_INDEX_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    filter: AccessLogFilter
    format: str
    from_index: int
    until_index: int
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., filter: _Optional[_Union[AccessLogFilter, _Mapping[str, object]]] = ..., format: _Optional[str] = ..., from_index: _Optional[int] = ..., until_index: _Optional[int] = ...) -> None: ...

class ExportAccessLogResponse(_message.Message):
    __slots__ = ("data", "next_index", "receipt", "manifest", "verifier_key")
    DATA_FIELD_NUMBER: _ClassVar[int]
    NEXT_INDEX_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    next_index: int
    receipt: Receipt
    manifest: str
    verifier_key: str
    def __init__(self, data: _Optional[bytes] = ..., next_index: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping[str, object]]] = ..., manifest: _Optional[str] = ..., verifier_key: _Optional[str] = ...) -> None: ...
