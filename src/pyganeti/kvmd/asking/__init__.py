"""Answers to people's and programs' questions about stops: list, stops, why, follow.

Functions that take an opened journal and write to a given text stream; no command line, no daemon.
May import ``clients``, ``words``, ``wire``, ``model`` and ``base``, of ``kvmd`` nothing.
"""
