"""The boxes of the people of a house."""
from collections import deque
from email import message_from_bytes, policy


class Boxes:
    def __init__(self, each=50):
        self.each = each
        self.boxes = {}

    def put(self, address, content):
        message = message_from_bytes(content, policy=policy.default)
        box = self.boxes.setdefault(address.lower(), deque(maxlen=self.each))
        box.append((str(message["subject"]), len(content), sum(len(part.as_string()) for part in message.walk())))
