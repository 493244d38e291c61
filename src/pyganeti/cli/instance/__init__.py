"""The sub-commands of gnt-instance."""
