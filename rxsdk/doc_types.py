"""``doc_type``: the documents of a reply as what the application knows them by.

Floor 3. msgspec converts; what it cannot make of the server's documents is a `DocTypeMismatch`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec

from rxsdk.errors import DocTypeMismatch, InvalidCall
from rxsdk.protocols.limp.res import Args, Res

__all__ = ["decoder", "doc_converter"]


def doc_converter(endpoint: str, doc_type: Any) -> Callable[[Any], Any]:
    """What makes one document into ``doc_type``."""
    if doc_type is None:
        return _as_it_is
    typed = decoder(endpoint, doc_type)
    return lambda doc: typed(Res(200, "", Args(docs=[doc]))).docs[0]


def _as_it_is(doc: Any) -> Any:
    return doc


@lru_cache(maxsize=256)
def _try_doc_type(doc_type: Any) -> None:
    msgspec.convert([], list[doc_type])


def decoder(endpoint: str, doc_type: Any) -> Callable[[Res[Any]], Res[Any]]:
    """What makes the docs of a reply into ``doc_type``; one that cannot work is told before anything is sent."""
    try:
        _try_doc_type(doc_type)
    except (TypeError, NameError):
        raise InvalidCall(endpoint, "doc_type", f"{doc_type!r} is no type that docs can be made into") from None
    return partial(_typed, endpoint, doc_type)


def _typed(endpoint: str, doc_type: Any, res: Res[Any]) -> Res[Any]:
    """``res`` with its docs made into ``doc_type``."""
    docs = res.args.get("docs")
    if not isinstance(docs, list):
        return res
    try:
        typed = msgspec.convert(docs, list[doc_type])
    except msgspec.ValidationError as error:
        problem = str(error).replace("`$", "`args.docs", 1)
        raise DocTypeMismatch(endpoint, problem, res) from None
    return Res(res.status, res.msg, Args({**res.args, "docs": typed}), res.extra)
