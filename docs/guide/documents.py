r"""
# Documents: asking, changing, typing

## Queries

A query is the server's own list: its items are ANDed, an item that is a list is an OR. Write it raw, or with
`rxsdk.Q`, which makes the same list:

| with `Q` | the list |
|---|---|
| `Q._id == "x"` | `[{"_id": "x"}]` |
| `(Q.rank > 3) & (Q.name != "x")` | `[{"rank": {"$gt": 3}}, {"name": {"$ne": "x"}}]` |
| `(Q.rank == 1) \| (Q.tags == "new")` | `[[{"rank": 1}, {"tags": "new"}]]` |
| `Q.rank.between(1, 5)` | `[{"rank": {"$bet": [1, 5]}}]` |
| `Q.rank.is_in([1, 2])`, `Q.rank.not_in([1, 2])` | `[{"rank": {"$in": [1, 2]}}]`, `[{"rank": {"$nin": [1, 2]}}]` |
| `Q.tags.has_all(["a", "b"])` | `[{"tags": {"$all": ["a", "b"]}}]` |
| `Q["name.en_AE"].matches("^ad")` | `[{"name.en_AE": {"$regex": "^ad"}}]` |
| `Q.sort("-rank", "name").skip(10).limit(5)` | `[{"$sort": {"rank": -1, "name": 1}}, {"$skip": 10}, {"$limit": 5}]` |
| `Q.search("ada")`, `Q.attrs("name")`, `Q.group("rank", 3)` | `[{"$search": "ada"}]`, `[{"$attrs": ["name"]}]`, `[{"$group": …}]` |
| `Q.special("$soft", True)` | `[{"$soft": true}]` |

Put each side of `&` and `|` in parentheses; `and`, `or` and `1 < Q.rank < 5` raise at once. What the server would
never answer, such as `$in` of nothing, is refused where it is written.

## Changes

An update replaces an attr, or does something to it:

```python
api.call("album/update", query=Q._id == album, doc={"rank": Add(1), "tags": Append("new"), "name": {"ar_AE": "…"}})
```

`Add` `Multiply` are for numbers; `Append` `AppendUnique` `Pull` `DelVal` `SetIndex` `DelIndex` for lists. Each is the
object that travels (`Add(1) == {"$add": 1}`).

## Types

`call(…, doc_type=Staff)` makes the documents of the reply into dataclasses, `msgspec.Struct`s or `TypedDict`s, and both
mypy and pyright know: `api.call("staff/read", doc_type=Staff)` is a `Call[Res[Staff]]`. A reply that does not fit is a
`DocTypeMismatch`.

`rxsdk typegen schema.toml -o app/limp_types.py` writes the types and a function for every endpoint, from a schema in
the server's own words:

```toml
[modules.album]
name = "LOCALE"
cover = "FILE?"                       # may be missing
rank = "INT?"
tags = "LIST[STR]?"
level = 'LITERAL["draft", "public"]'
place = "Place?"

[types.Place]                         # a DICT that has just these attrs
street = "STR"
```

```python
from app.limp_types import album_create, album_read, album_update

ref = album_create(api, {"name": {"ar_AE": "…"}, "level": "draft"}).result().docs[0]
album_update(api, Q._id == ref.id, {"level": "public"}).result()
print(album_read(api, Q._id == ref.id).result().docs[0].level)
```

The whole format is in `rxsdk.typegen`.
"""

__all__: list[str] = []
