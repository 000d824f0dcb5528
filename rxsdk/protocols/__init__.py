"""The wires: pure, synchronous state machines, one folder each, and the contract they share.

Floor 0. Nothing here touches asyncio, threads, sockets, reactivex, files, clocks, randomness or the environment.
"""
