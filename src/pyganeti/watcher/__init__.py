"""Puts right what fell: the node's daemons, and on the master the instances.

One pass, from cron or a timer, or a daemon that acts as soon as something falls. It asks the master
daemon over LUXI and nodes over the node RPC, and changes instances by jobs alone; it imports no
other daemon, and none of them imports it.
"""
