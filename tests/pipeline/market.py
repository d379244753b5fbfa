"""What an EVM node says of fees, as a test wants it said."""

from dataclasses import dataclass

from tests.pipeline.ethereum import GWEI


@dataclass
class Market:
    """What the node says of fees, from now on."""

    base: int
    tip: int


def watch_market(eth, market: Market) -> Market:
    """From now on the node tells what the market says."""

    async def act(exchange):
        replies = {reply["id"]: reply for reply in await exchange.forward()}
        for call in exchange.calls:
            if call["method"] == "eth_feeHistory" and market.base:
                replies[call["id"]]["result"] = {
                    "baseFeePerGas": [hex(market.base)] * 6,
                    "reward": [[hex(market.tip)]] * 5,
                    "oldestBlock": "0x1",
                    "gasUsedRatio": [0.5] * 5,
                }

    eth.faults.on("eth_feeHistory", act, times=1000)
    return market


def rise(market, times: int = 10) -> None:
    market.base, market.tip = times * GWEI, times * GWEI
