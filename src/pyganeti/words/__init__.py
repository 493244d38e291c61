"""What people are told, in words: times, lengths of time, tables, why a guest stopped, who did it.

Pure functions of what is known, for every command alike: what ``ganeti-kvmd`` says of a stop on its
node and what ``gnt-instance`` says of it on the master are the same words. May be imported by
commands and daemons; asks nobody, and writes only to a text stream that it is given.
"""
