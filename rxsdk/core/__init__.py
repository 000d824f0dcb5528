"""The core: connections, transports, loops and clocks, for any wire.

Floor 1, the only home of websockets, threads, event loops and clocks. Names no wire; imports `rxsdk.errors` and
`rxsdk.protocols.contract`, nothing above.
"""
