"""The sub-commands of gnt-node."""
