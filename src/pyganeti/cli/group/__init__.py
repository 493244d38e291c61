"""The sub-commands of gnt-group."""
