"""The sub-command ``gnt-network list-tags``."""

from pyganeti.cli import tagging

command = tagging.list_command("network")
