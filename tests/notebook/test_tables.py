"""Docs and replies as markup: readable, escaped, without secrets."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

pytest.importorskip("IPython", reason="IPython is not installed (extra: notebook)")

from rxsdk import Args, Res, notebook
from rxsdk.notebook import Table, table, tables
from rxsdk.notebook.html import Html, tag
from rxsdk.notebook.tables import reply, size_text, table_of

ID = "6b017d55cceac8d69c000001"


@dataclasses.dataclass
class Staff:
    _id: str
    age: int


class Album(msgspec.Struct):
    title: str


def shown(value: Any) -> str:
    """The markup of one cell."""
    row = table_of([{"attr": value}]).split("<tbody>")[1]
    return row[row.index("<td") : row.rindex("</td>") + 5]


def test_text_is_escaped_wherever_it_stands() -> None:
    evil = """<script>alert("'&")</script>"""
    res: Res[Any] = Res(
        400, evil, Args({"code": evil, evil: evil, "docs": [{"_id": ID, evil: evil, "name": {"en_AE": evil}}]})
    )
    for markup in (
        reply(res, evil),
        table([{evil: [evil], "file": {"name": evil, "type": evil, "size": 1}}])._repr_html_(),
    ):
        assert "<script" not in markup
        assert "&lt;script&gt;" in markup
    assert tag("b", title='"><i>') == '<b title="&quot;&gt;&lt;i&gt;"></b>'
    assert (
        tag("b", Html("<i></i>"), None, ["x", Html("<u></u>")], hidden=True, class_=None)
        == '<b hidden=""><i></i>x<u></u></b>'
    )


def test_secrets_are_not_shown() -> None:
    session = {"token": "S3CRET", "user": {"email": "ada@example.com", "email_hash": "S3CRET"}, "expiry": "2026-12-21"}
    res: Res[Any] = Res(
        200, "", Args({"session": session, "token": "S3CRET", "docs": [{"_id": ID, "password": "S3CRET"}]})
    )
    markup = reply(res)
    assert "S3CRET" not in markup
    assert "ada@example.com" in markup
    assert "S3CRET" not in table([{"hash": "S3CRET", "deep": [{"token": "S3CRET"}]}])._repr_html_()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, '<td><span class="rx-muted">–</span></td>'),
        (True, "<td>✓</td>"),
        (False, "<td>✗</td>"),
        (1234567, '<td class="rx-number">1,234,567</td>'),
        (10**40, f'<td class="rx-number"><span title="{10**40:,}">{10**40:,}</span></td>'),
        (0.5, '<td class="rx-number">0.5</td>'),
        (51.507351, '<td class="rx-number">51.507351</td>'),
        (1795272847.25, '<td class="rx-number">1795272847.25</td>'),
        (0.1 + 0.2, '<td class="rx-number"><span title="0.30000000000000004">0.3</span></td>'),
        ("Ada", "<td><bdi>Ada</bdi></td>"),
        (ID, f'<td><span class="rx-id" title="{ID}">…000001</span></td>'),
        ("2026-11-21T11:15:33.605972", '<td><span title="2026-11-21T11:15:33.605972">2026-11-21 11:15</span></td>'),
        ([1, "a"], '<td><span class="rx-code">[1,&quot;a&quot;]</span></td>'),
        ("narrow " * 4, f'<td><bdi title="{"narrow " * 4}">{"narrow " * 4}</bdi></td>'),
        ({}, '<td><span class="rx-code">{}</span></td>'),
        ({"a": 1}, '<td><span class="rx-code">{&quot;a&quot;:1}</span></td>'),
        ({"a": 1j}, '<td><span class="rx-code">{&#x27;a&#x27;: 1j}</span></td>'),
        (
            {"name": "a.png", "type": "image/png", "size": 2048, "lastModified": 1, "content": True},
            '<td><span class="rx-file">a.png <span class="rx-muted">2.0 KiB</span></span></td>',
        ),
        (
            {"ar_AE": "آدا", "en_AE": "Ada"},
            '<td><bdi lang="en" title="en_AE: Ada">Ada</bdi><span class="rx-muted"> · </span>'
            '<bdi lang="ar" title="ar_AE: آدا">آدا</bdi></td>',
        ),
        ({"ar_AE": "Ada", "en_AE": "Ada"}, '<td><bdi lang="ar" title="ar_AE: Ada">Ada</bdi></td>'),
    ],
)
def test_what_a_value_looks_like(value: Any, expected: str) -> None:
    assert shown(value) == expected


def test_long_things_are_cut_and_said_to_be() -> None:
    markup = table_of([{f"attr{n}": "x" * 200 for n in range(16)} for _ in range(60)])
    assert markup.count("<tr") == 51
    assert "10 more rows · more columns: attr14, attr15" in markup
    assert "x" * 119 + "…" in markup
    assert "x" * 121 not in markup.replace('title="' + "x" * 200, "")


def test_what_cannot_be_seen_is_made_visible() -> None:
    markup = shown("a\x00b\x1b[31m\x7f\ud800\n")
    assert "a␀b␛[31m␡�\n" in markup
    markup.encode()
    assert "�evil��" in shown("\u202eevil\u202d\x9b")
    assert "␀" in tag("b", title="\x00")


def test_more_columns_than_anybody_reads() -> None:
    markup = table_of([{f"attr{n}" + "x" * 200: n for n in range(1000)}])
    assert "and 976 others" in markup
    assert len(markup) < 8_000


def test_a_table_pays_for_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_apart: list[Any] = []
    monkeypatch.setattr(tables, "redact", lambda doc: taken_apart.append(doc) or doc)
    docs = [{"_id": str(number)} for number in range(100_000)]
    res: Res[Any] = Res(200, "Found.", Args({"docs": docs}))
    for markup in (table(docs)._repr_html_(), notebook._docs_html(docs), reply(res)):
        assert "99,950 more rows" in str(markup)
    assert len(taken_apart) == 3 * tables.MOST_ROWS + 1  # and what else the reply says


def test_what_a_reply_looks_like() -> None:
    res: Res[Any] = Res(
        403, "No.", Args({"code": "CORE_NO", "call_id": "c", "count": 3, "groups": {}, "session": "odd"})
    )
    markup = reply(res, "staff/read")
    for part in ("rx-bad", "403", "staff/read", "No.", "CORE_NO", '<span class="rx-key">count</span>3'):
        assert part in markup
    assert "call_id" not in markup
    assert "groups" not in markup
    anonymous: Res[Any] = Res(200, "", Args({"session": {"user": ID}}))
    assert "000001" in reply(anonymous)


def test_a_table_of_anything_that_is_a_doc() -> None:
    assert "…000001" in table([Staff(ID, 36)])._repr_html_()
    assert "Holiday" in table(Res(200, "", Args({"docs": [Album("Holiday")]})))._repr_html_()
    assert "No docs." in table([])._repr_html_()
    assert ">1 more row<" in table([{"a": 1}, {"a": 2}], limit=1)._repr_html_()
    assert repr(table([{"a": 1}])) == "<table of 1 doc>"
    assert isinstance(table([]), Table)
    with pytest.raises(TypeError, match="int is no document"):
        table([1])
    with pytest.raises(TypeError, match="object is no document"):
        table([object()])


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(8, "8 bytes"), (1024, "1.0 KiB"), (3_000_000, "2.9 MiB"), (5 * 1024**3, "5.0 GiB")]
)
def test_sizes(n_bytes: int, text: str) -> None:
    assert size_text(n_bytes) == text
