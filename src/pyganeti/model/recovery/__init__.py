"""What is to be done about an instance that fell: an operator's settings, and what follows of them.

Pure: the watcher acts on it, the commands show and change it, the verification names what is wrong
with it. Settings are tags (docs/decisions/0023), so any master keeps them, and any client sees
them.
"""
