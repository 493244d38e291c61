"""The node daemon's benchmarks: ours and Ganeti's on one machine, one after the other, same guests.

The machine is one of `lab.cluster`; whoever calls is outside it, over the network and TLS.
"""
