"""The hunt for secrets and debris in what a stopped daemon leaves: every file of its directory, every value it stored.

The wallet was made for this run and is thrown away, so its keys may be decrypted here to be looked for.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from solders.hash import Hash

from waiaas.cli.torture.books import texts
from waiaas.cli.torture.child import Place
from waiaas.keystore.ciphers import decrypt, derive
from waiaas.keystore.format import AgentFile, agent_aad, box_of, decode
from waiaas.keystore.master import NAME, Opened, open_master

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: all that may lie in the data directory of a daemon that was stopped
LAYOUT = re.compile(
    rf"config\.toml|daemon\.lock|epoch\.json|data/waiaas\.db|keystore/(master|(retired/)?{UUID})\.json"
    r"|logs/daemon\.log(\.[0-9]+)?|localnet/[a-z]+\.sqlite"
)


def strays(data: Path) -> list[str]:
    """Files that should not be there."""
    names = (str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    return [f"file: {name} was left behind" for name in sorted(names) if not LAYOUT.fullmatch(name)]


def leaks(place: Place, password: str, tokens: Iterable[str]) -> Iterator[str]:
    """Where the password, a token or a key can be read in any of its usual spellings."""
    wanted = dict.fromkeys(spellings(password.encode()), "the password")
    wanted |= {token.encode(): "a session token" for token in tokens}
    for name, key in keys(place.data / "keystore", password):
        wanted |= dict.fromkeys(spellings(key), name)
    for path in (path for path in place.data.rglob("*") if path.is_file()):
        yield from found(path.read_bytes(), wanted, str(path.relative_to(place.data)))
    yield from found(place.output.read_bytes(), wanted, "the output")
    values = b"\n".join(value for _, value in texts(place.database))
    yield from found(values, wanted, "the database's values")


def found(data: bytes, wanted: dict[bytes, str], where: str) -> Iterator[str]:
    """Which of the wanted things are in there; never the thing itself."""
    for what in sorted({what for secret, what in wanted.items() if secret in data}):
        yield f"secret: {what} is in {where}"


def spellings(secret: bytes) -> set[bytes]:
    """As it is, in hex, base64 and, if it is as long as a key, base58."""
    encoded = {base64.b64encode(secret), base64.urlsafe_b64encode(secret)}
    base58 = {str(Hash(secret)).encode()} if len(secret) == Hash.LENGTH else set()
    return {secret, secret.hex().encode(), *(text.rstrip(b"=") for text in encoded), *base58}


def keys(directory: Path, password: str) -> Iterator[tuple[str, bytes]]:
    """(what it is, key) of everything the keystore holds."""
    opened = open_master(directory, password.encode())
    yield "the root key", bytes(opened.root)
    for seal in opened.seals.values():
        yield "a seal key", bytes(seal)
    for _, key in decrypted(directory, opened):
        yield "an agent's key", key


def agent_keys(directory: Path, password: str) -> dict[str, bytes]:
    """Agent → its key."""
    return dict(decrypted(directory, open_master(directory, password.encode())))


def decrypted(directory: Path, opened: Opened) -> Iterator[tuple[str, bytes]]:
    """(agent, key) of every file of a key."""
    for path in directory.rglob("*.json"):
        if path.name != NAME:
            file = decode(path.read_bytes(), AgentFile, path.name)
            key = derive(opened.root, f"waiaas agent v2|{file.id}".encode())
            yield file.id, bytes(decrypt(key, box_of(file), agent_aad(file)))
