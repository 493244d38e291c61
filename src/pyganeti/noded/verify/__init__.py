"""What is wrong with this node, as a cluster's verification asks: one module a kind of question.

Each check answers in the shape that Ganeti's masters read; what one cannot find out is its answer,
and not a failure of the others. Used by `noded.rpc` alone.
"""
