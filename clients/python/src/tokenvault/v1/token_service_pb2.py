"""The messages of tokenvault/v1/token_service.proto.

Made by clients/python/generate.py: change the contract, not this file.
"""

import base64

from google.protobuf import descriptor_pool, message_factory
import google.rpc.status_pb2  # noqa: F401
import tokenvault.v1.audit_service_pb2  # noqa: F401

DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(
    base64.b64decode(
        "CiF0b2tlbnZhdWx0L3YxL3Rva2VuX3NlcnZpY2UucHJvdG8SDXRva2VudmF1bHQudjEaF2dvb2dsZS9ycGMvc3RhdHVzLnByb3Rv"
        "GiF0b2tlbnZhdWx0L3YxL2F1ZGl0X3NlcnZpY2UucHJvdG8inAEKD1Rva2VuaXplUmVxdWVzdBIOCgZyZWdpb24YASABKAkSDwoH"
        "cHVycG9zZRgCIAEoCRIRCglyZWZlcmVuY2UYAyABKAkSEAoIYXVkaWVuY2UYBCABKAkSFwoPaWRlbXBvdGVuY3lfa2V5GAUgASgJ"
        "EioKBWl0ZW1zGAYgAygLMhsudG9rZW52YXVsdC52MS5Ub2tlbml6ZUl0ZW0iQgoMVG9rZW5pemVJdGVtEhIKCmRhdGFfY2xhc3MY"
        "ASABKAkSDQoFdmFsdWUYAiABKAwSDwoHc3ViamVjdBgDIAEoCSJrChBUb2tlbml6ZVJlc3BvbnNlEi4KB3Jlc3VsdHMYASADKAsy"
        "HS50b2tlbnZhdWx0LnYxLlRva2VuaXplUmVzdWx0EicKB3JlY2VpcHQYAiABKAsyFi50b2tlbnZhdWx0LnYxLlJlY2VpcHQibgoO"
        "VG9rZW5pemVSZXN1bHQSLAoGaXNzdWVkGAEgASgLMhoudG9rZW52YXVsdC52MS5Ub2tlbklzc3VlZEgAEiMKBWVycm9yGAIgASgL"
        "MhIuZ29vZ2xlLnJwYy5TdGF0dXNIAEIJCgdvdXRjb21lIkQKC1Rva2VuSXNzdWVkEg0KBXRva2VuGAEgASgJEg8KB2NyZWF0ZWQY"
        "AiABKAgSFQoNZXhwaXJlc19hdF9tcxgDIAEoBCKgAQoRRGV0b2tlbml6ZVJlcXVlc3QSDgoGcmVnaW9uGAEgASgJEg8KB3B1cnBv"
        "c2UYAiABKAkSEQoJcmVmZXJlbmNlGAMgASgJEhAKCGF1ZGllbmNlGAQgASgJEhcKD2lkZW1wb3RlbmN5X2tleRgFIAEoCRIsCgVp"
        "dGVtcxgGIAMoCzIdLnRva2VudmF1bHQudjEuRGV0b2tlbml6ZUl0ZW0iMwoORGV0b2tlbml6ZUl0ZW0SEgoKZGF0YV9jbGFzcxgB"
        "IAEoCRINCgV0b2tlbhgCIAEoCSJvChJEZXRva2VuaXplUmVzcG9uc2USMAoHcmVzdWx0cxgBIAMoCzIfLnRva2VudmF1bHQudjEu"
        "RGV0b2tlbml6ZVJlc3VsdBInCgdyZWNlaXB0GAIgASgLMhYudG9rZW52YXVsdC52MS5SZWNlaXB0InQKEERldG9rZW5pemVSZXN1"
        "bHQSMAoIcmV2ZWFsZWQYASABKAsyHC50b2tlbnZhdWx0LnYxLlZhbHVlUmV2ZWFsZWRIABIjCgVlcnJvchgCIAEoCzISLmdvb2ds"
        "ZS5ycGMuU3RhdHVzSABCCQoHb3V0Y29tZSIeCg1WYWx1ZVJldmVhbGVkEg0KBXZhbHVlGAEgASgMIosBChVEZXNjcmliZVRva2Vu"
        "c1JlcXVlc3QSDgoGcmVnaW9uGAEgASgJEg8KB3B1cnBvc2UYAiABKAkSEQoJcmVmZXJlbmNlGAMgASgJEhAKCGF1ZGllbmNlGAQg"
        "ASgJEiwKBWl0ZW1zGAUgAygLMh0udG9rZW52YXVsdC52MS5EZXRva2VuaXplSXRlbSJ2ChZEZXNjcmliZVRva2Vuc1Jlc3BvbnNl"
        "EjMKB3Jlc3VsdHMYASADKAsyIi50b2tlbnZhdWx0LnYxLkRlc2NyaWJlVG9rZW5SZXN1bHQSJwoHcmVjZWlwdBgCIAEoCzIWLnRv"
        "a2VudmF1bHQudjEuUmVjZWlwdCJ7ChNEZXNjcmliZVRva2VuUmVzdWx0EjQKCWRlc2NyaWJlZBgBIAEoCzIfLnRva2VudmF1bHQu"
        "djEuVG9rZW5EZXNjcmlwdGlvbkgAEiMKBWVycm9yGAIgASgLMhIuZ29vZ2xlLnJwYy5TdGF0dXNIAEIJCgdvdXRjb21lImAKEFRv"
        "a2VuRGVzY3JpcHRpb24SDgoGZm9ybWF0GAEgASgJEg4KBnN0b3JlZBgCIAEoCBIVCg1jcmVhdGVkX2F0X21zGAMgASgEEhUKDWV4"
        "cGlyZXNfYXRfbXMYBCABKAQibAoLU3RyZWFtU3RhcnQSDgoGcmVnaW9uGAEgASgJEg8KB3B1cnBvc2UYAiABKAkSEQoJcmVmZXJl"
        "bmNlGAMgASgJEhAKCGF1ZGllbmNlGAQgASgJEhcKD2lkZW1wb3RlbmN5X2tleRgFIAEoCSKAAQoVVG9rZW5pemVTdHJlYW1SZXF1"
        "ZXN0EikKBXN0YXJ0GAEgASgLMhoudG9rZW52YXVsdC52MS5TdHJlYW1TdGFydBIQCghzZXF1ZW5jZRgCIAEoBBIqCgVpdGVtcxgD"
        "IAMoCzIbLnRva2VudmF1bHQudjEuVG9rZW5pemVJdGVtIoMBChZUb2tlbml6ZVN0cmVhbVJlc3BvbnNlEhAKCHNlcXVlbmNlGAEg"
        "ASgEEi4KB3Jlc3VsdHMYAiADKAsyHS50b2tlbnZhdWx0LnYxLlRva2VuaXplUmVzdWx0EicKB3JlY2VpcHQYAyABKAsyFi50b2tl"
        "bnZhdWx0LnYxLlJlY2VpcHQihAEKF0RldG9rZW5pemVTdHJlYW1SZXF1ZXN0EikKBXN0YXJ0GAEgASgLMhoudG9rZW52YXVsdC52"
        "MS5TdHJlYW1TdGFydBIQCghzZXF1ZW5jZRgCIAEoBBIsCgVpdGVtcxgDIAMoCzIdLnRva2VudmF1bHQudjEuRGV0b2tlbml6ZUl0"
        "ZW0ihwEKGERldG9rZW5pemVTdHJlYW1SZXNwb25zZRIQCghzZXF1ZW5jZRgBIAEoBBIwCgdyZXN1bHRzGAIgAygLMh8udG9rZW52"
        "YXVsdC52MS5EZXRva2VuaXplUmVzdWx0EicKB3JlY2VpcHQYAyABKAsyFi50b2tlbnZhdWx0LnYxLlJlY2VpcHQy2QMKDFRva2Vu"
        "U2VydmljZRJLCghUb2tlbml6ZRIeLnRva2VudmF1bHQudjEuVG9rZW5pemVSZXF1ZXN0Gh8udG9rZW52YXVsdC52MS5Ub2tlbml6"
        "ZVJlc3BvbnNlElEKCkRldG9rZW5pemUSIC50b2tlbnZhdWx0LnYxLkRldG9rZW5pemVSZXF1ZXN0GiEudG9rZW52YXVsdC52MS5E"
        "ZXRva2VuaXplUmVzcG9uc2USXQoORGVzY3JpYmVUb2tlbnMSJC50b2tlbnZhdWx0LnYxLkRlc2NyaWJlVG9rZW5zUmVxdWVzdBol"
        "LnRva2VudmF1bHQudjEuRGVzY3JpYmVUb2tlbnNSZXNwb25zZRJhCg5Ub2tlbml6ZVN0cmVhbRIkLnRva2VudmF1bHQudjEuVG9r"
        "ZW5pemVTdHJlYW1SZXF1ZXN0GiUudG9rZW52YXVsdC52MS5Ub2tlbml6ZVN0cmVhbVJlc3BvbnNlKAEwARJnChBEZXRva2VuaXpl"
        "U3RyZWFtEiYudG9rZW52YXVsdC52MS5EZXRva2VuaXplU3RyZWFtUmVxdWVzdBonLnRva2VudmF1bHQudjEuRGV0b2tlbml6ZVN0"
        "cmVhbVJlc3BvbnNlKAEwAWIGcHJvdG8z"
    )
)
TokenizeRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenizeRequest"])
TokenizeItem = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenizeItem"])
TokenizeResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenizeResponse"])
TokenizeResult = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenizeResult"])
TokenIssued = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenIssued"])
DetokenizeRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DetokenizeRequest"])
DetokenizeItem = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DetokenizeItem"])
DetokenizeResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DetokenizeResponse"])
DetokenizeResult = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DetokenizeResult"])
ValueRevealed = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["ValueRevealed"])
DescribeTokensRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DescribeTokensRequest"])
DescribeTokensResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DescribeTokensResponse"])
DescribeTokenResult = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DescribeTokenResult"])
TokenDescription = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenDescription"])
StreamStart = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["StreamStart"])
TokenizeStreamRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenizeStreamRequest"])
TokenizeStreamResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["TokenizeStreamResponse"])
DetokenizeStreamRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DetokenizeStreamRequest"])
DetokenizeStreamResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["DetokenizeStreamResponse"])
