"""LIMP, the wire: envelope, signatures, hashes, uploads, and the machine that knows their order.

Source: the protocol note ``limp.md``, recordings of LIMPd 6.0.5 and the public Angular and NativeScript SDKs.
Floor 0: pure. Used by `rxsdk.limp`.
"""
