"""What each opcode does. A family of opcodes is a folder, an opcode a module in it.

An opcode is carried out in steps that are the same for all (`performer`): its locks, a plan made
from the configuration and what nodes say, hooks, the plan's execution, hooks again. What the
modules here decide about the cluster they decide in the plan; the execution calls nodes and
changes the configuration. `table` finds the modules: to add an opcode is to add a file.
"""
