from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DenyAccessTokensRequest(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[DeniedAccessToken]
    def __init__(self, tokens: _Optional[_Iterable[_Union[DeniedAccessToken, _Mapping[str, object]]]] = ...) -> None: ...

class DenyAccessTokensResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DeniedAccessToken(_message.Message):
    __slots__ = ("issuer", "jti", "until_ms", "reference")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    JTI_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    jti: str
    until_ms: int
    reference: str
    def __init__(self, issuer: _Optional[str] = ..., jti: _Optional[str] = ..., until_ms: _Optional[int] = ..., reference: _Optional[str] = ...) -> None: ...

class ListDeniedAccessTokensRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class ListDeniedAccessTokensResponse(_message.Message):
    __slots__ = ("tokens", "next_page_token")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[DeniedAccessToken]
    next_page_token: str
    def __init__(self, tokens: _Optional[_Iterable[_Union[DeniedAccessToken, _Mapping[str, object]]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PolicyRules(_message.Message):
    __slots__ = ("catalog", "policies")
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    catalog: str
    policies: _containers.RepeatedCompositeFieldContainer[PolicyFile]
    def __init__(self, catalog: _Optional[str] = ..., policies: _Optional[_Iterable[_Union[PolicyFile, _Mapping[str, object]]]] = ...) -> None: ...

class PolicyFile(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ApplyPoliciesRequest(_message.Message):
    __slots__ = ("rules", "version", "expected_fingerprint", "expected_version", "reference", "dry_run")
    RULES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    rules: PolicyRules
    version: int
    expected_fingerprint: str
    expected_version: int
    reference: str
    dry_run: bool
    def __init__(self, rules: _Optional[_Union[PolicyRules, _Mapping[str, object]]] = ..., version: _Optional[int] = ..., expected_fingerprint: _Optional[str] = ..., expected_version: _Optional[int] = ..., reference: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ApplyPoliciesResponse(_message.Message):
    __slots__ = ("before", "now", "version", "difference")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOW_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    before: str
    now: str
    version: int
    difference: str
    def __init__(self, before: _Optional[str] = ..., now: _Optional[str] = ..., version: _Optional[int] = ..., difference: _Optional[str] = ...) -> None: ...

class ListPolicyVersionsRequest(_message.Message):
    __slots__ = ("page_token",)
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_token: str
    def __init__(self, page_token: _Optional[str] = ...) -> None: ...

class ListPolicyVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token", "serving_version", "serving_fingerprint")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVING_VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVING_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[PolicyVersion]
    next_page_token: str
    serving_version: int
    serving_fingerprint: str
    def __init__(self, versions: _Optional[_Iterable[_Union[PolicyVersion, _Mapping[str, object]]]] = ..., next_page_token: _Optional[str] = ..., serving_version: _Optional[int] = ..., serving_fingerprint: _Optional[str] = ...) -> None: ...

class PolicyVersion(_message.Message):
    __slots__ = ("version", "fingerprint", "before", "difference", "applied_ms", "principal", "reference", "again")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_MS_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    version: int
    fingerprint: str
    before: str
    difference: str
    applied_ms: int
    principal: str
    reference: str
    again: int
    def __init__(self, version: _Optional[int] = ..., fingerprint: _Optional[str] = ..., before: _Optional[str] = ..., difference: _Optional[str] = ..., applied_ms: _Optional[int] = ..., principal: _Optional[str] = ..., reference: _Optional[str] = ..., again: _Optional[int] = ...) -> None: ...

class GetPolicyVersionRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    def __init__(self, version: _Optional[int] = ...) -> None: ...

class GetPolicyVersionResponse(_message.Message):
    __slots__ = ("version", "rules")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    version: PolicyVersion
    rules: PolicyRules
    def __init__(self, version: _Optional[_Union[PolicyVersion, _Mapping[str, object]]] = ..., rules: _Optional[_Union[PolicyRules, _Mapping[str, object]]] = ...) -> None: ...

class PruneAccessLogRequest(_message.Message):
    __slots__ = ("region", "dry_run", "reference")
    REGION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    region: str
    dry_run: bool
    reference: str
    def __init__(self, region: _Optional[str] = ..., dry_run: _Optional[bool] = ..., reference: _Optional[str] = ...) -> None: ...

class PruneAccessLogResponse(_message.Message):
    __slots__ = ("minimum_index_before", "minimum_index", "log_size", "kept_from_ms", "archive", "held_by", "held_index")
    MINIMUM_INDEX_BEFORE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    KEPT_FROM_MS_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    HELD_BY_FIELD_NUMBER: _ClassVar[int]
    HELD_INDEX_FIELD_NUMBER: _ClassVar[int]
    minimum_index_before: int
    minimum_index: int
    log_size: int
    kept_from_ms: int
    archive: str
    held_by: str
    held_index: int
    def __init__(self, minimum_index_before: _Optional[int] = ..., minimum_index: _Optional[int] = ..., log_size: _Optional[int] = ..., kept_from_ms: _Optional[int] = ..., archive: _Optional[str] = ..., held_by: _Optional[str] = ..., held_index: _Optional[int] = ...) -> None: ...
