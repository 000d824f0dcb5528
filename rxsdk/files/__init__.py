"""Files on their way to the server and from it.

Floor 2. `sources` finds and checks the files in a doc before anything is sent; `uploader` sends them, chunk by chunk,
by the connections of `lanes`. `http` is the other road: files are posted by it at level 6.1, and always read by it,
which is `download`.
"""

from rxsdk.files.download import Download
from rxsdk.files.sources import File

__all__ = ["Download", "File"]
