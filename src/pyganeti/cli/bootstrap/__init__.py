"""Making a cluster where there is none: what a master daemon cannot do, for it does not run yet.

`finding` finds out about this machine, `secrets` and `founding` write what a node of a cluster
has, `undoing` takes it away again when something fails, `creating` is the whole.
"""
