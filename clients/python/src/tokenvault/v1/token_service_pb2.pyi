from google.rpc import status_pb2 as _status_pb2
from tokenvault.v1 import audit_service_pb2 as _audit_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RevealLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVEAL_LEVEL_UNSPECIFIED: _ClassVar[RevealLevel]
    REVEAL_LEVEL_FULL: _ClassVar[RevealLevel]
    REVEAL_LEVEL_MASKED: _ClassVar[RevealLevel]
    REVEAL_LEVEL_BEST_PERMITTED: _ClassVar[RevealLevel]

class TokenState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOKEN_STATE_UNSPECIFIED: _ClassVar[TokenState]
    TOKEN_STATE_ACTIVE: _ClassVar[TokenState]
    TOKEN_STATE_SUSPENDED: _ClassVar[TokenState]
    TOKEN_STATE_REVOKED: _ClassVar[TokenState]
REVEAL_LEVEL_UNSPECIFIED: RevealLevel
REVEAL_LEVEL_FULL: RevealLevel
REVEAL_LEVEL_MASKED: RevealLevel
REVEAL_LEVEL_BEST_PERMITTED: RevealLevel
TOKEN_STATE_UNSPECIFIED: TokenState
TOKEN_STATE_ACTIVE: TokenState
TOKEN_STATE_SUSPENDED: TokenState
TOKEN_STATE_REVOKED: TokenState

class TokenizeRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "audience", "idempotency_key", "items")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    audience: str
    idempotency_key: str
    items: _containers.RepeatedCompositeFieldContainer[TokenizeItem]
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., items: _Optional[_Iterable[_Union[TokenizeItem, _Mapping[str, object]]]] = ...) -> None: ...

class TokenizeItem(_message.Message):
    __slots__ = ("data_class", "value", "subject", "ttl_seconds", "not_before_ms", "max_uses")
    DATA_CLASS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    data_class: str
    value: bytes
    subject: str
    ttl_seconds: int
    not_before_ms: int
    max_uses: int
    def __init__(self, data_class: _Optional[str] = ..., value: _Optional[bytes] = ..., subject: _Optional[str] = ..., ttl_seconds: _Optional[int] = ..., not_before_ms: _Optional[int] = ..., max_uses: _Optional[int] = ...) -> None: ...

class TokenizeResponse(_message.Message):
    __slots__ = ("results", "receipt")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TokenizeResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, results: _Optional[_Iterable[_Union[TokenizeResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class TokenizeResult(_message.Message):
    __slots__ = ("issued", "error")
    ISSUED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    issued: TokenIssued
    error: _status_pb2.Status
    def __init__(self, issued: _Optional[_Union[TokenIssued, _Mapping[str, object]]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping[str, object]]] = ...) -> None: ...

class TokenIssued(_message.Message):
    __slots__ = ("token", "created", "expires_at_ms")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    token: str
    created: bool
    expires_at_ms: int
    def __init__(self, token: _Optional[str] = ..., created: _Optional[bool] = ..., expires_at_ms: _Optional[int] = ...) -> None: ...

class DetokenizeRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "audience", "idempotency_key", "items", "level")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    audience: str
    idempotency_key: str
    items: _containers.RepeatedCompositeFieldContainer[DetokenizeItem]
    level: RevealLevel
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., items: _Optional[_Iterable[_Union[DetokenizeItem, _Mapping[str, object]]]] = ..., level: _Optional[_Union[RevealLevel, str]] = ...) -> None: ...

class DetokenizeItem(_message.Message):
    __slots__ = ("data_class", "token")
    DATA_CLASS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    data_class: str
    token: str
    def __init__(self, data_class: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class DetokenizeResponse(_message.Message):
    __slots__ = ("results", "receipt")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DetokenizeResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, results: _Optional[_Iterable[_Union[DetokenizeResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class DetokenizeResult(_message.Message):
    __slots__ = ("revealed", "error")
    REVEALED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    revealed: ValueRevealed
    error: _status_pb2.Status
    def __init__(self, revealed: _Optional[_Union[ValueRevealed, _Mapping[str, object]]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping[str, object]]] = ...) -> None: ...

class ValueRevealed(_message.Message):
    __slots__ = ("value", "level")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    level: RevealLevel
    def __init__(self, value: _Optional[bytes] = ..., level: _Optional[_Union[RevealLevel, str]] = ...) -> None: ...

class DescribeTokensRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "audience", "items")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    audience: str
    items: _containers.RepeatedCompositeFieldContainer[DetokenizeItem]
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., items: _Optional[_Iterable[_Union[DetokenizeItem, _Mapping[str, object]]]] = ...) -> None: ...

class DescribeTokensResponse(_message.Message):
    __slots__ = ("results", "receipt")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[DescribeTokenResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, results: _Optional[_Iterable[_Union[DescribeTokenResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class DescribeTokenResult(_message.Message):
    __slots__ = ("described", "error")
    DESCRIBED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    described: TokenDescription
    error: _status_pb2.Status
    def __init__(self, described: _Optional[_Union[TokenDescription, _Mapping[str, object]]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping[str, object]]] = ...) -> None: ...

class TokenDescription(_message.Message):
    __slots__ = ("format", "stored", "created_at_ms", "expires_at_ms", "uses", "max_uses")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    format: str
    stored: bool
    created_at_ms: int
    expires_at_ms: int
    uses: int
    max_uses: int
    def __init__(self, format: _Optional[str] = ..., stored: _Optional[bool] = ..., created_at_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., uses: _Optional[int] = ..., max_uses: _Optional[int] = ...) -> None: ...

class FindTokensRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "audience", "items")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    audience: str
    items: _containers.RepeatedCompositeFieldContainer[FindItem]
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., items: _Optional[_Iterable[_Union[FindItem, _Mapping[str, object]]]] = ...) -> None: ...

class FindItem(_message.Message):
    __slots__ = ("data_class", "value", "subject")
    DATA_CLASS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    data_class: str
    value: bytes
    subject: str
    def __init__(self, data_class: _Optional[str] = ..., value: _Optional[bytes] = ..., subject: _Optional[str] = ...) -> None: ...

class FindTokensResponse(_message.Message):
    __slots__ = ("results", "receipt")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[FindTokenResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, results: _Optional[_Iterable[_Union[FindTokenResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class FindTokenResult(_message.Message):
    __slots__ = ("found", "error")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    found: TokenFound
    error: _status_pb2.Status
    def __init__(self, found: _Optional[_Union[TokenFound, _Mapping[str, object]]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping[str, object]]] = ...) -> None: ...

class TokenFound(_message.Message):
    __slots__ = ("token", "expires_at_ms")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    token: str
    expires_at_ms: int
    def __init__(self, token: _Optional[str] = ..., expires_at_ms: _Optional[int] = ...) -> None: ...

class ChangeTokensRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "audience", "idempotency_key", "items", "ttl_seconds")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    audience: str
    idempotency_key: str
    items: _containers.RepeatedCompositeFieldContainer[DetokenizeItem]
    ttl_seconds: int
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., items: _Optional[_Iterable[_Union[DetokenizeItem, _Mapping[str, object]]]] = ..., ttl_seconds: _Optional[int] = ...) -> None: ...

class ChangeTokensResponse(_message.Message):
    __slots__ = ("results", "receipt")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ChangeTokenResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, results: _Optional[_Iterable[_Union[ChangeTokenResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class ChangeTokenResult(_message.Message):
    __slots__ = ("changed", "error")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    changed: TokenLife
    error: _status_pb2.Status
    def __init__(self, changed: _Optional[_Union[TokenLife, _Mapping[str, object]]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping[str, object]]] = ...) -> None: ...

class TokenLife(_message.Message):
    __slots__ = ("state", "not_before_ms", "expires_at_ms", "uses", "max_uses")
    STATE_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    state: TokenState
    not_before_ms: int
    expires_at_ms: int
    uses: int
    max_uses: int
    def __init__(self, state: _Optional[_Union[TokenState, str]] = ..., not_before_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., uses: _Optional[int] = ..., max_uses: _Optional[int] = ...) -> None: ...

class ExplainAccessRequest(_message.Message):
    __slots__ = ("region", "purpose", "reference", "explained")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    explained: ExplainedCall
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., explained: _Optional[_Union[ExplainedCall, _Mapping[str, object]]] = ...) -> None: ...

class ExplainedCall(_message.Message):
    __slots__ = ("audience", "item", "level", "purpose", "reference", "caller")
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    audience: str
    item: DetokenizeItem
    level: RevealLevel
    purpose: str
    reference: str
    caller: ExplainedCaller
    def __init__(self, audience: _Optional[str] = ..., item: _Optional[_Union[DetokenizeItem, _Mapping[str, object]]] = ..., level: _Optional[_Union[RevealLevel, str]] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., caller: _Optional[_Union[ExplainedCaller, _Mapping[str, object]]] = ...) -> None: ...

class ExplainedCaller(_message.Message):
    __slots__ = ("principal", "access_token", "roles", "scopes", "clearance", "assurance", "authenticated_seconds", "source")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    CLEARANCE_FIELD_NUMBER: _ClassVar[int]
    ASSURANCE_FIELD_NUMBER: _ClassVar[int]
    AUTHENTICATED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    principal: str
    access_token: bool
    roles: _containers.RepeatedScalarFieldContainer[str]
    scopes: _containers.RepeatedScalarFieldContainer[str]
    clearance: _containers.RepeatedScalarFieldContainer[str]
    assurance: int
    authenticated_seconds: int
    source: str
    def __init__(self, principal: _Optional[str] = ..., access_token: _Optional[bool] = ..., roles: _Optional[_Iterable[str]] = ..., scopes: _Optional[_Iterable[str]] = ..., clearance: _Optional[_Iterable[str]] = ..., assurance: _Optional[int] = ..., authenticated_seconds: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class ExplainAccessResponse(_message.Message):
    __slots__ = ("revealed", "level", "reason", "text", "remedy", "policies", "receipt")
    REVEALED_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    revealed: bool
    level: RevealLevel
    reason: str
    text: str
    remedy: str
    policies: _containers.RepeatedScalarFieldContainer[str]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, revealed: _Optional[bool] = ..., level: _Optional[_Union[RevealLevel, str]] = ..., reason: _Optional[str] = ..., text: _Optional[str] = ..., remedy: _Optional[str] = ..., policies: _Optional[_Iterable[str]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class StreamStart(_message.Message):
    __slots__ = ("region", "purpose", "reference", "audience", "idempotency_key", "level")
    REGION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    region: str
    purpose: str
    reference: str
    audience: str
    idempotency_key: str
    level: RevealLevel
    def __init__(self, region: _Optional[str] = ..., purpose: _Optional[str] = ..., reference: _Optional[str] = ..., audience: _Optional[str] = ..., idempotency_key: _Optional[str] = ..., level: _Optional[_Union[RevealLevel, str]] = ...) -> None: ...

class TokenizeStreamRequest(_message.Message):
    __slots__ = ("start", "sequence", "items")
    START_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    start: StreamStart
    sequence: int
    items: _containers.RepeatedCompositeFieldContainer[TokenizeItem]
    def __init__(self, start: _Optional[_Union[StreamStart, _Mapping[str, object]]] = ..., sequence: _Optional[int] = ..., items: _Optional[_Iterable[_Union[TokenizeItem, _Mapping[str, object]]]] = ...) -> None: ...

class TokenizeStreamResponse(_message.Message):
    __slots__ = ("sequence", "results", "receipt")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    results: _containers.RepeatedCompositeFieldContainer[TokenizeResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, sequence: _Optional[int] = ..., results: _Optional[_Iterable[_Union[TokenizeResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...

class DetokenizeStreamRequest(_message.Message):
    __slots__ = ("start", "sequence", "items")
    START_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    start: StreamStart
    sequence: int
    items: _containers.RepeatedCompositeFieldContainer[DetokenizeItem]
    def __init__(self, start: _Optional[_Union[StreamStart, _Mapping[str, object]]] = ..., sequence: _Optional[int] = ..., items: _Optional[_Iterable[_Union[DetokenizeItem, _Mapping[str, object]]]] = ...) -> None: ...

class DetokenizeStreamResponse(_message.Message):
    __slots__ = ("sequence", "results", "receipt")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    results: _containers.RepeatedCompositeFieldContainer[DetokenizeResult]
    receipt: _audit_service_pb2.Receipt
    def __init__(self, sequence: _Optional[int] = ..., results: _Optional[_Iterable[_Union[DetokenizeResult, _Mapping[str, object]]]] = ..., receipt: _Optional[_Union[_audit_service_pb2.Receipt, _Mapping[str, object]]] = ...) -> None: ...
