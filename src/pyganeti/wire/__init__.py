"""Formats that leave the process: how models are written on disk and on sockets. No I/O.

May be imported by clients and daemons; imports ``model`` and ``base``.
"""
