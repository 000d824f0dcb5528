"""Tests of rxsdk.files."""
