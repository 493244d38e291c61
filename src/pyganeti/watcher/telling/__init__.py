"""Tells those outside what recovery sees and does: programs of the site, webhooks, Prometheus.

It only listens (`watcher.events`): nothing here may hold up recovery or decide about it.
"""
