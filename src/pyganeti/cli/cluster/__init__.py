"""The sub-commands of gnt-cluster."""
