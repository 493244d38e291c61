"""The stop journal's writing side: what happened is put on disk, and nobody waits for the disk.

`journal` is what the rest of the daemon uses. Reading, by whoever may, is `clients.stopjournal`.
Knows stops and qemus as rows, nothing of sockets or QMP.
"""
