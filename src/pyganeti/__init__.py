"""pyganeti manages clusters of KVM hosts; it speaks Ganeti 3.0's protocols and file formats."""

from typing import Final

__version__: Final = "0.1.0"
