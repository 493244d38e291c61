"""LUXI as the master daemon serves it: sockets, connections, and a table of methods.

It knows what may be asked and in which words a wrong question is refused; what is asked is done by
the queue, the query engine and the configuration, which it gets from who wires the daemon.
`server` is what others use.
"""
