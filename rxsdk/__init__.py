"""rxsdk: LIMP for Python, reactively. Every call returns an Observable; subjects multicast what the server pushes.

Start with `ApiService` and `SDKConfig`; `rxsdk.errors` has the tree of everything that can go wrong.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rxsdk.cache import CredentialCache, Credentials, FileCache, KeyringCache, MemoryCache
from rxsdk.changes import Created, Deleted, Gap, Snapshot, Updated
from rxsdk.config import SDKConfig
from rxsdk.core.mailbox import DeliveryPolicy
from rxsdk.core.reconnect import ReconnectPolicy
from rxsdk.core.state import ConnectionState
from rxsdk.errors import (
    AuthError,
    CacheError,
    CallCancelled,
    CallError,
    CallNotSent,
    CallOutcomeUnknown,
    CallRejected,
    CallTimeout,
    CollectionTooLarge,
    ConfigurationError,
    ConnectFailed,
    ConnectionLost,
    DeliveryOverflow,
    DocTypeMismatch,
    DownloadError,
    HeartbeatTimeout,
    InvalidCall,
    LocalProtocolError,
    NoCredentials,
    ProtocolError,
    RemoteProtocolError,
    ReplyMismatch,
    RxSdkError,
    SylkError,
    TransportError,
    UploadError,
    VerifyRefused,
    WrongThreadError,
)
from rxsdk.files import Download, File
from rxsdk.limp import ApiService
from rxsdk.protocols.limp.operators import Add, Append, AppendUnique, DelIndex, DelVal, Multiply, Pull, SetIndex
from rxsdk.protocols.limp.query import Q
from rxsdk.protocols.limp.quota import QuotaPolicy
from rxsdk.protocols.limp.res import Args, Doc, Query, Res, Session
from rxsdk.reactive.call import Call, Outcome
from rxsdk.reactive.progress import DownloadProgress, UploadProgress
from rxsdk.reactive.streams import Stream
from rxsdk.reactive.subscription import Subscription
from rxsdk.secret import Secret
from rxsdk.watch import Watch

if TYPE_CHECKING:
    from rxsdk.chat import ChatConfig, ChatService
    from rxsdk.sylk import SylkAccount, SylkConfig, SylkFeed, SylkRoom, SylkService, SylkSession, SylkState

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The other wires are imported when somebody asks for them: who speaks LIMP alone does not wait for them."""
    module = "rxsdk.chat" if name.startswith("Chat") else "rxsdk.sylk" if name.startswith("Sylk") else None
    if module is None or name not in __all__:
        raise AttributeError(f"module 'rxsdk' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def on_unhandled(error: BaseException) -> None:
    """Told of every exception that no observer took (one raised in a callback, an error without ``on_error``).

    Replace it to send them elsewhere: ``rxsdk.on_unhandled = report``. They are logged under ``rxsdk`` in any case.
    """


__all__ = [
    "Add",
    "ApiService",
    "Append",
    "AppendUnique",
    "Args",
    "AuthError",
    "CacheError",
    "Call",
    "CallCancelled",
    "CallError",
    "CallNotSent",
    "CallOutcomeUnknown",
    "CallRejected",
    "CallTimeout",
    "ChatConfig",
    "ChatService",
    "CollectionTooLarge",
    "ConfigurationError",
    "ConnectFailed",
    "ConnectionLost",
    "ConnectionState",
    "Created",
    "CredentialCache",
    "Credentials",
    "DelIndex",
    "DelVal",
    "Deleted",
    "DeliveryOverflow",
    "DeliveryPolicy",
    "Doc",
    "DocTypeMismatch",
    "Download",
    "DownloadError",
    "DownloadProgress",
    "File",
    "FileCache",
    "Gap",
    "HeartbeatTimeout",
    "InvalidCall",
    "KeyringCache",
    "LocalProtocolError",
    "MemoryCache",
    "Multiply",
    "NoCredentials",
    "Outcome",
    "ProtocolError",
    "Pull",
    "Q",
    "Query",
    "QuotaPolicy",
    "ReconnectPolicy",
    "RemoteProtocolError",
    "ReplyMismatch",
    "Res",
    "RxSdkError",
    "SDKConfig",
    "Secret",
    "Session",
    "SetIndex",
    "Snapshot",
    "Stream",
    "Subscription",
    "SylkAccount",
    "SylkConfig",
    "SylkError",
    "SylkFeed",
    "SylkRoom",
    "SylkService",
    "SylkSession",
    "SylkState",
    "TransportError",
    "Updated",
    "UploadError",
    "UploadProgress",
    "VerifyRefused",
    "Watch",
    "WrongThreadError",
    "on_unhandled",
]
