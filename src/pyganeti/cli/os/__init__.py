"""The sub-commands of gnt-os."""
