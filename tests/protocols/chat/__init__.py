"""The chat's machine and its parts, without a socket."""
