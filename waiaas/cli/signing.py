"""An owner's signature at the terminal: the text is shown, then signed with a key file or by a wallet elsewhere."""

import base64
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from waiaas.auth.signatures import eip191, from_base58
from waiaas.cli.context import Context, confirm
from waiaas.domain.chain import Chain
from waiaas.errors import DaemonSilent, StartError, UsageWrong
from waiaas.keystore.curves import CURVE_OF, ED25519, SECP256K1

Function = Callable[..., Any]
#: what a key file holds
FORMS = {
    Chain.SOLANA: "it holds a keypair of 64 bytes, as a JSON array or in base58",
    Chain.ETHEREUM: "it holds a secret key of 32 bytes in hex",
}


def signing_options(function: Function) -> Function:
    """How a text is signed."""
    function = click.option("--yes", is_flag=True, help="Sign with the key file without asking.")(function)
    key = "The owner's secret key: a Solana keypair (JSON array or base58), or hex for EVM."
    return click.option(
        "--key-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="PATH", help=key
    )(function)


def signed(context: Context, told: Mapping[str, Any], key_file: Path | None, *, yes: bool) -> dict[str, str | None]:
    """The owner headers for a served text, once it has been shown and agreed to.

    Without a key file the signature is read from standard input. StartError on a no, UsageWrong for a key that cannot
    be read or is not the owner's, DaemonSilent for an answer that contradicts itself.
    """
    text = str(told["message"])
    if base64.b64decode(told["messageBase64"]).decode() != text or told["address"] not in text.split("\n"):
        raise DaemonSilent("The daemon's text is not the one it wants to be signed.")
    context.note(f"{text}\n")
    return {
        "X-Owner-Address": told["address"],
        "X-Owner-Message": told["messageBase64"],
        "X-Owner-Signature": _with_key(told, text, key_file, yes=yes) if key_file else _pasted(told),
    }


def must_say(told: Mapping[str, Any], *said: str) -> None:
    """DaemonSilent unless the text of the daemon says all of this: what is signed is what was asked for."""
    if missing := [part.strip() for part in said if part not in str(told["message"])]:
        raise DaemonSilent(f"The daemon's text does not say {missing[0]!r}: it is not signed.")


def _pasted(told: Mapping[str, Any]) -> str:
    click.echo(f"Sign this text with {told['address']} and paste the signature:", err=True)
    if signature := sys.stdin.readline().strip():
        return signature
    raise StartError("No signature was given: nothing was done.")


def _with_key(told: Mapping[str, Any], text: str, key_file: Path, *, yes: bool) -> str:
    chain = Chain(told["chain"])
    secret = read_key(key_file, chain)
    try:
        if CURVE_OF[chain].public_key(secret) != told["address"]:
            raise UsageWrong(f"{key_file} does not hold the key of {told['address']}.")
        confirm("Sign this?", yes=yes)
        if chain is Chain.ETHEREUM:
            return "0x" + SECP256K1.sign(secret, eip191(text.encode())).hex()
        return base64.b64encode(ED25519.sign(secret, text.encode())).decode()
    except ValueError as error:
        raise UsageWrong(f"{key_file} holds no key of {chain}: {error}.") from None
    finally:
        secret[:] = bytes(len(secret))


def read_key(path: Path, chain: Chain) -> bytearray:
    """The secret of a key file: seed and public key on Solana (64 bytes), the scalar on EVM (32). UsageWrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageWrong(f"{path}: {error.strerror}.") from None
    try:
        text = data.decode().strip()
        if chain is Chain.ETHEREUM:
            secret = bytes.fromhex(text.removeprefix("0x"))
        else:
            secret = bytes(json.loads(text)) if text.startswith("[") else from_base58(text)
    except (ValueError, TypeError):
        # what is wrong with it is not told: the text of such an error may hold the key
        raise UsageWrong(f"{path} cannot be read as a key of {chain}: {FORMS[chain]}.") from None
    if len(secret) != (32 if chain is Chain.ETHEREUM else 64):
        raise UsageWrong(f"{path} does not have the length of a key of {chain}: {FORMS[chain]}.")
    return bytearray(secret)
