"""The messages of the contract, made from proto/ by clients/python/generate.py."""
