"""qemu: its command line, its processes, its commands. Knows instances, but no calls and no disks.

`commandline` is pure: the same instance, devices and capabilities give the same words, and golden
files hold it to them. What touches the system is in `capabilities`, `process`, `monitor`,
`security` and `tpm`. Imported by `pyganeti.noded.instance`.
"""
