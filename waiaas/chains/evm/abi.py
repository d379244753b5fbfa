"""The part of the contract ABI that a wallet speaks (https://docs.soliditylang.org/en/latest/abi-spec.html)."""

WORD = 32

TRANSFER = bytes.fromhex("a9059cbb")
APPROVE = bytes.fromhex("095ea7b3")
BALANCE_OF = bytes.fromhex("70a08231")
ALLOWANCE = bytes.fromhex("dd62ed3e")
DECIMALS = bytes.fromhex("313ce567")
SYMBOL = bytes.fromhex("95d89b41")
NAME = bytes.fromhex("06fdde03")
GET_L1_FEE = bytes.fromhex("49948e0e")

ERROR = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no such value of an enumeration",
    0x22: "broken storage",
    0x31: "pop from an empty array",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "call of an unset function",
}
LONGEST_REASON = 256


def call(selector: bytes, *arguments: int | str) -> bytes:
    """Calldata for a function of static arguments: numbers, and addresses as strings."""
    return selector + b"".join(_word(argument) for argument in arguments)


def call_bytes(selector: bytes, argument: bytes) -> bytes:
    """Calldata for a function of one `bytes` argument."""
    padding = b"\0" * (-len(argument) % WORD)
    return selector + _word(WORD) + _word(len(argument)) + argument + padding


def _word(value: int | str) -> bytes:
    number = int(value, 16) if isinstance(value, str) else value
    return number.to_bytes(WORD, "big")


def number(data: bytes) -> int:
    """The number that a call returned; ValueError if it returned none."""
    if len(data) < WORD:
        raise ValueError("no number")
    return int.from_bytes(data[:WORD], "big")


def small_number(data: bytes) -> int:
    """A uint8 that a call returned; ValueError if it is none."""
    if (value := number(data)) > 255:
        raise ValueError("larger than a uint8")
    return value


def text(data: bytes) -> str:
    """The string that a call returned, or the bytes32 that early tokens return instead; ValueError if neither."""
    if len(data) == WORD:
        return data.rstrip(b"\0").decode()
    start = number(data)
    length = number(data[start:])
    found = data[start + WORD : start + WORD + length]
    if len(found) != length:
        raise ValueError("a string that is cut off")
    return found.decode()


def refuses(data: bytes) -> bool:
    """Whether an ERC-20 call returned false; tokens that return nothing mean yes."""
    return bool(data) and not any(data[:WORD])


def reason(data: bytes) -> str:
    """Why a call reverted: the text of Error(string), the meaning of Panic(uint256), or another error's selector."""
    try:
        if data.startswith(ERROR):
            return text(data[4:])[:LONGEST_REASON]
        if data.startswith(PANIC):
            code = number(data[4:])
            return PANICS.get(code, f"panic {code:#x}")
    except ValueError:
        return "it gives a reason that cannot be read"
    return f"custom error 0x{data[:4].hex()}" if len(data) >= 4 else ""
