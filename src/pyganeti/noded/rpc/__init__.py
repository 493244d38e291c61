"""The node RPC's calls, a module a family of verbs, and the HTTPS server that they come in by.

A family takes checked arguments, calls the package that does the work, and returns what goes out
as JSON. No work is done here, and no family knows another.
"""
