"""How commands call the daemon: over HTTP, as the operator or as a session."""

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import click
import httpx

from waiaas.cli.context import Context
from waiaas.cli.password import PasswordOptions, password_options, read_password
from waiaas.errors import AgentNotFound, DaemonRefused, DaemonSilent, NotRunning, TokenMissing, UsageWrong

TIMEOUT_SECONDS = 30
#: of a 429: it is the credential that was refused
LOCKED = "MASTER_PASSWORD_LOCKED"
OPERATOR = b"X-Master-Password"

Function = Callable[..., Any]


class Api:
    """The daemon's HTTP API, with one credential."""

    def __init__(self, base_url: str, headers: Mapping[bytes, bytes] | None = None) -> None:
        # trust_env=False: a proxy of the environment must not see the master password
        self._client = httpx.Client(base_url=base_url, headers=headers, trust_env=False)
        self.operator = OPERATOR in (headers or {})

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        wait: int = 0,
    ) -> Any:
        """The decoded answer; absent fields are left out of body and query.

        NotRunning (exit 3) if the connection is refused, DaemonSilent if no usable answer comes in time,
        DaemonRefused with the daemon's own code (exit 4 if it refused the credential).
        """
        try:
            response = self._client.request(
                method,
                path,
                json=present(body) if body is not None else None,
                params=present(query or {}),
                headers=present(headers or {}),
                timeout=TIMEOUT_SECONDS + wait,
            )
            answer = response.json()
        except httpx.ConnectError as error:
            raise NotRunning(f"No daemon answers at {self._client.base_url}.") from error
        except (httpx.HTTPError, ValueError) as error:
            raise DaemonSilent(f"{method} {path}: {error or type(error).__name__}.") from error
        if response.is_success:
            return answer
        raise refusal(response.status_code, answer)


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def refusal(status: int, answer: Any) -> DaemonRefused:
    """The error body of the API as an error of ours."""
    body = answer if isinstance(answer, dict) else {}
    code = str(body.get("code", "INTERNAL_ERROR"))
    details = {str(name): value for name, value in (body.get("details") or {}).items()}
    return DaemonRefused(
        explain(str(body.get("message", f"The daemon answered {status}.")), details),
        code=code,
        hint=body.get("hint"),
        exit_code=4 if status == 401 or code == LOCKED else 1,
        **{"requestId": body.get("requestId"), **details},
    )


def explain(message: str, details: Mapping[str, Any]) -> str:
    """The message, with the issues of a validation error behind it."""
    issues = [f"{issue['path'] or 'body'}: {issue['message']}" for issue in details.get("issues", ())]
    return "\n  ".join([message, *issues])


def base_url(context: Context, option: str | None) -> str:
    """`--base-url`, else WAIAAS_BASE_URL, else this machine at the port of the configuration."""
    return option or os.environ.get("WAIAAS_BASE_URL") or f"http://127.0.0.1:{context.config().daemon.port}"


def operator(function: Function) -> Function:
    """A command that calls the API with the master password; its function gets `api` after the context."""

    @click.option("--base-url", "url", metavar="URL", help="Where the daemon is (WAIAAS_BASE_URL).")
    @password_options
    @functools.wraps(function)
    def wrapper(context: Context, *, url: str | None, password: PasswordOptions, **kwargs: Any) -> Any:
        with Api(base_url(context, url), as_operator(context, password)) as api:
            return function(context, api, **kwargs)

    return wrapper


def session(function: Function) -> Function:
    """A command that calls the API with a session token."""

    @click.option("--base-url", "url", metavar="URL", help="Where the daemon is (WAIAAS_BASE_URL).")
    @token_option
    @functools.wraps(function)
    def wrapper(context: Context, *, url: str | None, token: str | None, **kwargs: Any) -> Any:
        if token is None:
            raise TokenMissing
        with Api(base_url(context, url), as_session(token)) as api:
            return function(context, api, **kwargs)

    return wrapper


def session_or_operator(function: Function) -> Function:
    """A command that calls the API with a session token if one is given, else with the master password."""

    @click.option("--base-url", "url", metavar="URL", help="Where the daemon is (WAIAAS_BASE_URL).")
    @token_option
    @password_options
    @functools.wraps(function)
    def wrapper(
        context: Context, *, url: str | None, token: str | None, password: PasswordOptions, **kwargs: Any
    ) -> Any:
        headers = as_session(token) if token else as_operator(context, password)
        with Api(base_url(context, url), headers) as api:
            return function(context, api, **kwargs)

    return wrapper


token_option = click.option(
    "--token", envvar="WAIAAS_SESSION_TOKEN", metavar="TOKEN", help="The session token (WAIAAS_SESSION_TOKEN)."
)


def as_operator(context: Context, options: PasswordOptions) -> dict[bytes, bytes]:
    """The header of the master password, as UTF-8 bytes."""
    return {OPERATOR: read_password(context, options).encode()}


def as_session(token: str) -> dict[bytes, bytes]:
    """The header of a session token."""
    return {b"Authorization": f"Bearer {token.strip()}".encode()}


def find_agent(api: Api, named: str) -> dict[str, Any]:
    """The agent with that id, or the one not terminated with that name; AgentNotFound, or UsageWrong if several are."""
    agents = api.call("GET", "/v1/agents")["items"]
    found = [agent for agent in agents if agent["id"] == named]
    found = found or [agent for agent in agents if agent["name"] == named and agent["status"] != "TERMINATED"]
    if len(found) == 1:
        only: dict[str, Any] = found[0]
        return only
    if found:
        raise UsageWrong(f"{len(found)} agents are named {named!r}: give the id.")
    raise AgentNotFound(f"There is no agent {named!r}.")


def path(*parts: str) -> str:
    """A path of the API from its parts, each made safe."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)
