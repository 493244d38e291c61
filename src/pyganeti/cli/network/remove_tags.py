"""The sub-command ``gnt-network remove-tags``."""

from pyganeti.cli import tagging

command = tagging.remove_command("network")
