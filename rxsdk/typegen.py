"""Typed documents and endpoints, written from a schema: what ``rxsdk typegen schema.toml`` prints.

A leaf: it writes code that uses the SDK, and uses nothing of it but its errors. The schema names the attrs of the
server's modules in the server's own words:

    [modules.staff]                      # a module: its attrs
    photo = "FILE"
    name = "LOCALE"
    rank = "INT?"                        # may be missing
    tags = "LIST[STR | INT]"
    level = 'LITERAL["junior", "senior"]'
    address = "Address?"

    [types.Address]                      # a DICT that has just these attrs
    street = "STR"

    [methods]                            # of a module that has other ones than
    staff = ["read", "create", "promote"] # read, watch, create, update, delete

Types: ANY ID STR INT FLOAT BOOL EMAIL DATETIME LOCALE LOCALES IP FILE DICT, ``LIST[…]``, ``KV_DICT[…]``,
``LITERAL[…]``, and the names under ``types``; ``|`` is either, ``?`` at the end is optional. Every document has an
``_id``, which is not written down.

For a module ``staff`` it writes ``Staff`` (a document as ``read`` gives it), ``StaffPart`` (as a watch and ``$attrs``
give it: what was not sent is unset), ``NewStaff`` (for ``create``), ``StaffChanges`` (for ``update``: values or
operators), and the functions ``staff_read``, ``staff_create`` …
"""

from __future__ import annotations

import ast
import keyword
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rxsdk.errors import ConfigurationError

__all__ = ["Kind", "typed_module"]

Kind = Literal["struct", "typed-dict"]

_WIDTH = 120
STANDARD_METHODS = ("read", "watch", "create", "update", "delete")
_FILLED_IN = ("user", "create_time")  # by the server
_PLAIN = {
    **dict.fromkeys(("ID", "STR", "EMAIL", "LOCALES", "IP"), "str"),
    **{"ANY": "Any", "INT": "int", "FLOAT": "float", "BOOL": "bool", "DATETIME": "datetime"},
    **{"LOCALE": "dict[str, str]", "DICT": "dict[str, Any]"},
}


@dataclass(frozen=True)
class _Attr:
    """An attr, its type as Python says it: as it is read, and as it may be written."""

    name: str
    read: str
    write: str
    is_optional: bool

    @property
    def field(self) -> str:
        """Its name in a class."""
        field = self.name.lstrip("_")
        return f"{field}_" if keyword.iskeyword(field) else field


def typed_module(schema: str, *, kind: Kind = "struct", source: str = "schema.toml") -> str:
    """The Python module for ``schema`` (the text of a TOML file, see above).

    Args:
        kind: ``msgspec.Struct`` classes (attributes), or ``TypedDict`` (plain dicts).
        source: the name of the file, to say where the module comes from.

    Raises:
        ConfigurationError: the schema cannot work; the error names the place.
    """
    try:
        raw = tomllib.loads(schema)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(source, f"is not TOML: {error}") from None
    return _Writer(raw, kind, source).module()


class _Writer:
    def __init__(self, raw: Mapping[str, Any], kind: Kind, source: str) -> None:
        for section in raw:
            if section not in ("modules", "types", "methods"):
                raise ConfigurationError(source, f"has no section [{section}]; there are modules, types and methods")
        self._is_struct = kind == "struct"
        self._source = source
        self._type_names = tuple(_table(source, raw, "types"))
        self._types = {name: self._attrs(f"types.{name}", one) for name, one in _table(source, raw, "types").items()}
        self._modules = {
            name: self._attrs(f"modules.{name}", one) for name, one in _table(source, raw, "modules").items()
        }
        if not self._modules:
            raise ConfigurationError(source, "has no [modules.…]")
        self._methods = self._checked_methods(_table(source, raw, "methods"))

    # -- reading

    def _checked_methods(self, raw: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        for name, methods in raw.items():
            if name not in self._modules:
                raise ConfigurationError(self._source, f"methods.{name}: there is no [modules.{name}]")
            if not isinstance(methods, list) or not all(isinstance(one, str) and one.isidentifier() for one in methods):
                raise ConfigurationError(self._source, f"methods.{name}: must be a list of names")
        return {name: tuple(raw.get(name, STANDARD_METHODS)) for name in self._modules}

    def _attrs(self, place: str, raw: Any) -> list[_Attr]:
        name = place.partition(".")[2]
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigurationError(self._source, f"{place}: the name must be one that Python takes")
        if not isinstance(raw, dict) or not raw:
            raise ConfigurationError(self._source, f"{place}: must be a table of attrs")
        attrs = [self._attr(f"{place}.{attr}", attr, written) for attr, written in raw.items()]
        for attr in attrs:
            if not attr.field.isidentifier():
                raise ConfigurationError(self._source, f"{place}.{attr.name}: the name must be one that Python takes")
        return attrs

    def _attr(self, place: str, name: str, written: Any) -> _Attr:
        if not isinstance(written, str):
            raise ConfigurationError(self._source, f'{place}: must be a type in quotes, such as "STR"')
        text = written.strip()
        try:
            tree = ast.parse(text.removesuffix("?").strip(), mode="eval").body
        except SyntaxError:
            raise ConfigurationError(self._source, f"{place}: {written!r} is no type") from None
        return _Attr(name, self._type(place, tree, False), self._type(place, tree, True), text.endswith("?"))

    def _type(self, place: str, tree: ast.expr, writing: bool) -> str:
        """``tree`` as Python says it."""
        match tree:
            case ast.Name(id="FILE"):
                return "Upload" if writing else "StoredFile"
            case ast.Name(id=name) if name in _PLAIN:
                return _PLAIN[name]
            case ast.Name(id=name) if name in self._type_names:
                return f"{name}Dict" if writing and self._is_struct else name
            case ast.Name(id="LIST"):
                return "list[Any]"
            case ast.Subscript(value=ast.Name(id="LIST"), slice=item):
                return f"list[{self._type(place, item, writing)}]"
            case ast.Subscript(value=ast.Name(id="KV_DICT"), slice=item):
                return f"dict[str, {self._type(place, item, writing)}]"
            case ast.Subscript(value=ast.Name(id="LITERAL"), slice=item):
                return f"Literal[{self._literals(place, item)}]"
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return f"{self._type(place, left, writing)} | {self._type(place, right, writing)}"
        known = ", ".join((*_PLAIN, "FILE", "LIST[…]", "KV_DICT[…]", "LITERAL[…]", *self._type_names))
        raise ConfigurationError(self._source, f"{place}: {ast.unparse(tree)!r} is no type; there are {known}")

    def _literals(self, place: str, tree: ast.expr) -> str:
        items = tree.elts if isinstance(tree, ast.Tuple) else [tree]
        if not all(isinstance(item, ast.Constant) and isinstance(item.value, (str, int)) for item in items):
            raise ConfigurationError(self._source, f"{place}: LITERAL takes texts and whole numbers")
        return ", ".join(_quoted(item.value) for item in items if isinstance(item, ast.Constant))

    # -- writing

    def module(self) -> str:
        body = "\n\n\n".join(self._blocks())
        return f"{self._head(body)}\n\n{body}\n"

    def _head(self, body: str) -> str:
        typing = [name for name in ("Any", "BinaryIO", "Literal", "NotRequired", "TypedDict", "Unpack") if name in body]
        ours = ["ApiService", "Call", "Doc", "File", "Query", "Res"]
        lines = [
            f'"""Documents and endpoints of the server: made by ``rxsdk typegen {self._source}``, not by hand."""',
            "",
            "from __future__ import annotations",
            "",
            *(["from collections.abc import Mapping"] if "Mapping[" in body else []),
            *(["from datetime import datetime"] if "datetime" in body else []),
            *(["from pathlib import Path"] if "Path" in body else []),
            f"from typing import {', '.join(typing)}",
            "",
            *(["import msgspec", ""] if self._is_struct else []),
            f"from rxsdk import {', '.join(name for name in ours if _uses(body, name))}",
            *(["from rxsdk.protocols.limp.operators import Operator"] if "Operator" in body else []),
        ]
        return "\n".join(lines)

    def _blocks(self) -> Iterator[str]:
        everything = [attr for attrs in (*self._types.values(), *self._modules.values()) for attr in attrs]
        has_files = any("StoredFile" in attr.read for attr in everything)
        if has_files:
            yield "Upload = Path | BinaryIO | File"
        yield _OPTIONS
        if has_files:
            yield _STORED_FILE[self._is_struct]
        yield _REF[self._is_struct]
        for name, attrs in self._types.items():
            yield self._class(name, f"A DICT of {self._source}.", attrs)
            if self._is_struct:
                yield self._written(f"{name}Dict", f"`{name}` as it is written.", attrs)
        for name, attrs in self._modules.items():
            yield from self._module(name, attrs)

    def _module(self, module: str, attrs: list[_Attr]) -> Iterator[str]:
        name = "".join(part[:1].upper() + part[1:] for part in module.split("_"))
        methods = self._methods[module]
        yield self._class(name, f"A document of {module}.", attrs, has_id=True)
        if "watch" in methods:
            yield self._part(f"{name}Part", f"What was sent of a document of {module}.", attrs)
        if "create" in methods:
            yield self._written(f"New{name}", f"What ``{module}/create`` takes.", attrs)
        if "update" in methods:
            changes = [_Attr(one.name, "", f"{one.write} | Operator", True) for one in attrs]
            yield self._written(f"{name}Changes", f"What ``{module}/update`` takes.", changes, total=False)
        for method in methods:
            yield _function(module, name, method)

    def _class(self, name: str, doc: str, attrs: list[_Attr], *, has_id: bool = False) -> str:
        """A document as it is read."""
        if not self._is_struct:
            fields = [("_id", "str")] if has_id else []
            fields += [(one.name, f"{one.read} | None" if one.is_optional else one.read) for one in attrs]
            return _typed_dict(name, doc, fields)
        lines = ['    id: str = msgspec.field(name="_id")'] if has_id else []
        for one in attrs:
            type_ = f"{one.read} | None" if one.is_optional else one.read
            lines.append(_struct_field(one, type_, "None" if one.is_optional else None))
        return _struct(name, doc, lines)

    def _part(self, name: str, doc: str, attrs: list[_Attr]) -> str:
        if not self._is_struct:
            fields = [(one.name, f"{one.read} | None" if one.is_optional else one.read) for one in attrs]
            return _typed_dict(name, doc, [("_id", "str"), *fields], total=False)
        lines = ['    id: str = msgspec.field(name="_id")']
        for one in attrs:
            type_ = f"{one.read} | msgspec.UnsetType" + (" | None" if one.is_optional else "")
            lines.append(_struct_field(one, type_, "msgspec.UNSET"))
        return _struct(name, doc, lines)

    def _written(self, name: str, doc: str, attrs: list[_Attr], *, total: bool = True) -> str:
        """A document as it is written: a plain dict in any case."""
        fields = []
        for one in attrs:
            may_lack = total and (one.is_optional or one.name in _FILLED_IN)
            fields.append((one.name, f"NotRequired[{one.write}]" if may_lack else one.write))
        return _typed_dict(name, doc, fields, total=total)


def _table(source: str, raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = raw.get(name, {})
    if not isinstance(table, dict):
        raise ConfigurationError(source, f"[{name}] must be a table")
    return table


def _quoted(value: object) -> str:
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and '"' not in text and "\\" not in text else text


def _uses(body: str, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(ast.parse(body)))


def _struct(name: str, doc: str, lines: list[str]) -> str:
    fields = "\n".join(lines)
    return f'class {name}(msgspec.Struct, kw_only=True):\n    """{doc}"""\n\n{fields}'


def _struct_field(attr: _Attr, type_: str, default: str | None) -> str:
    if attr.field == attr.name:
        return f"    {attr.field}: {type_}" + (f" = {default}" if default else "")
    default = f", default={default}" if default else ""
    return f'    {attr.field}: {type_} = msgspec.field(name="{attr.name}"{default})'


def _typed_dict(name: str, doc: str, fields: list[tuple[str, str]], *, total: bool = True) -> str:
    if any(keyword.iskeyword(field) for field, _ in fields):  # only a call can name such keys
        lines = "".join(f'        "{field}": {_in_quotes(type_)},\n' for field, type_ in fields)
        tail = "" if total else "    total=False,\n"
        return f'{name} = TypedDict(\n    "{name}",\n    {{\n{lines}    }},\n{tail})\n"""{doc}"""'
    lines = "\n".join(f"    {field}: {type_}" for field, type_ in fields)
    tail = "" if total else ", total=False"
    return f'class {name}(TypedDict{tail}):\n    """{doc}"""\n\n{lines}'


def _in_quotes(type_: str) -> str:
    return repr(type_) if '"' in type_ else f'"{type_}"'


def _function(module: str, name: str, method: str) -> str:
    endpoint = f"{module}/{method}"
    takes, gives, passes, says = {
        "read": ("query: Query | None = None", name, "query=query", "The documents that ``query`` finds."),
        "watch": ("query: Query | None = None", f"{name}Part", "query=query", "The changes of what ``query`` finds."),
        "create": (f"doc: New{name}", "Ref", "doc=doc", "Create ``doc``."),
        "update": (f"query: Query, doc: {name}Changes", "Ref", "query=query, doc=doc", "Change what ``query`` finds."),
        "delete": ("query: Query", "Ref", "query=query", "Delete what ``query`` finds."),
    }.get(
        method,
        (
            "query: Query | None = None, doc: Mapping[str, Any] | None = None",
            "Doc",
            "query=query, doc=doc",
            f"Call ``{endpoint}``.",
        ),
    )
    typed = "" if gives == "Doc" else f", doc_type={gives}"
    takes = f"api: ApiService, {takes}, **options: Unpack[Options]"
    head = f"def {module}_{method}({takes}) -> Call[Res[{gives}]]:"
    if len(head) > _WIDTH:
        head = f"def {module}_{method}(\n    {takes}\n) -> Call[Res[{gives}]]:"
    return f'{head}\n    """{says}"""\n    return api.call("{endpoint}", {passes}{typed}, **options)'


_OPTIONS = '''\
class Options(TypedDict, total=False):
    """What every call takes beside its query and doc."""

    await_auth: bool
    timeout_s: float | None
    queue_timeout_s: float | None
    idempotent: bool | None'''

_STORED_FILE = {
    True: '''\
class StoredFile(msgspec.Struct, kw_only=True):
    """What the server tells of a file it keeps."""

    name: str
    type: str
    size: int
    last_modified: int = msgspec.field(name="lastModified")''',
    False: '''\
class StoredFile(TypedDict):
    """What the server tells of a file it keeps."""

    name: str
    type: str
    size: int
    lastModified: int''',
}

_REF = {
    True: '''\
class Ref(msgspec.Struct, kw_only=True):
    """A document by its id: what creating, updating and deleting answer."""

    id: str = msgspec.field(name="_id")''',
    False: '''\
class Ref(TypedDict):
    """A document by its id: what creating, updating and deleting answer."""

    _id: str''',
}
