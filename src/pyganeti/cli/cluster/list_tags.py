"""The sub-command ``gnt-cluster list-tags``."""

from pyganeti.cli import tagging

command = tagging.list_command("cluster")
