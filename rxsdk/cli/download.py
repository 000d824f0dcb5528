"""Files over HTTP, as LIMP gives them: ``GET /{module}/retrieve_file/{_id}/{attr}/{name}``.

Part of the command line; the standard library's urllib, in a thread of whoever calls.
"""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

__all__ = ["fetch", "http_url", "is_this_machine"]

PATIENCE_S = 10.0


def is_this_machine(url: str) -> bool:
    """Whether the host of ``url`` is this machine, so that no proxy stands between."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def http_url(api: str) -> str:
    """``wss://host/ws/realm`` → ``https://host/realm``: where the server of ``api`` gives its files."""
    parts = urlsplit(api)
    path = "/".join(step for step in parts.path.split("/") if step not in ("", "ws"))
    scheme = "https" if parts.scheme.lower() == "wss" else "http"
    return urlunsplit((scheme, parts.netloc, f"/{path}" if path else "", "", ""))


def fetch(url: str) -> tuple[str, bytes]:
    """The media type and the body; blocks.

    Raises:
        OSError: the server refused (then an `urllib.error.HTTPError`), or could not be reached.
    """
    proxies = urllib.request.ProxyHandler({}) if is_this_machine(url) else urllib.request.ProxyHandler()
    opener = urllib.request.build_opener(proxies)
    try:
        with opener.open(url, timeout=PATIENCE_S) as response:
            return response.headers.get_content_type(), response.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise
