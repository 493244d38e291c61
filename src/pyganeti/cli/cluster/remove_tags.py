"""The sub-command ``gnt-cluster remove-tags``."""

from pyganeti.cli import tagging

command = tagging.remove_command("cluster")
