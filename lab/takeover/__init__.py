"""A cluster's candidates, its etcd and its nodes in one process, in a time of their own.

    python -m lab.takeover 4711        # one schedule of faults, told as it goes

What decides is the very code of the master daemon: lease and leadership, the stores of jobs and
configuration, the queue. What it stands on is simulated: clocks, the network, etcd, nodes. So a
minute of faults takes some milliseconds, and the same seed is the same minute.

`world` is time, processes and the network; `etcd` and `client` the store; `candidates` the daemons;
`faults` what happens to them; `judging` what must hold in the end.
"""
