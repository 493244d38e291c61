"""Follows guests: finds their sockets, hears what their qemus say, notices that one is gone.

Decides nothing about why a guest stopped, and writes nothing but by the journal. Used by the app
alone.
"""
