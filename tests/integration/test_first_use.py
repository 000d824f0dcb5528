"""What first users try and trip over."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops

from rxsdk import (
    ApiService,
    CallNotSent,
    ConfigurationError,
    ConnectFailed,
    Credentials,
    File,
    FileCache,
    InvalidCall,
    NoCredentials,
    SDKConfig,
    UploadError,
    WrongThreadError,
)
from rxsdk.cache import scope_of
from rxsdk.emulator import Emulator
from tests.conftest import wait_until
from tests.integration.test_bad_input import closed_port
from tests.staff import album_doc


@pytest.mark.parametrize("loop", ["own", "running"])
def test_reactivex_own_factories_can_be_awaited(loop: str, emulator: Emulator) -> None:
    emulator.delay("staff/read", 0.05)

    async def main() -> None:
        async with asyncio.timeout(20), ApiService(emulator.config(loop=loop)) as api:
            for made in (
                reactivex.merge(api.call("staff/read"), api.call("staff/read")),
                reactivex.defer(lambda _: api.call("staff/read")),
                api.call("staff/read").pipe(ops.to_future()),
            ):
                assert (await made).status == 200
            both = await reactivex.zip(api.call("staff/read"), api.call("staff/read"))
            assert [res.status for res in both] == [200, 200]

    asyncio.run(main())


def test_a_service_whose_loop_has_ended_says_so(emulator: Emulator) -> None:
    api = ApiService(emulator.config())

    async def first() -> Any:
        api.init()
        await api.call("staff/read")
        emulator.silence("album/read")
        return api.call("album/read")

    pending = asyncio.run(first())
    with pytest.raises(Exception, match="album/read: "):
        pending.result(5)
    errors: list[Exception] = []
    api.call("staff/read").subscribe(on_error=errors.append)
    assert [type(error) for error in errors] == [CallNotSent]
    with pytest.raises(CallNotSent):
        api.call("staff/read").pipe(ops.map(str)).result(5)
    api.close().result(5)

    async def second() -> None:
        async with ApiService(emulator.config()) as another:
            assert (await another.call("staff/read")).status == 200

    asyncio.run(second())


def test_before_init_there_are_no_credentials(emulator: Emulator) -> None:
    with pytest.raises(NoCredentials):
        ApiService(emulator.config()).check_auth()


def test_who_hears_of_a_session_finds_it_in_the_cache(emulator: Emulator, tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "credentials.json")
    config = emulator.config(cache=cache)
    scope = scope_of(config.api, config.cache_key)
    with ApiService(config) as api:
        for _ in range(5):
            api.auth("email", emulator.admin_email, emulator.admin_password).result()
            assert api.session is not None
            assert cache.get(scope) == Credentials(api.session["_id"], api.session["token"])
            api.signout().result()
            assert cache.get(scope) is None


def test_an_empty_cache_of_ones_own_is_used(emulator: Emulator) -> None:
    class Mine(dict[str, Credentials]):
        put = dict.__setitem__

        def remove(self, scope: str) -> None:
            self.pop(scope, None)

    cache = Mine()
    with ApiService(emulator.config(cache=cache)) as api:
        api.auth("email", emulator.admin_email, emulator.admin_password).result()
        assert len(cache) == 1
    assert not api.authed, "closed"


def test_a_cache_that_fails_is_told_and_harms_nothing(emulator: Emulator, unhandled: list[BaseException]) -> None:
    class Broken:
        def get(self, scope: str) -> None:
            return None

        def put(self, scope: str, credentials: Credentials) -> None:
            raise ZeroDivisionError

        remove = get

    with ApiService(emulator.config(cache=Broken())) as api:
        assert api.auth("email", emulator.admin_email, emulator.admin_password).result().status == 200
        assert [type(error) for error in unhandled] == [ZeroDivisionError]


def test_opened_by_two_threads_at_once_it_is_opened_once(emulator: Emulator) -> None:
    api = ApiService(emulator.config())
    streams: list[Any] = []
    other = threading.Thread(target=lambda: streams.append(api.init()))
    open_inside = api._inside.open

    def open_and_let_the_other_come(*arguments: Any) -> None:
        other.start()
        other.join(0.1)  # it may have to wait for this one
        open_inside(*arguments)

    api._inside.open = open_and_let_the_other_come  # type: ignore[method-assign]
    streams.append(api.init())
    other.join()
    assert streams[0] is streams[1]
    assert api.call("staff/read").result().status == 200
    assert emulator.connections == 1
    api.close().result()


def test_closed_by_another_thread_while_it_is_opened_it_is_closed(emulator: Emulator) -> None:
    api = ApiService(emulator.config())
    closings: list[Any] = []
    other = threading.Thread(target=lambda: closings.append(api.close()))
    open_inside = api._inside.open

    def open_and_let_the_other_come(*arguments: Any) -> None:
        other.start()
        other.join(0.1)
        open_inside(*arguments)

    api._inside.open = open_and_let_the_other_come  # type: ignore[method-assign]
    api.init()
    other.join()
    assert closings[0].result(10).name == api.state.name == "closed"
    with pytest.raises(CallNotSent, match="the service is closed"):
        api.call("staff/read").result()
    wait_until(lambda: emulator.connections == 0)


def test_signing_in_is_told_though_the_cache_is_not_done_when_the_loop_ends(emulator: Emulator) -> None:
    entered, let_go = threading.Event(), threading.Event()

    class Slow:
        def get(self, scope: str) -> None:
            return None

        def put(self, scope: str, credentials: Credentials) -> None:
            entered.set()
            let_go.wait(10)

        remove = get

    async def main() -> None:
        api = ApiService(emulator.config(cache=Slow()))
        api.init()
        call = api.auth("email", emulator.admin_email, emulator.admin_password)
        await asyncio.to_thread(entered.wait)
        assert api.authed
        assert "pending" in repr(call)
        api._life._cut_off()  # as when the loop was closed over its head
        assert (await call).status == 200
        assert api.state.name == "closed"
        let_go.set()

    asyncio.run(main())


def test_arguments_of_the_wrong_kind(api: ApiService, emulator: Emulator) -> None:
    with pytest.raises(ConfigurationError, match="config: must be an SDKConfig, not str"):
        ApiService("ws://localhost/ws")  # type: ignore[arg-type]
    for wrong in (5, "Staff", {}):
        with pytest.raises(InvalidCall, match=r"doc_type: .* is no type"):
            api.call("staff/read", doc_type=wrong)
    for groups in (5, "abc", [5]):
        with pytest.raises(ConfigurationError, match="groups: must be a list"):
            api.auth("email", "a@b.c", "secret", groups=groups)
    with pytest.raises(InvalidCall, match="await_auth: must be True or False"):
        api.call("staff/read", await_auth="no")  # type: ignore[arg-type]
    with pytest.raises(UploadError, match=r"File\(Path\(…\)\)"):
        api.call("staff/create", doc={"photo": File("ada.png")})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="cache: is the class"):
        emulator.config(cache=FileCache)
    assert emulator.executed["staff/read"] == 0


def test_an_endpoint_of_five_megabytes_is_not_repeated(api: ApiService) -> None:
    with pytest.raises(InvalidCall) as caught:
        api.call("x" * 5_000_000)
    assert len(str(caught.value)) < 200


def test_files_in_a_tuple_are_files(signed_in: ApiService, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(b"x")
    created = signed_in.call("album/create", doc=album_doc(photos=(photo, photo))).result()
    album = signed_in.call("album/read", query=[{"_id": created.docs[0]["_id"]}]).result().docs[0]
    assert len(album["photos"]) == 2


def test_a_plain_for_loop_is_refused(api: ApiService) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        list(api.call("staff/read"))


def test_a_callback_that_wants_to_block_is_told_what_to_do(api: ApiService, unhandled: list[BaseException]) -> None:
    api.call("staff/read").subscribe(lambda res: api.call("staff/read").result())
    wait_until(lambda: unhandled)
    assert isinstance(unhandled[0], WrongThreadError)
    assert "use subscribe, or flat_map" in str(unhandled[0])


def test_a_call_that_waited_for_a_server_says_what_was_in_the_way() -> None:
    api = ApiService(SDKConfig(f"ws://127.0.0.1:{closed_port()}/ws", "token", ["email"]))
    api.init()
    wait_until(lambda: api.state.reason is not None)
    with pytest.raises(CallNotSent, match="Connection refused") as caught:
        api.call("staff/read", queue_timeout_s=0.05).result()
    assert isinstance(caught.value.__cause__, ConnectFailed)
    api.close().result()


def test_what_stands_behind_the_question_mark_is_not_shown() -> None:
    secret = SDKConfig(f"ws://127.0.0.1:{closed_port()}/ws?key=S3CRET", "token", ["email"], connect_timeout_s=0.2)
    with pytest.raises(ConnectFailed) as caught:
        ApiService(secret).__enter__()
    assert "S3CRET" not in f"{caught.value} {secret!r} {ApiService(secret)!r}"
