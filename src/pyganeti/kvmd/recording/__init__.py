"""What follows from a verdict: the row, the marker, letting a held qemu go, hooks, figures."""
