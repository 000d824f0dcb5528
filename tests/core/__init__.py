"""Tests of rxsdk.core; `fakes` has what they and their neighbours play with."""
