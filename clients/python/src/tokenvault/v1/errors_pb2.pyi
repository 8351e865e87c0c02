from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_UNSPECIFIED: _ClassVar[Reason]
    FIELD_INVALID: _ClassVar[Reason]
    BATCH_EMPTY: _ClassVar[Reason]
    BATCH_TOO_LARGE: _ClassVar[Reason]
    VALUE_TOO_LARGE: _ClassVar[Reason]
    REQUEST_TOO_LARGE: _ClassVar[Reason]
    REQUEST_MALFORMED: _ClassVar[Reason]
    VALUE_REJECTED: _ClassVar[Reason]
    PURPOSE_REQUIRED: _ClassVar[Reason]
    PURPOSE_UNKNOWN: _ClassVar[Reason]
    REGION_UNKNOWN: _ClassVar[Reason]
    PAGE_TOKEN_INVALID: _ClassVar[Reason]
    METHOD_UNKNOWN: _ClassVar[Reason]
    SUBJECT_REQUIRED: _ClassVar[Reason]
    SUBJECT_UNEXPECTED: _ClassVar[Reason]
    CERTIFICATE_WITHOUT_IDENTITY: _ClassVar[Reason]
    PRINCIPAL_UNKNOWN: _ClassVar[Reason]
    ACCESS_DENIED: _ClassVar[Reason]
    TOKEN_NOT_FOUND: _ClassVar[Reason]
    TOKEN_ONE_WAY: _ClassVar[Reason]
    WRONG_REGION: _ClassVar[Reason]
    IDEMPOTENCY_KEY_REUSED: _ClassVar[Reason]
    COMMIT_CONFLICT: _ClassVar[Reason]
    TOKEN_SPACE_EXHAUSTED: _ClassVar[Reason]
    RECORD_NUMBERS_EXHAUSTED: _ClassVar[Reason]
    DEADLINE_EXCEEDED: _ClassVar[Reason]
    CANCELLED: _ClassVar[Reason]
    BUSY: _ClassVar[Reason]
    SHUTTING_DOWN: _ClassVar[Reason]
    AUDIT_UNAVAILABLE: _ClassVar[Reason]
    RECORD_CORRUPT: _ClassVar[Reason]
    INTERNAL: _ClassVar[Reason]
    LEVEL_NOT_PERMITTED: _ClassVar[Reason]
    MASK_UNAVAILABLE: _ClassVar[Reason]
REASON_UNSPECIFIED: Reason
FIELD_INVALID: Reason
BATCH_EMPTY: Reason
BATCH_TOO_LARGE: Reason
VALUE_TOO_LARGE: Reason
REQUEST_TOO_LARGE: Reason
REQUEST_MALFORMED: Reason
VALUE_REJECTED: Reason
PURPOSE_REQUIRED: Reason
PURPOSE_UNKNOWN: Reason
REGION_UNKNOWN: Reason
PAGE_TOKEN_INVALID: Reason
METHOD_UNKNOWN: Reason
SUBJECT_REQUIRED: Reason
SUBJECT_UNEXPECTED: Reason
CERTIFICATE_WITHOUT_IDENTITY: Reason
PRINCIPAL_UNKNOWN: Reason
ACCESS_DENIED: Reason
TOKEN_NOT_FOUND: Reason
TOKEN_ONE_WAY: Reason
WRONG_REGION: Reason
IDEMPOTENCY_KEY_REUSED: Reason
COMMIT_CONFLICT: Reason
TOKEN_SPACE_EXHAUSTED: Reason
RECORD_NUMBERS_EXHAUSTED: Reason
DEADLINE_EXCEEDED: Reason
CANCELLED: Reason
BUSY: Reason
SHUTTING_DOWN: Reason
AUDIT_UNAVAILABLE: Reason
RECORD_CORRUPT: Reason
INTERNAL: Reason
LEVEL_NOT_PERMITTED: Reason
MASK_UNAVAILABLE: Reason
