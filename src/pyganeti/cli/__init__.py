"""The gnt-* commands: what people and their scripts use.

A command knows LUXI and nothing else of the daemons: it asks the master daemon, submits jobs to it
and shows what comes back. Every sub-command is a module, imported only when it is asked for, since
a command has to answer in a tenth of a second. Nobody may import this.
"""
