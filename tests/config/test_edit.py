"""config.toml as `init` writes it, and edits that leave the rest of it alone."""

import re
from pathlib import Path

import pytest
import tomlkit

from waiaas.config import KEYS, Config
from waiaas.config.edit import render_default, with_value, without
from waiaas.config.load import load, parse
from waiaas.domain.chain import Network

HERE = Path("config.toml")


def test_what_init_writes_changes_only_the_default_networks(tmp_path: Path):
    (tmp_path / "config.toml").write_text(render_default())
    loaded = load(tmp_path / "config.toml", {})
    assert loaded.sources == {"rpc.solana_default_network": "file", "rpc.evm_default_network": "file"}
    assert loaded.config.rpc.solana_default_network == Network.LOCALNET
    assert loaded.config.rpc.evm_default_network == Network.ETHEREUM_LOCALNET


def test_what_init_writes_names_every_key_at_its_default(tmp_path: Path):
    uncommented = re.sub(r"^#(?=[a-z])", "", render_default(), flags=re.MULTILINE)
    for first, default in (("localnet", "devnet"), ("ethereum-localnet", "ethereum-sepolia")):
        uncommented = uncommented.replace(f'network = "{first}"', f'network = "{default}"')
    (tmp_path / "config.toml").write_text(uncommented)
    loaded = load(tmp_path / "config.toml", {})
    assert loaded.config == Config()
    assert set(loaded.sources) == set(KEYS)


def test_every_key_is_explained_in_the_line_above_it():
    lines = render_default().splitlines()
    for key in KEYS.values():
        place = next(number for number, line in enumerate(lines) if re.match(rf"#?{key.name} = ", line))
        assert lines[place - 1].startswith("# ")


def test_setting_a_key_keeps_comments_order_and_spacing():
    before = "# mine\n[daemon]\nport  =  4000   # why\n\n# below\nlog_level = 'warn'\n\n[rpc]\n"
    after = with_value(parse(before, HERE), KEYS["daemon.port"], 5000)
    assert after == before.replace("4000", "5000")


def test_setting_a_new_key_adds_one_line_to_its_section():
    before = render_default()
    after = with_value(parse(before, HERE), KEYS["keystore.argon2_time"], 4)
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert added == ["argon2_time = 4"]
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    assert tomlkit.parse(after)["keystore"] == {"argon2_time": 4}


def test_setting_a_key_of_an_absent_section_adds_the_section():
    assert with_value(parse("", HERE), KEYS["daemon.port"], 5000) == "[daemon]\nport = 5000\n"


def test_unsetting_a_key_takes_its_line_alone():
    before = "[daemon]\n# a\nport = 4000\n# b\nlog_level = 'warn'\n"
    assert without(parse(before, HERE), KEYS["daemon.port"]) == "[daemon]\n# a\n# b\nlog_level = 'warn'\n"


def test_unsetting_what_is_not_set_changes_nothing():
    assert without(parse(render_default(), HERE), KEYS["daemon.port"]) == render_default()
    assert without(parse("", HERE), KEYS["daemon.port"]) == ""


@pytest.mark.parametrize(
    ("value", "written"),
    [(("http://a",), '"http://a"'), ((), '""'), (("http://a", "http://b"), '["http://a", "http://b"]')],
)
def test_endpoints_are_written_as_one_url_or_as_a_list(value: tuple[str, ...], written: str):
    assert with_value(parse("", HERE), KEYS["rpc.solana_devnet"], value) == f"[rpc]\nsolana_devnet = {written}\n"
