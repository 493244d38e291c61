"""A cluster kept in etcd: configuration, jobs, and who leads.

Everything that a leader writes is a transaction that holds only while the leader's key is the one
that it made; so whoever has lost that, knowing or not, changes nothing. `keys` says where things
are, `fence` what every transaction compares, `chain` how one follows the other; `store` keeps the
configuration, `shelf` the jobs. Who wins the leader's key, and how, is `election.leased`.
"""
