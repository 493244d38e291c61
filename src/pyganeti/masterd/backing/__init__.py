"""What a cluster is kept in, and by what right a daemon leads it: one interface, a module a kind.

Above the stores of configuration and jobs and the ways to be elected, which it brings together;
below whatever carries out jobs or answers, which knows no kinds.
"""
