"""Making a cluster where there is none, and nodes of machines: what no daemon there can do yet.

`finding` finds out about this machine, `secrets` and `founding` write what a node of a cluster
has, `starting` starts its daemons, `undoing` takes it back when something fails. `creating` makes
the first node. Any other machine is handed a bundle by the master (`inviting`, over ssh or to who
shows a token), takes it (`waiting`), and becomes a node (`joining`).
"""
