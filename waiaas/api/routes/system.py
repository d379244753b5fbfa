"""The routes that tell how the daemon is, its contract, and a nonce."""

from waiaas.api import system
from waiaas.api.guards import anyone
from waiaas.api.routing import Route, route
from waiaas.wire.system import HealthResponse, NonceResponse, ReadyResponse

ROUTES: tuple[Route, ...] = (
    route("GET", "/health", system.health, guard=anyone, tag="Health", answer=HealthResponse, always=True),
    route("GET", "/ready", system.ready, guard=anyone, tag="Health", answer=ReadyResponse, also=(503,), always=True),
    route(
        "GET",
        "/metrics",
        system.metrics,
        guard=anyone,
        tag="Health",
        answer=str,
        media="text/plain",
        always=True,
    ),
    route("GET", "/doc", system.document, guard=anyone, tag="Health", answer=dict),
    route("GET", "/openapi.json", system.document, guard=anyone, tag="Health", answer=dict),
    route("GET", "/v1/nonce", system.nonce, guard=anyone, tag="Auth", answer=NonceResponse),
)
