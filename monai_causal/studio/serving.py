# SPDX-License-Identifier: Apache-2.0
"""The studio's server: on the loopback interface only, behind an address that cannot be guessed.

Whoever uses the same machine can reach a port on it, so the page lies below a secret path. Bokeh serves its scripts
itself; nothing is fetched from elsewhere.
"""

from __future__ import annotations

import secrets
import webbrowser
from collections.abc import Callable
from typing import Any

from monai_causal.extras import require
from monai_causal.studio.opening import Start
from monai_causal.studio.page import Page

__all__ = ["make_server", "serve"]

ADDRESS = "127.0.0.1"


def make_server(start: Start, port: int = 0) -> tuple[Any, str]:
    """A server that listens, and the address of its page.

    Args:
        start: what the page opens first.
        port: where to listen; 0: a free one.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"port {port}: a number up to 65535, or 0 for a free one.")
    server_module = require("bokeh.server.server")
    # A user's own settings of Bokeh may name a content delivery network.
    require("bokeh.settings").settings.resources = "server"
    secret = secrets.token_urlsafe(16)
    try:
        server = server_module.Server(
            {"/": lambda document: Page(document, start) and None},
            port=port,
            address=ADDRESS,
            prefix=f"/{secret}",
            unused_session_lifetime=60_000,
        )
    except OSError as error:
        raise OSError(f"port {port} cannot be listened on ({error.strerror}): leave it out, or name another.") from None
    # Bokeh takes web sockets from pages of this very address, localhost and the port, and from no others.
    return server, f"http://localhost:{server.port}/{secret}/"


def serve(start: Start, port: int = 0, *, browser: bool = True, announce: Callable[[str], object]) -> None:
    """Serve the studio until it is interrupted.

    Args:
        start: what the page opens first.
        port: where to listen; 0: a free one.
        browser: open the page.
        announce: gets the address.
    """
    server, address = make_server(start, port)
    server.start()
    announce(address)
    if browser:
        webbrowser.open(address)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        announce("stopped")
    finally:
        server.stop()
