"""The chat protocol: requests with responses, events that are acknowledged. Source: chat.md."""
