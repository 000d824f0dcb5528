"""Real sockets against the emulator."""
