"""Names that are given to a command as one comma-separated option."""

from __future__ import annotations

from collections.abc import Iterable

import click


def named(text: str, known: Iterable[str], what: str) -> list[str]:
    """The names in a comma-separated list, in its order; "all" stands for all that are known.

    Args:
        what: kind of thing, for the message.

    Raises:
        click.BadParameter: a name is not known.
    """
    if text == "all":
        return list(known)
    names = [name.strip() for name in text.split(",")]
    if unknown := set(names) - set(known):
        raise click.BadParameter(f"no such {what}: {', '.join(sorted(unknown))}")
    return names
