"""A client of etcd: keys, transactions, leases and watches, in the few ways that we need them.

It stands on the messages and stubs that aetcd brings, and not on aetcd's own client: that one knows
no TLS, one member only, and loses which error it was and at which revision an answer was true. No
other package imports aetcd or gRPC, and nothing of either is seen outside. Whoever imports a module
from here but `access` and `messages` needs the extra ``pyganeti[etcd]``.
"""
