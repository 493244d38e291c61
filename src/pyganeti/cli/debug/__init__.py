"""The sub-commands of gnt-debug."""
