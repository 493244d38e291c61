"""OS definitions: folders of scripts that put an operating system on an instance's disks.

Finds and checks them, and runs their scripts as Ganeti does. Knows nothing of how disks or networks
are made: what a script is told of a disk comes in ready.
"""
