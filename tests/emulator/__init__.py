"""Tests of rxsdk.emulator: `wire` is the client they use, `replay` plays the recording."""
