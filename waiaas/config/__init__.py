"""The settings: frozen structs, one per section, the only place where a default or a range is written."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.inspect import LiteralType, Metadata, Type, VarTupleType, type_info

from waiaas.domain.chain import Chain, Network, chain_of

Url = Annotated[str, Meta(pattern=r"^https?://[^\s/]+(/\S*)?\Z")]
UrlOrEmbedded = Annotated[str, Meta(pattern=r"^(embedded|https?://[^\s/]+(/\S*)?)\Z")]
Origin = Annotated[str, Meta(pattern=r"^https?://[^\s/]+\Z")]


class Daemon(msgspec.Struct, frozen=True):
    """The process, its HTTP address and its log."""

    port: Annotated[int, Meta(ge=1024, le=65535, description="TCP port of the HTTP API")] = 3100
    hostname: Annotated[
        Literal["127.0.0.1", "0.0.0.0"], Meta(description="address to listen on; 0.0.0.0 is for containers only")
    ] = "127.0.0.1"
    log_level: Annotated[
        Literal["debug", "info", "warn", "error"], Meta(description="least severe lines that are logged")
    ] = "info"
    log_file: Annotated[str, Meta(description='log file in the data directory; "" logs to stderr')] = "logs/daemon.log"
    log_max_size: Annotated[
        str, Meta(pattern=r"^([1-9][0-9]{0,2}MB|1GB)\Z", description="size at which the log file is rotated, up to 1GB")
    ] = "50MB"
    log_max_files: Annotated[int, Meta(ge=1, le=100, description="log files kept, the present one included")] = 5
    shutdown_timeout: Annotated[int, Meta(ge=5, le=300, description="seconds that stopping may take")] = 30
    admin_timeout: Annotated[
        int, Meta(ge=60, le=7200, description="seconds of idleness after which an admin page forgets the password")
    ] = 900

    @property
    def log_max_bytes(self) -> int:
        """`log_max_size` in bytes."""
        return int(self.log_max_size[:-2]) * (1024**3 if self.log_max_size.endswith("GB") else 1024**2)


class Keystore(msgspec.Struct, frozen=True):
    """Argon2id, used when a master file is written; reading takes its parameters from the file."""

    argon2_memory: Annotated[int, Meta(ge=32768, le=1048576, description="memory in KiB")] = 65536
    argon2_time: Annotated[int, Meta(ge=1, le=20, description="iterations")] = 3
    argon2_parallelism: Annotated[int, Meta(ge=1, le=16, description="lanes")] = 4


class Database(msgspec.Struct, frozen=True):
    """SQLite: the file and how it is opened."""

    path: Annotated[str, Meta(min_length=1, description="database file, inside the data directory")] = "data/waiaas.db"
    wal_checkpoint_interval: Annotated[
        int, Meta(ge=60, le=3600, description="seconds between checkpoints of the write-ahead log")
    ] = 300
    busy_timeout: Annotated[
        int, Meta(ge=1000, le=30000, description="milliseconds to wait for another program's lock")
    ] = 5000
    cache_size: Annotated[int, Meta(ge=2000, le=512000, description="page cache of each connection, in KiB")] = 64000
    mmap_size: Annotated[int, Meta(ge=0, le=1073741824, description="bytes of the file that are memory-mapped")] = (
        268435456
    )
    readers: Annotated[int, Meta(ge=1, le=16, description="reader connections, a thread each")] = 4
    allow_network_filesystem: Annotated[
        bool, Meta(description="only warn when the data directory lies on a network file system")
    ] = False


class Rpc(msgspec.Struct, frozen=True):
    """Nodes: one URL or a list of up to eight, tried in order; "" means the network is not configured."""

    solana_mainnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Solana mainnet")] = (
        "https://api.mainnet-beta.solana.com",
    )
    solana_devnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Solana devnet")] = (
        "https://api.devnet.solana.com",
    )
    solana_testnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Solana testnet")] = (
        "https://api.testnet.solana.com",
    )
    solana_localnet: Annotated[
        tuple[UrlOrEmbedded, ...],
        Meta(max_length=8, description='the local network: "embedded", or the URL of a node on this machine'),
    ] = ("embedded",)
    solana_default_network: Annotated[
        Literal["mainnet", "devnet", "testnet", "localnet"],
        Meta(description="network of a Solana agent that is created without one"),
    ] = "devnet"
    evm_ethereum_mainnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Ethereum")] = (
        "https://eth.drpc.org",
    )
    evm_ethereum_sepolia: Annotated[
        tuple[Url, ...], Meta(max_length=8, description="endpoints of Ethereum's testnet Sepolia")
    ] = ("https://sepolia.drpc.org",)
    evm_polygon_mainnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Polygon")] = (
        "https://polygon.drpc.org",
    )
    evm_polygon_amoy: Annotated[
        tuple[Url, ...], Meta(max_length=8, description="endpoints of Polygon's testnet Amoy")
    ] = ("https://polygon-amoy.drpc.org",)
    evm_arbitrum_mainnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Arbitrum One")] = (
        "https://arbitrum.drpc.org",
    )
    evm_arbitrum_sepolia: Annotated[
        tuple[Url, ...], Meta(max_length=8, description="endpoints of Arbitrum's testnet on Sepolia")
    ] = ("https://arbitrum-sepolia.drpc.org",)
    evm_optimism_mainnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of OP Mainnet")] = (
        "https://optimism.drpc.org",
    )
    evm_optimism_sepolia: Annotated[
        tuple[Url, ...], Meta(max_length=8, description="endpoints of OP's testnet on Sepolia")
    ] = ("https://optimism-sepolia.drpc.org",)
    evm_base_mainnet: Annotated[tuple[Url, ...], Meta(max_length=8, description="endpoints of Base")] = (
        "https://base.drpc.org",
    )
    evm_base_sepolia: Annotated[
        tuple[Url, ...], Meta(max_length=8, description="endpoints of Base's testnet on Sepolia")
    ] = ("https://base-sepolia.drpc.org",)
    evm_ethereum_localnet: Annotated[
        tuple[UrlOrEmbedded, ...],
        Meta(max_length=8, description='the local EVM network: "embedded", or the URL of a node on this machine'),
    ] = ("embedded",)
    evm_default_network: Annotated[
        Literal[
            "ethereum-mainnet",
            "ethereum-sepolia",
            "polygon-mainnet",
            "polygon-amoy",
            "arbitrum-mainnet",
            "arbitrum-sepolia",
            "optimism-mainnet",
            "optimism-sepolia",
            "base-mainnet",
            "base-sepolia",
            "ethereum-localnet",
        ],
        Meta(description="network of an EVM agent that is created without one"),
    ] = "ethereum-sepolia"
    request_timeout_seconds: Annotated[int, Meta(ge=1, le=60, description="seconds that a node may take to answer")] = (
        10
    )
    max_response_bytes: Annotated[
        int, Meta(ge=65536, le=134217728, description="largest answer of a node that is read, in bytes")
    ] = 16777216
    breaker_failures: Annotated[
        int, Meta(ge=1, le=50, description="failures in a row after which an endpoint is left alone")
    ] = 5
    breaker_cooldown_seconds: Annotated[
        int, Meta(ge=1, le=600, description="seconds for which it is then left alone")
    ] = 30
    solana_max_priority_fee_lamports: Annotated[
        int, Meta(ge=0, le=10**9, description="most lamports a transaction may pay to be taken first")
    ] = 1000000
    evm_max_fee_gwei: Annotated[
        int, Meta(ge=1, le=100000, description="most gwei per gas that is signed; while gas costs more, payments wait")
    ] = 1000


class Security(msgspec.Struct, frozen=True):
    """Sessions, limits and who may call."""

    session_ttl: Annotated[
        int, Meta(ge=300, le=604800, description="seconds a session lives, unless it is created with another ttl")
    ] = 86400
    session_absolute_lifetime: Annotated[
        int, Meta(ge=86400, le=7776000, description="seconds after which no renewal keeps a session alive")
    ] = 2592000
    default_max_renewals: Annotated[
        int, Meta(ge=0, le=100, description="renewals of a session that is created without maxRenewals")
    ] = 30
    max_sessions_per_agent: Annotated[int, Meta(ge=1, le=50, description="live sessions an agent may have")] = 5
    max_pending_tx: Annotated[int, Meta(ge=1, le=1000, description="queued transactions an agent may have")] = 10
    max_open_nonces: Annotated[int, Meta(ge=100, le=10000, description="unused nonces kept, oldest go first")] = 1000
    duplicate_window_seconds: Annotated[
        int,
        Meta(ge=0, le=3600, description="seconds in which the same request without a key of its own is one; 0 is off"),
    ] = 10
    unsigned_timeout_seconds: Annotated[
        int, Meta(ge=60, le=86400, description="seconds after which an accepted transaction not yet signed expires")
    ] = 900
    policy_defaults_delay_seconds: Annotated[
        int, Meta(ge=60, le=3600, description="delay_seconds of a SPENDING_LIMIT that names none")
    ] = 300
    policy_defaults_approval_timeout: Annotated[
        int, Meta(ge=300, le=86400, description="approval_timeout of a SPENDING_LIMIT that names none, in seconds")
    ] = 3600
    kill_switch_recovery_cooldown: Annotated[
        int, Meta(ge=0, le=86400, description="seconds from asking to lift the kill switch to lifting it; 0: at once")
    ] = 0
    allow_nonce_only_owner_signatures: Annotated[
        bool, Meta(description="owners may sign the bare nonce of GET /v1/nonce: it proves who, not what")
    ] = False
    rate_limit_global_ip_rpm: Annotated[
        int, Meta(ge=0, le=100000, description="requests a minute from one address; 0 is no limit")
    ] = 1000
    rate_limit_session_rpm: Annotated[
        int, Meta(ge=0, le=100000, description="requests a minute of one session; 0 is no limit")
    ] = 300
    rate_limit_tx_rpm: Annotated[
        int, Meta(ge=0, le=100000, description="sends a minute of one session; 0 is no limit")
    ] = 60
    cors_origins: Annotated[tuple[Origin, ...], Meta(description="origins whose pages may call the API")] = (
        "http://localhost:3100",
        "http://127.0.0.1:3100",
    )


class Config(msgspec.Struct, frozen=True):
    """Every setting, valid."""

    daemon: Daemon = Daemon()
    keystore: Keystore = Keystore()
    database: Database = Database()
    rpc: Rpc = Rpc()
    security: Security = Security()

    def endpoints(self, network: Network) -> tuple[str, ...]:
        """URLs of a network in order, or ("embedded",); empty if it is not configured."""
        chain = "solana" if chain_of(network) is Chain.SOLANA else "evm"
        found: tuple[str, ...] = getattr(self.rpc, f"{chain}_{network.replace('-', '_')}", ())
        return found


class Key(msgspec.Struct, frozen=True):
    """One setting, as its field declares it."""

    section: str
    name: str
    kind: Type
    default: Any
    about: str
    choices: tuple[str, ...] = ()

    @property
    def dotted(self) -> str:
        """`daemon.port`."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """`WAIAAS_DAEMON_PORT`."""
        return f"WAIAAS_{self.section}_{self.name}".upper()

    @property
    def is_endpoints(self) -> bool:
        """Whether one string stands for a list of one."""
        return self.section == "rpc" and isinstance(self.kind, VarTupleType)


def read_keys() -> Iterator[Key]:
    """Every key of every section, in the order written above."""
    for section, struct in get_type_hints(Config).items():
        defaults = struct()
        for name, hint in get_type_hints(struct, include_extras=True).items():
            info = type_info(hint)
            assert isinstance(info, Metadata)
            about = (info.extra_json_schema or {})["description"]
            choices = get_args(get_args(hint)[0]) if isinstance(info.type, LiteralType) else ()
            yield Key(section, name, info.type, getattr(defaults, name), about, choices)


KEYS = {key.dotted: key for key in read_keys()}
SECTIONS = tuple(get_type_hints(Config))
