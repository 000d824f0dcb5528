"""`HttpFiles`: files over HTTP, beside the socket: where they are read, and at level 6.1 where they are posted to.

Floor 2; the only home of httpx (extra ``http``), which is imported when first needed. One client a service, made on its
loop and closed with it. Foreign errors are made ours here. Source: limp.md, "Files".
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from rxsdk.errors import ConfigurationError, ConnectionLost, DownloadError, InvalidCall, RemoteProtocolError
from rxsdk.files.sources import Buffer, Upload
from rxsdk.protocols.limp.codec import decode_frame
from rxsdk.protocols.limp.res import Res

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpFiles", "HttpSettings", "file_url", "http_base"]

PIECE_BYTES = 64 * 1024
_NOT_REACHED = (502, 503, 504)  # what a gateway says for a server that is down


@dataclass(frozen=True)
class HttpSettings:
    """What the client is made with; see `SDKConfig`. ``session_headers`` are those of whoever is signed in."""

    api: str
    connect_timeout_s: float
    timeout_s: float | None
    ssl_context: ssl.SSLContext | None
    proxy: str | bool
    headers: Mapping[str, str]
    session_headers: Callable[[], Mapping[str, str]]


def http_base(api: str) -> str:
    """``wss://host/ws/realm`` → ``https://host/realm``: where the server of ``api`` has its files."""
    parts = urlsplit(api)
    steps = [step for step in parts.path.split("/") if step]
    if "ws" in steps:
        steps.remove("ws")
    scheme = "https" if parts.scheme.lower() == "wss" else "http"
    return urlunsplit((scheme, parts.netloc, "".join(f"/{step}" for step in steps), "", ""))


def file_url(api: str, module: str, _id: str, attr: str, name: str) -> str:
    """Where the file ``name`` of a document is read.

    Raises:
        InvalidCall: a part is no text, or one that a URL cannot carry.
    """
    endpoint = "file/download"
    for field, value in (("module", module), ("_id", _id), ("attr", attr), ("name", name)):
        if not isinstance(value, str) or not value:
            raise InvalidCall(endpoint, field, "must be a non-empty string")
        if value in (".", ".."):
            raise InvalidCall(endpoint, field, f"{value!r} has no place in a URL")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidCall(endpoint, field, "holds a lone surrogate, which is no text") from None
    where = "/".join(quote(part, safe="") for part in (module, "retrieve_file", _id, attr, name))
    return f"{http_base(api)}/{where}"


class HttpFiles:
    """See the module."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the client, if one was needed."""
        if self._client is not None:
            await self._client.aclose()

    @staticmethod
    def check(what: str) -> None:
        """Raise `ConfigurationError` when the extra is not installed; ``what`` needs it."""
        try:
            import httpx  # noqa: F401, PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(what, "needs: pip install 'rxsdk[http]'") from None

    def _opened(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415 - an extra

        if self._client is None:
            settings = self._settings
            self._client = httpx.AsyncClient(
                headers=settings.headers,
                verify=True if settings.ssl_context is None else settings.ssl_context,
                proxy=settings.proxy if isinstance(settings.proxy, str) else None,
                trust_env=settings.proxy is True,
                timeout=httpx.Timeout(settings.timeout_s, connect=settings.connect_timeout_s),
            )
        return self._client

    # -- downloads

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.Response]:
        """The answer to a GET, its body unread.

        Raises:
            DownloadError: refused (with its ``status``), or not reached, or broken off while it was read.
        """
        import httpx  # noqa: PLC0415 - an extra

        try:
            sent = {**self._settings.session_headers(), "Accept-Encoding": "identity", **(headers or {})}
            async with self._opened().stream("GET", url, headers=sent) as response:
                if response.status_code not in (200, 206):
                    raise DownloadError(url, await _reason(response), status=response.status_code)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DownloadError(url, str(error) or type(error).__name__) from error

    async def pieces(self, url: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a file. Raises as `get`, and when there are fewer than were announced."""
        async with self.get(url) as response:
            async for piece in response.aiter_bytes(PIECE_BYTES):
                yield piece

    # -- uploads, level 6.1

    async def post(
        self,
        module: str,
        upload: Upload,
        chunks: AsyncGenerator[Buffer, None],
        sent: Callable[[int], Coroutine[Any, Any, None]],
    ) -> Res[Any]:
        """``POST /file/create``: one file as a form, streamed; ``sent`` is told of the bytes as they go out.

        Raises:
            ConnectionLost: not reached, not by the gateway before it either, or broken off.
            RemoteProtocolError: the answer is none.
            UploadError: the file cannot be read.
        """
        import httpx  # noqa: PLC0415 - an extra

        form = _Form(module, upload)
        headers = {**self._settings.session_headers(), **form.headers}
        try:
            url = f"{http_base(self._settings.api)}/file/create"
            response = await self._opened().post(url, headers=headers, content=form.body(chunks, sent))
        except httpx.HTTPError as error:
            raise ConnectionLost(f"file/create: {str(error) or type(error).__name__}") from error
        try:
            return decode_frame(response.content)
        except RemoteProtocolError as error:
            if response.status_code in _NOT_REACHED:
                raise ConnectionLost(f"file/create: HTTP {response.status_code}") from None
            raise RemoteProtocolError(f"file/create was answered HTTP {response.status_code}: {error}") from None


class _Form:
    """One file as ``multipart/form-data``, the five particulars before it."""

    def __init__(self, module: str, upload: Upload) -> None:
        info = upload.source.info
        boundary = secrets.token_hex(16)
        fields = {
            "__module": module,
            "__attr": upload.attr,
            "lastModified": str(info.last_modified_ms),
            "type": info.mime_type,
            "name": info.name,
        }
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
            for field, value in fields.items()
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(self._head) + info.size + len(self._tail)),
        }

    async def body(
        self, chunks: AsyncGenerator[Buffer, None], sent: Callable[[int], Coroutine[Any, Any, None]]
    ) -> AsyncGenerator[bytes, None]:
        """The whole of it."""
        yield self._head
        async with aclosing(chunks):
            async for chunk in chunks:
                yield bytes(chunk)
                await sent(len(chunk))
        yield self._tail


async def _reason(response: Any) -> str:
    """What the server says of its refusal: its own words where it has any."""
    words = ""
    with suppress(RemoteProtocolError):
        words = f" {decode_frame((await response.aread())[:PIECE_BYTES]).msg!r}"
    return f"HTTP {response.status_code}{words}"
