"""The sub-command ``gnt-node remove-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.remove_command("node", completing.nodes)
