"""What the cluster can be told to do: one Struct for each opcode, checked when it is made.

Names, parameters and defaults are Ganeti 3.0's. Whether this master can carry an opcode out is not
decided here. A family is a module; `table` has them all, and turns them into JSON and back.
"""
