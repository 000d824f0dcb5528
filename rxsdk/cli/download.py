"""Files over HTTP, as LIMP gives them: ``GET /{module}/retrieve_file/{_id}/{attr}/{name}``.

Part of the command line; the standard library's urllib, in a thread of whoever calls.
"""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.request
from urllib.parse import urlsplit

__all__ = ["fetch", "is_this_machine"]

PATIENCE_S = 10.0


def is_this_machine(url: str) -> bool:
    """Whether the host of ``url`` is this machine, so that no proxy stands between."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
