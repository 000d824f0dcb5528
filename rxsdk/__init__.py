"""rxsdk."""
