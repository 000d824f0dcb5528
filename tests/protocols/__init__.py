"""The pure floor: every rule of the LIMP wire, driven without a socket, a clock or a sleep."""
