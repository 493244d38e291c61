"""Exports: instances as files, ``/srv/ganeti/export/NAME`` with a dump a disk and ``config.ini``.

While an export is made it is ``NAME.new``. Everything is as Ganeti has it, so that either can read
the other's. Knows nothing of how the dumps get there.
"""
