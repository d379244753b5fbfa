"""Transactions that are in no block yet, by the rules of geth's pool: pure, the state is handed in."""

from collections.abc import Callable

import msgspec

from waiaas.localnet.evm.transactions import Signed, refused

#: percent by which both fees of a replacement must rise
PRICE_BUMP = 10


class Account(msgspec.Struct, frozen=True):
    """What the newest block says of a sender."""

    nonce: int
    balance: int


class Pool:
    """Per sender one transaction for each nonce; those behind a gap wait."""

    def __init__(self) -> None:
        #: by hash, in the order of arrival
        self._arrived: dict[bytes, Signed] = {}
        self._lanes: dict[bytes, dict[int, Signed]] = {}

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, transaction: Signed, account: Account) -> None:
        """Take a transaction, in place of one with its nonce if it pays enough more; RpcRefusal in geth's words."""
        if transaction.hash in self._arrived:
            raise refused("already known")
        if transaction.nonce < account.nonce:
            raise refused(f"nonce too low: next nonce {account.nonce}, tx nonce {transaction.nonce}")
        lane = self._lanes.get(transaction.sender, {})
        former = lane.get(transaction.nonce)
        check_funds(transaction, account.balance, sum(each.cost for each in lane.values() if each is not former))
        if former:
            check_bump(former, transaction)
            self.remove(former.hash)
        self._arrived[transaction.hash] = transaction
        self._lanes.setdefault(transaction.sender, {})[transaction.nonce] = transaction

    def find(self, hash: bytes) -> Signed | None:
        return self._arrived.get(hash)

    def all(self) -> list[Signed]:
        """Everything, in the order of arrival."""
        return list(self._arrived.values())

    def remove(self, hash: bytes) -> None:
        """Forget a transaction, if it is there."""
        if gone := self._arrived.pop(hash, None):
            lane = self._lanes[gone.sender]
            del lane[gone.nonce]
            if not lane:
                del self._lanes[gone.sender]

    def clear(self) -> None:
        self._arrived.clear()
        self._lanes.clear()

    def prune(self, nonce_of: Callable[[bytes], int]) -> None:
        """Forget what a block has overtaken."""
        for sender, lane in list(self._lanes.items()):
            nonce = nonce_of(sender)
            for gone in [each for each in lane.values() if each.nonce < nonce]:
                self.remove(gone.hash)

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """The first nonce from `nonce` on that no transaction here has."""
        lane = self._lanes.get(sender, {})
        while nonce in lane:
            nonce += 1
        return nonce

    def count_pending(self, nonce_of: Callable[[bytes], int]) -> int:
        """How many stand behind no gap."""
        return sum(self.next_nonce(sender, nonce_of(sender)) - nonce_of(sender) for sender in self._lanes)

    def ready(self, nonce_of: Callable[[bytes], int], base_fee: int) -> list[Signed]:
        """What the next block may take: nonces in order, whoever came first before others, none below the base fee."""
        order = {key: number for number, key in enumerate(self._arrived)}
        ready: list[tuple[int, Signed]] = []
        for sender, lane in self._lanes.items():
            nonce, place = nonce_of(sender), 0
            while (each := lane.get(nonce)) and each.fee_cap >= base_fee:
                place = max(place, order[each.hash])
                ready.append((place, each))
                nonce += 1
        return [each for _, each in sorted(ready, key=lambda entry: entry[0])]


def check_funds(transaction: Signed, balance: int, queued: int) -> None:
    """RpcRefusal if the sender cannot pay for it, or not beside what already waits."""
    cost, need = transaction.cost, "insufficient funds for gas * price + value"
    if balance < cost:
        raise refused(f"{need}: balance {balance}, tx cost {cost}, overshot {cost - balance}")
    if balance < cost + queued:
        over = cost + queued - balance
        raise refused(f"{need}: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {over}")


def check_bump(former: Signed, transaction: Signed) -> None:
    """RpcRefusal unless both fees rise by PRICE_BUMP percent."""
    fees = ((former.fee_cap, transaction.fee_cap), (former.tip_cap, transaction.tip_cap))
    if any(new <= old or new * 100 < old * (100 + PRICE_BUMP) for old, new in fees):
        raise refused("replacement transaction underpriced")
