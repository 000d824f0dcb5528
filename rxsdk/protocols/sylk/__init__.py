"""sylkRTC's wire, pure: transactions answered by ack or error, and objects (accounts, calls, rooms) with lives of
their own. `machine` drives, `book` keeps the objects, `tables` holds their lives, `requests` and `messages` the models.
"""
