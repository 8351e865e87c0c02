"""The messages of tokenvault/v1/audit_service.proto.

Made by clients/python/generate.py: change the contract, not this file.
"""

import base64

from google.protobuf import descriptor_pool, message_factory

DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(
    base64.b64decode(
        "CiF0b2tlbnZhdWx0L3YxL2F1ZGl0X3NlcnZpY2UucHJvdG8SDXRva2VudmF1bHQudjEiOwoHUmVjZWlwdBIOCgZvcmlnaW4YASAB"
        "KAkSDQoFaW5kZXgYAiABKAQSEQoJbGVhZl9oYXNoGAMgASgMIu0BChVRdWVyeUFjY2Vzc0xvZ1JlcXVlc3QSDgoGcmVnaW9uGAEg"
        "ASgJEg8KB3B1cnBvc2UYAiABKAkSEQoJcmVmZXJlbmNlGAMgASgJEg8KB2Zyb21fbXMYBCABKAQSEAoIdW50aWxfbXMYBSABKAQS"
        "EQoJcHJpbmNpcGFsGAYgASgJEg4KBmFjdGlvbhgHIAEoCRIQCghkZWNpc2lvbhgIIAEoCRISCgpkYXRhX2NsYXNzGAkgASgJEg0K"
        "BXRva2VuGAogASgJEhEKCXBhZ2Vfc2l6ZRgLIAEoDRISCgpwYWdlX3Rva2VuGAwgASgJIpwBChZRdWVyeUFjY2Vzc0xvZ1Jlc3Bv"
        "bnNlEi4KB2VudHJpZXMYASADKAsyHS50b2tlbnZhdWx0LnYxLkFjY2Vzc0xvZ0VudHJ5EhcKD25leHRfcGFnZV90b2tlbhgCIAEo"
        "CRIQCghsb2dfc2l6ZRgDIAEoBBInCgdyZWNlaXB0GAQgASgLMhYudG9rZW52YXVsdC52MS5SZWNlaXB0IpgDCg5BY2Nlc3NMb2dF"
        "bnRyeRInCgdyZWNlaXB0GAEgASgLMhYudG9rZW52YXVsdC52MS5SZWNlaXB0EhMKC2xvZ190aW1lX21zGAIgASgEEhQKDHdhbGxf"
        "dGltZV9tcxgDIAEoBBISCgpyZXF1ZXN0X2lkGAQgASgJEg4KBnRlbmFudBgFIAEoCRIRCglwcmluY2lwYWwYBiABKAkSGgoSY2Vy"
        "dGlmaWNhdGVfc2hhMjU2GAcgASgJEg4KBnNvdXJjZRgIIAEoCRIOCgZhY3Rpb24YCSABKAkSEAoIZGVjaXNpb24YCiABKAkSDgoG"
        "cmVhc29uGAsgASgJEg8KB3B1cnBvc2UYDCABKAkSEQoJcmVmZXJlbmNlGA0gASgJEhAKCGF1ZGllbmNlGA4gASgJEhIKCnBvbGlj"
        "eV9pZHMYDyADKAkSFgoOcG9saWN5X3ZlcnNpb24YECABKAkSLAoFaXRlbXMYESADKAsyHS50b2tlbnZhdWx0LnYxLkFjY2Vzc0xv"
        "Z0l0ZW1zEg0KBWNvdW50GBIgASgEInIKDkFjY2Vzc0xvZ0l0ZW1zEhIKCmRhdGFfY2xhc3MYASABKAkSDwoHb3V0Y29tZRgCIAEo"
        "CRINCgVjb3VudBgDIAEoDRIWCg5yZWNvcmRfbnVtYmVycxgEIAMoBBIUCgx0b2tlbl9oYXNoZXMYBSADKAwiJgoUR2V0Q2hlY2tw"
        "b2ludFJlcXVlc3QSDgoGcmVnaW9uGAEgASgJIkEKFUdldENoZWNrcG9pbnRSZXNwb25zZRISCgpjaGVja3BvaW50GAEgASgJEhQK"
        "DHZlcmlmaWVyX2tleRgCIAEoCTLJAQoMQXVkaXRTZXJ2aWNlEl0KDlF1ZXJ5QWNjZXNzTG9nEiQudG9rZW52YXVsdC52MS5RdWVy"
        "eUFjY2Vzc0xvZ1JlcXVlc3QaJS50b2tlbnZhdWx0LnYxLlF1ZXJ5QWNjZXNzTG9nUmVzcG9uc2USWgoNR2V0Q2hlY2twb2ludBIj"
        "LnRva2VudmF1bHQudjEuR2V0Q2hlY2twb2ludFJlcXVlc3QaJC50b2tlbnZhdWx0LnYxLkdldENoZWNrcG9pbnRSZXNwb25zZWIG"
        "cHJvdG8z"
    )
)
Receipt = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["Receipt"])
QueryAccessLogRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["QueryAccessLogRequest"])
QueryAccessLogResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["QueryAccessLogResponse"])
AccessLogEntry = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["AccessLogEntry"])
AccessLogItems = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["AccessLogItems"])
GetCheckpointRequest = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["GetCheckpointRequest"])
GetCheckpointResponse = message_factory.GetMessageClass(DESCRIPTOR.message_types_by_name["GetCheckpointResponse"])
