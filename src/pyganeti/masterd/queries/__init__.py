"""Answering questions: a language for conditions, fields of every resource, live data from nodes.

Nothing here changes anything. What is asked of a resource is compiled once, to functions of an
object; what the configuration knows is answered without asking a node; what cannot be known is a
cell that says why, never a value. `engine` is what others use.
"""
