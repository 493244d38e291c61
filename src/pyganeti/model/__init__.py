"""What the project talks about: causes, stops, evidence, intents. Frozen, checked, no I/O.

May be imported by every package but ``base``, and itself imports ``base`` only.
"""
