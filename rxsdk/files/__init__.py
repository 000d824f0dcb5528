"""Files on their way to the server and from it.

Floor 2. `sources` finds and checks the files in a doc before anything is sent. `uploader` has every call with files, a
`job` each, and sends it on its road: `by_lane`, chunk by chunk on a connection beside the main one (`lane`, `lanes`),
or at level 6.1 `by_http`. What HTTP there is, is in `http`; files are always read by it, which is `download`.
"""

from rxsdk.files.download import Download
from rxsdk.files.sources import File

__all__ = ["Download", "File"]
