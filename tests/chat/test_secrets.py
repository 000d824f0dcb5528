"""What a chat is opened with is never told: not in logs, errors, reprs or the trace of an exception."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest

from rxsdk import ChatConfig, ChatService, RxSdkError
from rxsdk.emulator.chat import ChatEmulator
from tests.chat.conftest import FAST
from tests.conftest import wait_until

SECRET = "s3cr3t-Öffne-dich".encode().hex()


def test_no_secret_is_told(server: ChatEmulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="rxsdk")
    told: list[str] = []

    def look_at(*things: Any) -> None:
        for thing in things:
            told.extend([repr(thing), str(thing), f"{thing}"])
            if isinstance(thing, BaseException):
                told.append("".join(traceback.format_exception(thing)))

    refused = {"Authorization": f"Bearer {SECRET}"}
    accepted = {"Authorization": f"Bearer {server.token('ada')}", "X-Api-Key": SECRET}
    for headers in (refused, accepted):
        config = ChatConfig(f"{server.url}?key={SECRET}", headers, "ada", reconnect=FAST, queue_timeout_s=0.5)
        chat = ChatService(config)
        look_at(config, chat)
        chat.state_stream.subscribe(look_at, look_at)
        chat.init().subscribe(look_at, look_at)
        call = chat.send("bob", "hello")
        call.subscribe(look_at, look_at)
        wait_until(lambda call=call, chat=chat: call.error is not None or chat.inited)
        server.drop_connections()
        server.push("{odd")
        for failing in (chat.chat("nobody"), chat.edit("bob", 99, "x")):
            try:
                failing.result(10)
            except RxSdkError as error:
                look_at(error, failing)
        look_at(chat.close().result(10), chat)
    assert len(told) > 20
    assert [text for text in [*told, caplog.text] if SECRET in text or server.token("ada") in text] == []
