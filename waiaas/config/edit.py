"""config.toml as text: the file that `init` writes, and edits that keep comments, order and spacing."""

from typing import Any

import tomlkit
from tomlkit.items import Table

from waiaas.config import KEYS, Config, Key
from waiaas.config.values import bounds, plain, to_toml

HEAD = """\
# Settings of WAIaaS. A line that begins with #name stands at its default: take the # away and change it.
# Settings are taken up at the next start. 'waiaas config check' tells whether the file can be used.
"""

#: a chain inside the daemon needs no internet and holds no real money
FIRST_NETWORKS = {"rpc.solana_default_network": "localnet", "rpc.evm_default_network": "ethereum-localnet"}


def render_default() -> str:
    """What `init` writes: every key commented out at its default, but for the networks a first run works on."""
    sections = [HEAD]
    for section, defaults in zip(Config.__struct_fields__, Config.__struct_defaults__, strict=True):
        keys = [render_key(key) for key in KEYS.values() if key.section == section]
        sections.append(f"[{section}]\n# {type(defaults).__doc__}\n" + "".join(keys))
    return "\n".join(sections)


def render_key(key: Key) -> str:
    """A line of explanation, and the key: commented out at its default, or set to what a first run works on."""
    limits = f" ({bounds(key)})" if bounds(key) else ""
    if first := FIRST_NETWORKS.get(key.dotted):
        return f"# {key.about}{limits}; choose another than {first} for real use\n{key.name} = {to_toml(first)}\n"
    return f"# {key.about}{limits}\n#{key.name} = {to_toml(plain(key, key.default))}\n"


def with_value(document: tomlkit.TOMLDocument, key: Key, value: Any) -> str:
    """The document's text with the key set, in its place if it had one."""
    if key.section not in document:
        document[key.section] = tomlkit.table()
    table = document[key.section]
    assert isinstance(table, Table)
    table[key.name] = plain(key, value)
    return tomlkit.dumps(document)


def without(document: tomlkit.TOMLDocument, key: Key) -> str:
    """The document's text without the key, which then stands at its default."""
    table = document.get(key.section, {})
    if key.name in table:
        del table[key.name]
    return tomlkit.dumps(document)
