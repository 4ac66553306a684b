"""The version of include/rwkv7.h that this package was written for (tests compare them)."""

__version__ = "0.1.0"
SOVERSION = 0
