"""The cluster's configuration as Ganeti 3.0 keeps it in config.data: objects, and what they mean.

Everything here is immutable and pure: no clock, no disk, no network. `snapshot` is the whole of it
at one moment; `filling` says what an object's parameters come to once the cluster's, the group's
and the operating system's are below them; `codec` knows how each object stands in a file. Who
keeps the file, and who may change it, is the master daemon's business (`masterd.config`).
"""
