"""A wiki over HTTP: pages, their edits, and what changed between two versions."""
import argparse
import difflib

from aiohttp import web

# How many lines a page has at first, and how many pages there are.
LINES, PAGES = 90, 50

pages = {i: [[f"Paragraph {line} of this page says that 0 is a number." for line in range(LINES)]] for i in range(PAGES)}


async def show_page(request):
    lines = pages[int(request.match_info["id"]) % PAGES][-1]
    return web.Response(text="\n".join(f"<p>{line}</p>" for line in lines), content_type="text/html")


async def edit_page(request):
    versions = pages[int(request.match_info["id"]) % PAGES]
    versions.append((await request.text()).splitlines())
    del versions[:-5]
    return web.json_response({"versions": len(versions)})


async def show_changes(request):
    versions = pages[int(request.match_info["id"]) % PAGES]
    # The mistake: however long it takes, the loop does nothing else meanwhile.
    changes = difflib.ndiff(versions[max(0, len(versions) - 2)], versions[-1])
    return web.Response(text="\n".join(line for line in changes if line[0] != " "))


async def health(_):
    return web.Response(text="ok")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_get("/pages/{id}", show_page)
    app.router.add_put("/pages/{id}", edit_page)
    app.router.add_get("/pages/{id}/changes", show_changes)
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None)


main()
