"""The sub-command ``gnt-network add-tags``."""

from pyganeti.cli import tagging

command = tagging.add_command("network")
