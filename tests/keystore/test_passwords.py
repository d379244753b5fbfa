"""What a master password may look like, and how a candidate is compared."""

import pytest

from waiaas.errors import PasswordRefused
from waiaas.keystore import check_new_password
from waiaas.keystore.passwords import PasswordCheck


@pytest.mark.parametrize("text", ["twelve chars", "p" * 12, "p" * 128, "ü" * 64, "пароль на 1 год", "密" * 12])
def test_twelve_characters_to_128_bytes_are_accepted(text: str) -> None:
    check_new_password(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least 12 characters"),
        ("p" * 11, "at least 12 characters"),
        ("p" * 129, "at most 128 bytes"),
        ("ü" * 65, "at most 128 bytes"),
        (" " + "p" * 12, "blank"),
        ("p" * 12 + "\n", "blank"),
        ("pppppp\tpppppp", "control"),
        ("pppppp\0pppppp", "control"),
        ("pppppp\udcffpppppp", "control"),
    ],
)
def test_others_are_refused_with_the_reason_and_without_the_password(text: str, reason: str) -> None:
    with pytest.raises(PasswordRefused, match=reason) as refused:
        check_new_password(text)
    assert not text.strip() or text not in refused.value.message


def test_only_the_password_matches() -> None:
    check = PasswordCheck(b"correct horse battery")
    assert check.matches(b"correct horse battery")
    assert not check.matches(b"correct horse batterY")
    assert not check.matches(b"")


def test_what_is_kept_of_a_password_differs_in_every_process() -> None:
    one, other = PasswordCheck(b"correct horse battery"), PasswordCheck(b"correct horse battery")
    assert vars(one) != vars(other)
    assert b"correct horse battery" not in vars(one).values()
