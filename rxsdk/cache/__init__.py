"""Where a session is kept between runs: the contract of the credential caches, and three of them.

    MemoryCache    gone with the process; what `SDKConfig` uses when it is given none
    FileCache      a JSON file only its owner may read
    KeyringCache   the desktop's keyring (the extra ``rxsdk[keyring]``, imported when one is made)

A leaf: imports `rxsdk.errors` and the standard library, nothing else of rxsdk. Called by the services, off
the event loop: the verbs block. No token or sid is ever in a log line, an error or a ``repr`` made here.
The siblings' name for it is `CacheService`.
"""

from rxsdk.cache.contract import CredentialCache, Credentials, scope_of
from rxsdk.cache.file import FileCache
from rxsdk.cache.keyring import KeyringCache
from rxsdk.cache.memory import MemoryCache

__all__ = ["CredentialCache", "Credentials", "FileCache", "KeyringCache", "MemoryCache", "scope_of"]
