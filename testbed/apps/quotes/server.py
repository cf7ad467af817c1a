"""Quotes of a broker over HTTP: most come from its own service, some prices
from a partner's."""
import argparse

import requests
from aiohttp import ClientSession, web


async def show_quote(request):
    async with request.app["session"].get(request.app["upstream"] + "/app/page") as answer:
        text = await answer.text()
    return web.json_response({"id": request.match_info["id"], "lines": text.count("\n")})


async def fetch_price(request):
    # The mistake: it does not await, so the loop waits for the partner.
    answer = requests.get(request.app["upstream"] + "/app/rate", timeout=20)
    return web.json_response({"id": request.match_info["id"], "price": float(answer.text)})


async def health(_):
    return web.Response(text="ok")


async def session(app):
    async with ClientSession() as app["session"]:
        yield


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    options = parser.parse_args()
    app = web.Application()
    app["upstream"] = options.upstream
    app.cleanup_ctx.append(session)
    app.router.add_get("/health", health)
    app.router.add_get("/quotes/{id}", show_quote)
    app.router.add_get("/prices/{id}", fetch_price)
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None)


main()
