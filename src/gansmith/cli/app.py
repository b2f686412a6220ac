"""The verb ``app``: a page to explore models with, served from this machine."""

import ipaddress
import secrets
import socket
import webbrowser
from pathlib import Path
from typing import Any

import click

from gansmith.cli.options import Verb, given, import_code, on_device, with_code
from gansmith.errors import MissingPackageError, RunError, SettingError

_PORT = 7860


@click.command("app", cls=Verb)
@click.argument("models", metavar="RUN|DIR", callback=given)
@click.option("--data", callback=given, metavar="DATA", help="A data set to look through in the tab Data.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, callback=given,
    help="Where to listen; elsewhere than on this machine a token is needed and printed.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=_PORT, show_default=True, help="0: any free one."
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@with_code
@on_device
def app_(models: str, data: str | None, host: str, port: int, opened: bool, **rest: Any) -> None:
    r"""Serve a page: explore models, translate photos, look through data, watch runs, rate pictures.

    RUN is a run, DIR a folder with runs in any nesting; runs that begin meanwhile appear. The page needs no
    network and sends nothing elsewhere. Ctrl-C ends it.

    \b
    gansmith app runs
    gansmith app runs/one --open
    gansmith app runs --host 0.0.0.0          for other machines too, with a token
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingPackageError(error.name or "fastapi", "The app", "app") from error
    from gansmith.app.server import create_app

    import_code(rest["code"])
    folder = Path(models).expanduser()
    local = _is_local(host)
    token = None if local else secrets.token_urlsafe(24)
    app = create_app(folder, data, token=token, hosts=() if local else (host,), device=rest["device"])
    if not app.state.services.shelf.listed():
        raise RunError(
            f"The app shows a run, or a folder with runs. Received: {models}, which holds none. Train "
            "one first: gansmith demo, or gansmith train DATA --run RUN."
        )
    with _listening(host, port) as place:
        app.state.services.warm()
        address = _address(host, place.getsockname()[1], token)
        click.echo(f"gansmith app: {address}  (Ctrl-C ends it)")
        if opened:
            webbrowser.open(address)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[place])


def _is_local(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        SettingError: the port is in use, or the host is none of this machine.
    """
    name = host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, socket.SOCK_STREAM)
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
            place.listen(128)
        except BaseException:
            place.close()
            raise
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingError(
            f"The app listens on a free port of an address of this machine. Received: --host {host} "
            f"--port {port} ({why}). Choose another --port, or 0 for any that is free."
        ) from error
    return place


def _address(host: str, port: int, token: str | None) -> str:
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"http://{name}:{port}/" + ("" if token is None else f"?token={token}")
