"""Bottles of a cellar, by shelf, and where the shelves are."""
from typing import List

from fastapi import FastAPI
from pydantic import BaseModel


class Bottle(BaseModel):
    number: int
    name: str
    year: int
    grapes: List[str]


app = FastAPI()


def find_bottles(shelf, many):
    return [
        Bottle(number=shelf * 100 + i, name=f"bottle {i}", year=1980 + i % 40, grapes=["merlot", "malbec"])
        for i in range(many)
    ]


@app.get("/shelves/{shelf}/{many}", response_model=List[Bottle])
async def show_shelf(shelf: int, many: int):
    """The mistake: every bottle is checked and copied field by field once more, in the event loop."""
    return find_bottles(shelf, many)


@app.get("/")
async def show_plan():
    return {"shelves": [f"shelf {i}" for i in range(20)]}
