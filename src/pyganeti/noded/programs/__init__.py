"""The site's own programs that a master may have run on a node: hooks, allocators, commands.

Each runs within bounds, in an environment that is given in full, from the one place where its kind
lies; a name that a master sends is never a path. Knows nothing of instances, disks or networks.
"""
