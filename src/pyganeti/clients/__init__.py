"""How one part reads or calls another. Daemons and commands import this, never each other."""
