"""`ChatService` against the emulator, over real sockets."""
