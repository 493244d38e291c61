"""ganeti-masterd: accepts jobs, keeps them through any crash, takes locks, calls the nodes.

It keeps the cluster's configuration, and answers what is asked about it. It changes nothing on a
machine by itself: the node daemons do that. If it ends, instances go on. Nothing here may be
imported by another daemon or by the commands; those speak LUXI.
"""
