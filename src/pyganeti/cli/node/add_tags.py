"""The sub-command ``gnt-node add-tags``."""

from pyganeti.cli import completing, tagging

command = tagging.add_command("node", completing.nodes)
