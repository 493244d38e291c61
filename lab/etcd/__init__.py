"""Real etcd clusters for tests: members of Debian's etcd-server that can be hurt in every way.

`lab.etcd.etcds` is where one begins.
"""
