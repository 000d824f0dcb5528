"""Files on their way to the server: where their bytes come from, and the uploader.

Floor 2. `sources` finds and checks the files in a doc before anything is sent; `uploader` sends them, chunk by chunk.
"""

from rxsdk.files.sources import File

__all__ = ["File"]
