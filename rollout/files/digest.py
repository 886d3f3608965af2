"""Digests from Python's own modules: loading OpenSSL, as hashlib does, takes longer than a list."""

import sys

try:
    from _blake2 import blake2b

    if sys.version_info >= (3, 12):
        from _sha2 import sha256
    else:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # a Python without them
    from hashlib import blake2b, sha256

__all__ = ["blake2b", "sha256"]
