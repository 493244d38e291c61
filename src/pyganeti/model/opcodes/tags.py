"""Opcodes on tags."""

from typing import ClassVar

from pyganeti.model.opcodes import base


class TagsDel(base.Opcode, tag="OP_TAGS_DEL", frozen=True, kw_only=True):
    """Take tags from an object."""

    kind: base.TagKind
    tags: list[str]
    name: str | None = None


class TagsGet(base.Opcode, tag="OP_TAGS_GET", frozen=True, kw_only=True):
    """Answer an object"s tags."""

    said: ClassVar[str | None] = "name"
    kind: base.TagKind
    use_locking: bool = False
    name: str | None = None


class TagsSearch(base.Opcode, tag="OP_TAGS_SEARCH", frozen=True, kw_only=True):
    """Find objects by their tags."""

    said: ClassVar[str | None] = "pattern"
    pattern: base.Text


class TagsSet(base.Opcode, tag="OP_TAGS_SET", frozen=True, kw_only=True):
    """Give an object tags."""

    kind: base.TagKind
    tags: list[str]
    name: str | None = None
