"""The sub-command ``gnt-node list-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.list_command("node", completing.nodes)
