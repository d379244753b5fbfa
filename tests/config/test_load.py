"""From file, environment and flags to one Config, as the algorithm of storage.md 2.1 has it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from waiaas.config import KEYS, Config
from waiaas.config.load import Loaded, load
from waiaas.domain.chain import Network
from waiaas.errors import ConfigInvalid

Load = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Load:
    """Load a config.toml of this text (None: no file), this environment and these flags."""

    def read(text: str | None = None, environ: Mapping[str, str] | None = None, **flags: Any) -> Loaded:
        path = tmp_path / "config.toml"
        if text is not None:
            path.write_text(text)
        return load(path, environ or {}, {key.replace("_", ".", 1): value for key, value in flags.items()})

    return read


def refused(read: Load, *args: Any, **flags: Any) -> str:
    """What is said when this is loaded."""
    with pytest.raises(ConfigInvalid) as caught:
        read(*args, **flags)
    assert caught.value.code == "CONFIG_LOAD_ERROR"
    assert caught.value.exit_code == 1
    return caught.value.message


def test_without_a_file_every_key_stands_at_its_default(read: Load):
    loaded = read()
    assert loaded.config == Config()
    assert loaded.sources == {}


def test_an_empty_file_is_as_good_as_none(read: Load):
    assert read("").config == Config()


def test_the_file_changes_defaults(read: Load):
    loaded = read('[daemon]\nport = 4000\n[security]\ncors_origins = ["http://localhost:1"]\n')
    assert loaded.config.daemon.port == 4000
    assert loaded.config.security.cors_origins == ("http://localhost:1",)
    assert loaded.sources["daemon.port"] == "file"


def test_a_variable_wins_over_the_file_and_a_flag_over_both(read: Load):
    text, environ = "[daemon]\nport = 4000\n", {"WAIAAS_DAEMON_PORT": "5000"}
    assert read(text, environ).config.daemon.port == 5000
    assert read(text, environ).sources["daemon.port"] == "env"
    loaded = read(text, environ, daemon_port=6000)
    assert loaded.config.daemon.port == 6000
    assert loaded.sources["daemon.port"] == "flag"


def test_a_flag_that_is_not_given_changes_nothing(read: Load):
    assert read("[daemon]\nport = 4000\n", daemon_port=None).config.daemon.port == 4000


def test_an_empty_variable_is_unset(read: Load):
    assert read(None, {"WAIAAS_DAEMON_PORT": ""}).config.daemon.port == 3100


def test_a_syntax_error_names_file_line_and_column(read: Load):
    assert refused(read, "[daemon]\nport = \n").startswith("config.toml line 2, column 7: Unexpected character")


def test_a_key_given_twice_is_refused(read: Load):
    assert 'Key "port" already exists' in refused(read, "[daemon]\nport = 4000\nport = 5000\n")


def test_a_file_that_is_not_text_is_refused(read: Load, tmp_path: Path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refused(read)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[deamon]\n", "line 1: there is no section deamon; did you mean daemon?"),
        ("[daemon]\n\nprot = 1\n", "line 3: there is no key daemon.prot; did you mean daemon.port?"),
        ("port = 4000\n", "line 1: there is no key port; did you mean daemon.port?"),
        ("[daemon]\nsession_ttl = 600\n", "did you mean security.session_ttl?"),
        ("[daemon.tls]\ncert = 'x'\n", "line 1: there is no table daemon.tls"),
        ("[daemon]\ntls = {cert = 'x'}\n", "line 2: there is no table daemon.tls"),
        ("[daemon]\nzzzzzz = 1\n", "line 2: there is no key daemon.zzzzzz"),
    ],
)
def test_what_is_not_listed_is_refused_with_the_nearest_name(read: Load, text: str, said: str):
    assert said in refused(read, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[daemon]\nport = "4000"\n', 'daemon.port must be an integer: write port = 4000, not port = "4000"'),
        ("[daemon]\nlog_file = 3\n", 'daemon.log_file must be a string: write log_file = "3", not log_file = 3'),
        ("[daemon]\nport = 4000.0\n", "daemon.port must be an integer: write port = 3100, not port = 4000.0"),
        ("[daemon]\nport = true\n", "daemon.port must be an integer"),
        (
            '[database]\nallow_network_filesystem = "true"\n',
            'must be true or false: write allow_network_filesystem = true, not allow_network_filesystem = "true"',
        ),
        ("[database]\nallow_network_filesystem = 1\n", "must be true or false"),
        ("[security]\ncors_origins = 'http://a'\n", 'write cors_origins = ["http://a"], not cors_origins = "http://a"'),
        ("[security]\ncors_origins = ['http://a', 1]\n", "must be a list of strings"),
        ("[rpc]\nsolana_devnet = 1\n", "must be a string or a list of strings"),
        ("[daemon]\nport = 2026-01-01\n", "must be an integer"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_right_spelling(read: Load, text: str, said: str):
    assert said in refused(read, text)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("WAIAAS_DAEMON_LOG_FILE", "123", "daemon.log_file", "123"),
        ("WAIAAS_DAEMON_PORT", "4000", "daemon.port", 4000),
        ("WAIAAS_DATABASE_ALLOW_NETWORK_FILESYSTEM", "1", "database.allow_network_filesystem", True),
        ("WAIAAS_DATABASE_ALLOW_NETWORK_FILESYSTEM", "false", "database.allow_network_filesystem", False),
        ("WAIAAS_SECURITY_CORS_ORIGINS", '["http://a", "http://b"]', "security.cors_origins", ("http://a", "http://b")),
        ("WAIAAS_SECURITY_CORS_ORIGINS", "http://a, http://b", "security.cors_origins", ("http://a", "http://b")),
        ("WAIAAS_RPC_SOLANA_DEVNET", "http://a", "rpc.solana_devnet", ("http://a",)),
        ("WAIAAS_RPC_SOLANA_DEVNET", "[]", "rpc.solana_devnet", ()),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_key(read: Load, variable: str, text: str, key: str, value: object):
    section, name = key.split(".")
    assert getattr(getattr(read(None, {variable: text}).config, section), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("WAIAAS_DAEMON_PORT", "4000x", "WAIAAS_DAEMON_PORT: daemon.port must be an integer, not '4000x'"),
        ("WAIAAS_DAEMON_PORT", "٤٠٠٠", "must be an integer"),
        ("WAIAAS_DATABASE_ALLOW_NETWORK_FILESYSTEM", "yes", "must be true or false, not 'yes'"),
        ("WAIAAS_SECURITY_CORS_ORIGINS", "[1]", "must be a list of strings"),
        ("WAIAAS_DAEMON_PROT", "1", "WAIAAS_DAEMON_PROT: there is no such setting; did you mean WAIAAS_DAEMON_PORT?"),
        ("WAIAAS_SECURITY_", "1", "WAIAAS_SECURITY_: there is no such setting"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused(read: Load, variable: str, text: str, said: str):
    assert said in refused(read, None, {variable: text})


def test_every_key_has_its_variable(read: Load):
    environ = {key.variable: "x" for key in KEYS.values()}
    said = refused(read, None, environ)
    assert "no such setting" not in said


def test_variables_of_other_readers_are_left_alone_and_unknown_ones_told_of(read: Load):
    loaded = read(None, {"WAIAAS_DATA_DIR": "/x", "WAIAAS_MASTER_PASSWORD": "hidden", "WAIAAS_COLOUR": "blue"})
    assert loaded.notices == ("the variable WAIAAS_COLOUR is read by nothing",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[daemon]\nport = 80\n", "config.toml line 2: daemon.port must be 1024 to 65535, not 80"),
        ("[daemon]\nport = 65536\n", "must be 1024 to 65535"),
        ("[daemon]\nhostname = '192.168.0.1'\n", "must be 127.0.0.1 or 0.0.0.0, not '192.168.0.1'"),
        ("[daemon]\nlog_level = 'loud'\n", "must be debug or info or warn or error, not 'loud'"),
        ("[daemon]\nlog_max_size = '50'\n", "must be written like '50MB', not '50'"),
        ("[daemon]\nlog_max_size = '2GB'\n", "must be written like '50MB'"),
        ('[daemon]\nlog_max_size = "50MB\\n"\n', "must be written like '50MB'"),
        ("[database]\npath = ''\n", "database.path must not be empty"),
        ("[rpc]\nsolana_devnet = 'embedded'\n", "holds 'embedded', which is not written like 'https://"),
        ("[rpc]\nsolana_devnet = ['a', 'http://b']\n", "holds 'a'"),
        ("[rpc]\nsolana_devnet = ['http://a','http://a','http://a','http://a','http://a','http://a','http://a',"
         "'http://a','http://a']\n", "takes at most 8 entries, not 9"),
        ("[security]\ncors_origins = ['*']\n", "holds '*'"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_where_it_stands(read: Load, text: str, said: str):
    assert said in refused(read, text)


def test_a_flag_out_of_range_is_named(read: Load):
    assert refused(read, daemon_port=80) == "--port: daemon.port must be 1024 to 65535, not 80"


def test_the_value_in_force_is_judged_not_the_one_it_hides(read: Load):
    assert read("[daemon]\nport = 80\n", {"WAIAAS_DAEMON_PORT": "4000"}).config.daemon.port == 4000


def test_a_session_may_not_outlive_its_absolute_end(read: Load):
    said = refused(read, "[security]\nsession_ttl = 604800\n", {"WAIAAS_SECURITY_SESSION_ABSOLUTE_LIFETIME": "86400"})
    assert said.startswith("config.toml line 2, WAIAAS_SECURITY_SESSION_ABSOLUTE_LIFETIME: security.session_ttl")
    assert read("[security]\nsession_ttl = 86400\nsession_absolute_lifetime = 86400\n").config.security


@pytest.mark.parametrize("path", ["/var/lib/waiaas.db", "../waiaas.db", ".", "data/../../x.db"])
def test_the_database_stays_inside_the_data_directory(read: Load, path: str):
    assert "must lie inside the data directory" in refused(read, f"[database]\npath = '{path}'\n")


def test_the_database_may_lie_elsewhere_inside_it(read: Load):
    assert read("[database]\npath = 'data/other.db'\n").config.database.path == "data/other.db"


def test_a_symlink_does_not_lead_the_database_out(read: Load, tmp_path: Path):
    (tmp_path / "data").symlink_to("/var/lib")
    assert "must lie inside" in refused(read, "[database]\npath = 'data/waiaas.db'\n")


def test_all_violations_are_told_together_each_with_its_source(read: Load):
    said = refused(
        read,
        "[daemon]\nport = 80\nprot = 1\n[keystore]\nargon2_time = '3'\n",
        {"WAIAAS_DATABASE_READERS": "many"},
        daemon_log_level="loud",
    )
    assert said.splitlines() == [
        "5 settings cannot be used:",
        "  config.toml line 3: there is no key daemon.prot; did you mean daemon.port?",
        "  config.toml line 5: keystore.argon2_time must be an integer: write argon2_time = 3, not argon2_time = \"3\"",
        "  WAIAAS_DATABASE_READERS: database.readers must be an integer, not 'many'",
        "  config.toml line 2: daemon.port must be 1024 to 65535, not 80",
        "  --log-level: daemon.log_level must be debug or info or warn or error, not 'loud'",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# port = 1\n[daemon]\n# port = 2\nport = 80\n", 4),
        ("[security]\nmax_pending_tx = 1\n[daemon]\n'port' = 80\n", 4),
        ("daemon.port = 80\n", 1),
        ("daemon = {port = 80}\n", 1),
        ("[daemon]\nlog_file = 'x'\n\n  port=80", 4),
    ],
)
def test_a_key_is_found_in_whatever_form_it_is_written(read: Load, text: str, line: int):
    assert refused(read, text).startswith(f"config.toml line {line}: daemon.port")


def test_endpoints_are_one_url_a_list_or_nothing(read: Load):
    config = read("[rpc]\nsolana_devnet = 'http://a'\nsolana_testnet = ['http://b', 'http://c']\nsolana_mainnet = ''\n")
    assert config.config.endpoints(Network.DEVNET) == ("http://a",)
    assert config.config.endpoints(Network.TESTNET) == ("http://b", "http://c")
    assert config.config.endpoints(Network.MAINNET) == ()
    assert config.config.endpoints(Network.LOCALNET) == ("embedded",)


def test_every_network_has_a_key():
    assert [network for network in Network if not Config().endpoints(network)] == []


def test_listening_beyond_this_machine_is_told_of(read: Load):
    assert "0.0.0.0" in read("[daemon]\nhostname = '0.0.0.0'\n").notices[0]
    assert "says who" in read("[security]\nallow_nonce_only_owner_signatures = true\n").notices[0]


def test_log_sizes_are_in_binary_units(read: Load):
    assert Config().daemon.log_max_bytes == 50 * 1024 * 1024
    assert read("[daemon]\nlog_max_size = '1GB'\n").config.daemon.log_max_bytes == 1024**3
