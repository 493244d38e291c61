"""What fell is put right: follows the nodes' stops, decides, has instances started or recorded.

``recoverer`` is what the daemon and the pass from cron use; what decides (``backoff``,
``deciding``, ``choosing``, ``mentions``, ``trail``) does no I/O. Only the watcher imports it.
"""
