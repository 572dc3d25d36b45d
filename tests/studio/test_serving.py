# SPDX-License-Identifier: Apache-2.0
"""The server listens to this machine only, behind a secret path, serves all of its page itself, and trusts no other
page."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from monai_causal.studio.opening import Start
from monai_causal.studio.serving import make_server, serve

pytest.importorskip("bokeh")


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    monkeypatch.setenv("BOKEH_RESOURCES", "cdn")  # what a user may have set for other work
    server, address = make_server(Start(device="cpu"))
    server.start()
    yield server, address
    server.stop()


def fetched(server: Any, address: str, **options: Any) -> Any:
    from tornado.httpclient import AsyncHTTPClient

    return server.io_loop.run_sync(lambda: AsyncHTTPClient().fetch(address, raise_error=False, **options))


def test_it_listens_on_the_loopback_interface(studio: tuple[Any, str]) -> None:
    server, address = studio
    assert server.address == "127.0.0.1"
    assert urlsplit(address).hostname == "localhost"
    (listening,) = server._http._sockets.values()
    assert listening.getsockname() == ("127.0.0.1", urlsplit(address).port)


def test_all_that_the_page_loads_comes_from_the_studio(studio: tuple[Any, str]) -> None:
    server, address = studio
    page = fetched(server, address)
    assert page.code == 200
    text = page.body.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert any(one.endswith(".js") or ".js?" in one for one in loaded)
    for one in loaded:
        if one.startswith("data:"):
            continue
        assert urlsplit(urljoin(address, one)).netloc == urlsplit(address).netloc, one
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "http" not in policy[1]


def test_without_the_secret_there_is_nothing(studio: tuple[Any, str]) -> None:
    server, address = studio
    root = f"http://localhost:{urlsplit(address).port}/"
    secret = urlsplit(address).path.strip("/")
    assert len(secret) >= 22  # 128 bits
    for path in ("", "ws", secret[:-1] + "/", "static/js/bokeh.min.js"):
        assert fetched(server, root + path).code == 404, path
    other, elsewhere = make_server(Start(device="cpu"))
    other.stop()
    assert secret not in elsewhere


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("http://localhost:1", 403), (None, 101)])
def test_web_sockets_of_other_pages_are_refused(studio: tuple[Any, str], origin: str | None, status: int) -> None:
    server, address = studio
    token = re.search(r'"token":"([^"]+)"', fetched(server, address).body.decode())
    assert token is not None
    headers = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": f"bokeh, {token[1]}",
        "Origin": origin or f"http://localhost:{urlsplit(address).port}",
    }  # fmt: skip
    parts = urlsplit(address)

    async def answered() -> bytes:
        from asyncio import open_connection, wait_for

        reader, writer = await open_connection("127.0.0.1", parts.port)
        lines = [f"GET {parts.path}ws HTTP/1.1", f"Host: localhost:{parts.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        line = await wait_for(reader.readline(), 20)
        writer.close()
        return line

    assert int(server.io_loop.run_sync(answered).split()[1]) == status


def test_a_port_that_is_taken_or_none_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} cannot be listened on"):
            make_server(Start(), port)
    with pytest.raises(ValueError, match="port 70000"):
        make_server(Start(), 70_000)


def test_it_tells_its_address_and_opens_a_browser_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from tornado.ioloop import IOLoop

    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(IOLoop.current().__class__, "start", interrupted)
    seen: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: seen.append("browser " + address))
    serve(Start(), browser=True, announce=seen.append)
    assert seen[0].startswith("http://localhost:")
    assert seen[1:] == ["browser " + seen[0], "stopped"]
    serve(Start(), browser=False, announce=seen.append)
    assert seen[4:] == ["stopped"]
