"""The cluster's configuration: changed in one place, durable before anyone hears of it, sent on.

`state` has what is current and changes it; a `store` keeps it; `distribution` brings it to the
nodes. What the objects are and mean is `model.config`'s. Nothing here knows of jobs, locks or
opcodes; may be imported by the queries, the opcodes, the server and the app.
"""
