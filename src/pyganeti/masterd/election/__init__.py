"""Who is the master: the votes of the nodes, counted purely, and how they are gathered.

Nothing here changes anything. A vote is what a node's own ssconf says the master is.
"""
