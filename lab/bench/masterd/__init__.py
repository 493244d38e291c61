"""The master daemon's benchmarks: ours and Ganeti's over the same configuration.

What is measured is what a client on the machine sees, at the socket.
"""
