"""Removes what nobody needs any more from a node's directories, now and then, from cron or a timer.

It asks no daemon and starts none; what it may remove is known by place, name, kind and age, and
everything else stays. It imports no daemon's package.
"""
