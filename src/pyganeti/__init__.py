"""pyganeti manages clusters of KVM hosts; it speaks Ganeti 3.0's protocols and file formats."""

__version__ = "0.1.0"
