"""The sub-commands of gnt-job."""
