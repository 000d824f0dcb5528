"""Tests of rxsdk.reactive."""
