"""The sub-command ``gnt-cluster search-tags``."""

import click

from pyganeti.cli import following, options, session
from pyganeti.model.opcodes import tags


@click.command()
@click.argument("pattern")
@options.job(dry_run=False)
@click.pass_obj
def command(current: session.Session, *, pattern: str, how: options.How) -> int:
    """Find what has tags that match a regular expression: a path and a tag a line."""
    results = following.run(current, [tags.TagsSearch(pattern=pattern)], how)
    if results is None:
        return 0
    [found] = results
    if how.as_json:
        current.out_json(found)
    else:
        for path, tag in found:
            current.out(f"{path} {tag}")
    return 0 if found else 1
