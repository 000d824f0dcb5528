"""What the emulated server offers: modules, their methods and who may call them.

Declarations only; `rxsdk.emulator.methods` runs them. The default is the app of the recordings: staff and album,
beside the core modules user, session, group and setting, which are always there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rxsdk.emulator.schema import Attr

if TYPE_CHECKING:
    from rxsdk.emulator.methods import Call

__all__ = ["EVERYBODY", "Args", "Method", "Module", "Permission", "default_modules", "standard_methods"]

Args = tuple[Mapping[str, Attr], ...]
"""Sets of args, one of which must be there whole."""

Reply = dict[str, Any]


@dataclass(frozen=True)
class Permission:
    """Who may call a method: who has ``privilege`` on its module, ``"*"`` being everybody.

    Args:
        own: the attr that must hold the caller's id, as if the caller had put it into the query.
        drop: attrs of the doc that are ignored.
        limit: of how many docs at most, whatever the query's ``$limit`` says.
    """

    privilege: str
    own: str | None = None
    drop: tuple[str, ...] = ()
    limit: int | None = None


EVERYBODY = Permission("*")


@dataclass(frozen=True)
class Method:
    """One method of a module.

    Args:
        permissions: the first that fits the caller is taken.
        query_args, doc_args: sets of args the query or doc must have; no demands when empty.
        kind: ``call`` over the socket, ``watch`` too, ``get`` and ``post`` over HTTP.
        run: what it does; the standard method of its name when None. For an app's own methods:
            a function of a `Call` that returns ``{"status", "msg", "args"}``.
    """

    permissions: tuple[Permission, ...] = (EVERYBODY,)
    query_args: Args = ()
    doc_args: Args = ()
    kind: str = "call"
    run: Callable[[Call], Reply] | None = None


@dataclass(frozen=True)
class Module:
    """One module: a collection of docs with these attrs, and its methods.

    Args:
        name: as it stands in ``name/method``.
        attrs: in the order the server checks and answers them; ``user`` and ``create_time`` are filled in.
        methods: mostly `standard_methods`.
        package: what its error codes begin with.
        unique: attrs no two docs may share; a tuple of attrs is unique together.
        stock_watch: its watch is the stock one of 6.0.5, which fails with ``watch_mode="stock"``.
    """

    name: str
    attrs: Mapping[str, Attr]
    methods: Mapping[str, Method]
    package: str = "limp_sample_app"
    unique: tuple[str | tuple[str, ...], ...] = ()
    stock_watch: bool = True

    @property
    def code(self) -> str:
        """What its error codes begin with."""
        return f"{self.package}_{self.name}".upper()


_ID_ARG: Args = ({"_id": Attr("ID")},)
FILE_ARGS: Args = (
    {"_id": Attr("ID"), "attr": Attr("STR"), "filename": Attr("STR")},
    {"_id": Attr("ID"), "attr": Attr("STR"), "thumb": Attr("STR"), "filename": Attr("STR")},
)


def standard_methods(open_to_all: Iterable[str] = ("read", "watch", "retrieve_file")) -> dict[str, Method]:
    """read, watch, create, update, delete and retrieve_file.

    Those in ``open_to_all`` are for everybody, each other one for who has the privilege of its name.
    """
    everybody = set(open_to_all)

    def allowed(name: str, privilege: str, *, drop: tuple[str, ...] = ()) -> tuple[Permission, ...]:
        return (Permission("*" if name in everybody else privilege, drop=drop),)

    return {
        "read": Method(allowed("read", "read")),
        "watch": Method(allowed("watch", "read"), kind="watch"),
        "create": Method(allowed("create", "create")),
        "update": Method(allowed("update", "update", drop=("user", "create_time")), query_args=_ID_ARG),
        "delete": Method(allowed("delete", "delete"), query_args=_ID_ARG),
        "retrieve_file": Method(allowed("retrieve_file", "read"), query_args=FILE_ARGS, kind="get"),
    }


def default_modules() -> tuple[Module, ...]:
    """The app of the recordings: staff, whose watch works everywhere, and album, whose watch is the stock one."""
    image = ("image/*",)
    staff = Module(
        "staff",
        {
            "user": Attr("ID"),
            "photo": Attr("FILE", types=image),
            "name": Attr("LOCALE"),
            "job_title": Attr("LOCALE"),
            "bio": Attr("LOCALE"),
            "create_time": Attr("DATETIME"),
        },
        standard_methods(),
        stock_watch=False,
    )
    album = Module(
        "album",
        {
            "user": Attr("ID"),
            "name": Attr("LOCALE"),
            "cover": Attr("FILE", default=None, types=image),
            "photos": Attr("LIST", default=[], items=(Attr("FILE", types=image),)),
            "rank": Attr("INT", default=0),
            "tags": Attr("LIST", default=[], items=(Attr("STR"),)),
            "create_time": Attr("DATETIME"),
        },
        standard_methods(),
    )
    return (staff, album)
