"""A process that was forked past Python, as uWSGI's are: its first thread keeps the
native id of the parent's.

The child prints a JSON object with its id, then it waits until its input ends.
"""
import ctypes
import json
import os
import sys


def serve():
    print(json.dumps({"PID": os.getpid()}), flush=True)
    sys.stdin.read()


child = ctypes.PyDLL(None).fork()
if child == 0:
    serve()
    os._exit(0)
os.waitpid(child, 0)
