"""`SylkService` with its emulator over real sockets."""
