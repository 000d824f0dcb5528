"""sylkRTC's wire, without a socket."""
