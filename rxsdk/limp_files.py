"""`LimpFiles`: what files need beside the calls of a `LimpLife`: an uploader and its lanes, and a client for HTTP.

Floor 3, a part of the service's inside. Made, and imported, for the first file: most services send none.
"""

from __future__ import annotations

from functools import partial

from rxsdk.config import SDKConfig
from rxsdk.core.transport import Connect
from rxsdk.files.by_http import ByHttp
from rxsdk.files.by_lane import ByLane
from rxsdk.files.http import HttpFiles, HttpSettings
from rxsdk.files.job import Job, Road
from rxsdk.files.lane import LaneSettings
from rxsdk.files.lanes import Lanes
from rxsdk.files.uploader import Uploader
from rxsdk.limp_life import LimpLife, made_machine, show_written
from rxsdk.protocols.limp.machine import LimpMachine

__all__ = ["Job", "LimpFiles"]


class LimpFiles:
    """Made and used on the loop."""

    def __init__(self, inside: LimpLife, machine: LimpMachine, config: SDKConfig, connect: Connect) -> None:
        self.http = HttpFiles(_http_settings(inside, config))
        lanes = Lanes(_lane_settings(inside, config, connect), inside.life, lambda: machine.session)
        road: Road
        if config.auth_hash_level == "6.1":
            road = ByHttp(inside.life, self.http, inside, config.file_chunk_size)
        else:
            road = ByLane(inside.life, lanes, chunk_size=config.file_chunk_size, window=config.upload_window)
        self.uploader = Uploader(inside.life, lanes, road, inside, config.reconnect)


def _lane_settings(inside: LimpLife, config: SDKConfig, connect: Connect) -> LaneSettings:
    return LaneSettings(
        api=config.api,
        machine=partial(made_machine, config, for_lane=True),
        connect=connect,
        policy=config.reconnect,
        most=config.upload_lanes,
        window=config.upload_window,
        show=inside.show,
        show_written=show_written,
    )


def _http_settings(inside: LimpLife, config: SDKConfig) -> HttpSettings:
    return HttpSettings(
        api=config.api,
        connect_timeout_s=config.connect_timeout_s,
        timeout_s=config.timeout_s,
        ssl_context=config.ssl_context,
        proxy=False if config.proxy is True and config.is_loopback else config.proxy,
        headers={
            **(config.extra_headers or {}),
            **({} if config.origin is None else {"Origin": config.origin}),
            **({} if config.user_agent is None else {"User-Agent": config.user_agent}),
        },
        session_headers=partial(_session_headers, inside, config),
    )


def _session_headers(inside: LimpLife, config: SDKConfig) -> dict[str, str]:
    """Who asks, over HTTP: the servers before 6.1 fail when they are told."""
    session = inside.session
    if config.auth_hash_level != "6.1" or session is None:
        return {}
    return {
        "X-Auth-Bearer": session["_id"],
        "X-Auth-Token": session["token"],
        "X-Auth-App": config.app_id or "",
    }
