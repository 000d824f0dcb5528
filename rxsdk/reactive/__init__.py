"""The reactive side: streams and calls that anybody may await, and how notifications reach observers.

Floor 2, the only home of reactivex. Imports `rxsdk.core` and `rxsdk.errors`; knows no wire.
"""
