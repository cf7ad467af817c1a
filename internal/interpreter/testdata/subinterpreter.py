"""A thread that waits in a sub-interpreter of its process, as code under mod_wsgi runs.

The sub-interpreter prints a JSON object with the process's id, then it waits until its
input ends. The state of the thread in the main interpreter stays as it was.
"""
import _xxsubinterpreters as interpreters

CODE = """
import json, os, sys

def serve():
    print(json.dumps({"PID": os.getpid()}), flush=True)
    sys.stdin.read()

serve()
"""


def run():
    interpreters.run_string(interpreters.create(), CODE)


run()
