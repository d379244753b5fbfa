"""The table of routes: who may call what, what it takes, what it answers, how it refuses."""

from waiaas.api.routes import admin, agents, owners, policies, sessions, system, transactions, wallet
from waiaas.api.routing import Route

ROUTES: tuple[Route, ...] = (
    *system.ROUTES,
    *agents.ROUTES,
    *owners.ROUTES,
    *sessions.ROUTES,
    *wallet.ROUTES,
    *transactions.ROUTES,
    *policies.ROUTES,
    *admin.ROUTES,
)
