"""Stations and their departures, which another service has: eight connections to it."""
import argparse
from collections import deque

import aiohttp
from aiohttp import web

UPSTREAM = ""
refused = deque(maxlen=500)


async def fetch_departures(session, station):
    """The mistake: a refusal is kept for whoever looks into it, unread, and with it its
    connection."""
    path = "page" if station < 5000 else "absent"
    response = await session.get(f"{UPSTREAM}/app/{path}?station={station}")
    if response.status != 200:
        refused.append(response)
        return None
    return len(await response.read())


async def show_departures(request):
    station = int(request.match_info["station"])
    length = await fetch_departures(request.app["session"], station)
    if length is None:
        raise web.HTTPNotFound()
    return web.json_response({"station": station, "length": length})


async def show_line(request):
    line = int(request.match_info["line"])
    return web.json_response([{"stop": i, "minutes": (line * 7 + i * 3) % 40} for i in range(30)])


async def start_session(app):
    app["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8), timeout=aiohttp.ClientTimeout(total=None))
    yield
    await app["session"].close()


def main():
    global UPSTREAM
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--upstream", default="http://127.0.0.1:9090")
    options = parser.parse_args()
    UPSTREAM = options.upstream
    app = web.Application()
    app.cleanup_ctx.append(start_session)
    app.add_routes([web.get("/departures/{station}", show_departures), web.get("/lines/{line}", show_line)])
    web.run_app(app, host="127.0.0.1", port=options.port, print=None, access_log=None)


main()
