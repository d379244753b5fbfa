"""The application: routes, rates and services put together."""

from collections.abc import Callable
from functools import cache

from starlette.types import ASGIApp

from waiaas.api.call import Services, encode
from waiaas.api.edge import Edge
from waiaas.api.openapi import document
from waiaas.api.rates import Rates
from waiaas.api.routes import ROUTES
from waiaas.api.routing import Router
from waiaas.auth.failures import Failures
from waiaas.auth.operator import OperatorAuth
from waiaas.auth.sessions import SessionAuth
from waiaas.auth.tokens import Tokens
from waiaas.pipeline.core import Core


def create_app(
    core: Core,
    operator: OperatorAuth,
    sessions: SessionAuth,
    tokens: Tokens,
    failures: Failures,
    *,
    shutdown: Callable[[], None],
) -> ASGIApp:
    """The ASGI application of a daemon; `shutdown` asks the daemon to stop."""
    security = core.config.security
    services = Services(
        core=core,
        operator=operator,
        sessions=sessions,
        tokens=tokens,
        failures=failures,
        stop=shutdown,
        # made when it is first asked for: a start that nobody asks need not wait for it
        document=cache(lambda: encode(document(ROUTES))),
    )
    rates = Rates(
        ip=security.rate_limit_global_ip_rpm,
        session=security.rate_limit_session_rpm,
        send=security.rate_limit_tx_rpm,
        clock=core.clock,
        db=core.db,
    )
    return Edge(services, rates, Router(ROUTES), security.cors_origins)
