"""The sub-command ``gnt-cluster add-tags``."""

from pyganeti.cli import tagging

command = tagging.add_command("cluster")
