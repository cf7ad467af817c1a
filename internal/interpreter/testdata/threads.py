"""Threads that wait in known places; the script says itself where each one is.

Prints a JSON object: the native id of each thread to its frames, innermost
first, as [function, file, line]. Then it waits until its input ends.
"""
import asyncio
import json
import os
import re
import sys
import threading
import time

new = sys.version_info >= (3, 11)
ready = threading.Semaphore(0)
never = threading.Lock()
never.acquire()


def wait():
    ready.release()
    never.acquire()


class Shop:
    def checkout(self):
        def inner():
            wait()

        return [inner() for _ in range(1)]


def recursion(n):
    if n == 0:
        wait()
    else:
        recursion(n - 1)


def through_c():
    # C code between the functions: a call of the loop for each.
    re.sub("x", lambda m: sorted([1], key=lambda _: wait()) and "", "x")


def numbers():
    for i in range(3):
        wait()
        yield i


def generator():
    return sum(x for x in numbers())


async def leaf():
    wait()  # blocks the loop, as nobody should


async def middle():
    await asyncio.sleep(0)
    await leaf()


def coroutine():
    asyncio.run(middle())


def naïve():
    exec(compile("def 你好():\n  wait()\n\n你好()", "/tmp/héllo.py", "exec"), {"wait": wait})


def many_lines():
    x = [
        1,
        2,
    ]
    for _ in x:
        if _ == 2:
            wait(

            )


cases = [Shop().checkout, lambda: recursion(30), through_c, generator, coroutine, naïve, many_lines]
if len(sys.argv) > 1 and sys.argv[1] == "fork" and os.fork():
    os.wait()
    sys.exit()
threads = [threading.Thread(target=c, daemon=True) for c in cases]
for t in threads:
    t.start()
for t in threads:
    ready.acquire()
time.sleep(0.2)  # each is in acquire by now

frames = sys._current_frames()
told = {}
for t in threads:
    f, stack = frames[t.ident], []
    while f is not None:
        name = f.f_code.co_qualname if new else f.f_code.co_name
        stack.append([name, f.f_code.co_filename, f.f_lineno or 0])
        f = f.f_back
    told[t.native_id] = stack
print(json.dumps({"pid": os.getpid(), "threads": told}), flush=True)


def main_waits():
    sys.stdin.read()


main_waits()
