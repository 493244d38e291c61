"""Opcodes that only answer."""

from typing import Any, ClassVar

from pyganeti.model.opcodes import base


class ExtStorageDiagnose(base.Opcode, tag="OP_EXT_STORAGE_DIAGNOSE", frozen=True, kw_only=True):
    """Answer which storage providers nodes have."""

    output_fields: list[base.Text]
    names: list[base.Text] = []


class OsDiagnose(base.Opcode, tag="OP_OS_DIAGNOSE", frozen=True, kw_only=True):
    """Answer which OS definitions nodes have."""

    output_fields: list[base.Text]
    names: list[base.Text] = []


class Query(base.Opcode, tag="OP_QUERY", frozen=True, kw_only=True):
    """Answer a query."""

    said: ClassVar[str | None] = "what"
    what: base.Resource
    use_locking: bool = False
    fields: list[base.Text]
    qfilter: list[Any] | None = None


class QueryFields(base.Opcode, tag="OP_QUERY_FIELDS", frozen=True, kw_only=True):
    """Answer which fields a query has."""

    said: ClassVar[str | None] = "what"
    what: base.Resource
    fields: list[base.Text] | None = None
