"""A postroom takes mail for the people of a house, by SMTP."""
import argparse
import asyncio

from aiosmtpd.smtp import SMTP

from letters import Boxes
from origins import Origins


class Porter:
    """What SMTP has done at each command."""

    def __init__(self, origins, boxes):
        self.origins = origins
        self.boxes = boxes

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        domain = address.rpartition("@")[2]
        if not self.origins.welcome(domain):
            return "550 nobody knows you"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            self.boxes.put(address, envelope.content)
        return "250 taken"


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dns", required=True, help="address of the name server")
    args = parser.parse_args()
    porter = Porter(Origins(args.dns), Boxes())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(porter, hostname="postroom.example", loop=loop), "127.0.0.1", args.port)
    async with server:
        await server.serve_forever()


asyncio.run(main())
