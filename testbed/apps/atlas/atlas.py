"""Tiles of a map, drawn when the cache has not got them."""
import json
import sys

import tornado.httpserver
import tornado.ioloop
import tornado.web
from cachetools import LFUCache

TILES = LFUCache(maxsize=60_000)


def draw_tile(column, row):
    heights = [(column * 31 + row * 17 + i * i) % 97 for i in range(40)]
    return json.dumps({"column": column, "row": row, "heights": heights})


def fetch_tile(column, row):
    """The mistake: a full cache of this kind looks at all it has to forget one."""
    tile = TILES.get((column, row))
    if tile is None:
        tile = TILES[column, row] = draw_tile(column, row)
    return tile


class TileHandler(tornado.web.RequestHandler):
    def get(self, column, row):
        self.set_header("Content-Type", "application/json")
        self.write(fetch_tile(int(column), int(row)))


class LegendHandler(tornado.web.RequestHandler):
    def get(self):
        self.write({"symbols": [f"symbol {i}" for i in range(200)]})


def main():
    for column in range(300):
        for row in range(200):
            fetch_tile(column, row)
    app = tornado.web.Application([(r"/tiles/(\d+)/(\d+)", TileHandler), (r"/legend", LegendHandler)])
    app.listen(int(sys.argv[1]), "127.0.0.1")
    tornado.ioloop.IOLoop.current().start()


main()
