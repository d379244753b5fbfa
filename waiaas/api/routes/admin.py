"""The routes of the daemon itself: its status, its kill switch, its secret, its end."""

from waiaas.api import admin, sessions, switch
from waiaas.api.guards import anyone, operator, owner, session
from waiaas.api.routing import Route, route
from waiaas.errors import (
    InvalidNonce,
    InvalidSignature,
    KeystoreLocked,
    KillSwitchNotActive,
    OwnerNotConnected,
    RecoveryWaitRequired,
    RotationTooRecent,
)
from waiaas.wire.admin import AdminStatusResponse, ShutdownResponse
from waiaas.wire.owners import OwnerMessageResponse
from waiaas.wire.sessions import RotateSecretResponse
from waiaas.wire.switch import (
    ActivateKillSwitchRequest,
    KillSwitchActivateResponse,
    KillSwitchMessageQuery,
    KillSwitchResponse,
    RecoverResponse,
)

ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/v1/admin/status",
        admin.status,
        guard=operator | session,
        tag="Admin",
        answer=AdminStatusResponse,
        despite_switch=True,
    ),
    route(
        "GET",
        "/v1/admin/kill-switch",
        switch.get,
        guard=anyone,
        tag="Admin",
        answer=KillSwitchResponse,
        despite_switch=True,
    ),
    route(
        "POST",
        "/v1/admin/kill-switch",
        switch.activate,
        guard=operator | owner,
        tag="Admin",
        body=ActivateKillSwitchRequest,
        answer=KillSwitchActivateResponse,
        while_recovering=True,
        errors=(InvalidSignature, InvalidNonce),
    ),
    route(
        "GET",
        "/v1/admin/kill-switch/message",
        switch.message,
        guard=anyone,
        tag="Admin",
        query=KillSwitchMessageQuery,
        answer=OwnerMessageResponse,
        while_recovering=True,
        errors=(OwnerNotConnected,),
    ),
    route(
        "POST",
        "/v1/admin/recover",
        switch.recover,
        guard=operator,
        tag="Admin",
        answer=RecoverResponse,
        also=(202,),
        despite_switch=True,
        errors=(KillSwitchNotActive, RecoveryWaitRequired, KeystoreLocked),
    ),
    route(
        "POST",
        "/v1/admin/rotate-secret",
        sessions.rotate_secret,
        guard=operator,
        tag="Admin",
        answer=RotateSecretResponse,
        errors=(RotationTooRecent,),
    ),
    route("POST", "/v1/admin/shutdown", admin.shutdown, guard=operator, tag="Admin", answer=ShutdownResponse),
)
