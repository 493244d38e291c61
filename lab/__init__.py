"""The laboratory: real qemu guests of 512 bytes, and simulated QMP servers by the thousand.

Tests, the demo and the benchmarks import it; it may import pyganeti and is not shipped with it.
Nothing that it starts outlives the program that started it, even if that is killed.
"""
