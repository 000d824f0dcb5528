"""The tests of rxsdk; they mirror the package."""
