"""A bare Starlette hello under the daemon's server, loop and settings: what this machine can do at most."""

import sys
from typing import cast

import uvloop
from hypercorn.asyncio import serve
from hypercorn.typing import ASGIFramework
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from waiaas.app import listen, server_settings


async def hello(request: Request) -> JSONResponse:
    """The least an answer can be."""
    return JSONResponse({"hello": "world"})


async def main() -> None:
    """Serve until terminated."""
    app = Starlette(routes=[Route("/", hello)])
    with listen("127.0.0.1", int(sys.argv[1])) as listener:
        # hypercorn's types name each message, Starlette's do not
        await serve(cast(ASGIFramework, app), server_settings(listener))


uvloop.run(main())
