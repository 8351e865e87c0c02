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
