"""What a daemon counts, told to Prometheus: one page of figures, served over plain HTTP.

Daemons put their own figures on a `page.Page`; nothing here knows what they mean. It must never
cost a daemon more than a moment of its loop, nor its start.
"""
