"""The sub-commands of gnt-network."""
