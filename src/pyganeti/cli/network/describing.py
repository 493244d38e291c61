"""What people say of a network: the options that ``add`` and ``modify`` share."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from pyganeti.cli import params

F = TypeVar("F", bound=Callable[..., Any])


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


ADDRESSES: Final = params.Parsed("ip,ip,…", _list)
TAGS: Final = params.Parsed("a,b", _list)

_OPTIONS: Final = (
    click.option("--gateway", metavar="IP", help="Its router, which no instance gets."),
    click.option("--network6", metavar="RANGE", help="Its IPv6 range, such as 2001:db8::/64."),
    click.option("--gateway6", metavar="IP", help="Its router's IPv6 address."),
    click.option(
        "--mac-prefix", metavar="PREFIX", help="What its cards' MAC addresses begin with."
    ),
    click.option(
        "--add-reserved-ips", type=ADDRESSES, help="Addresses that no instance is to get."
    ),
)


def options(function: F) -> F:
    """Give a sub-command the options, by the names that opcodes have for them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def said(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was said of all options."""
    return {name: value for name, value in given.items() if value is not None}
