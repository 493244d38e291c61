"""Where instances go when nobody says where: pure decisions over what nodes said of themselves.

`builtin` is ours; an external program is asked by Ganeti's protocol where one is named. Nothing
here calls a node or changes anything.
"""
