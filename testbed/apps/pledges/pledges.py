"""Pledges to a charity, in SQLite by SQLAlchemy, whose pool has ten connections."""
import os

from flask import Flask, jsonify
from sqlalchemy import Column, Integer, String, create_engine, func
from sqlalchemy.orm import declarative_base, sessionmaker
from sqlalchemy.pool import QueuePool

Base = declarative_base()


class Pledge(Base):
    __tablename__ = "pledges"
    id = Column(Integer, primary_key=True)
    donor = Column(Integer, index=True)
    cause = Column(String)
    amount = Column(Integer)


engine = create_engine(
    f"sqlite:///{os.environ['DATABASE']}", poolclass=QueuePool, pool_size=5, max_overflow=5, pool_timeout=5,
    connect_args={"check_same_thread": False},
)
Session = sessionmaker(engine)
failed = []  # requests that failed, for who looks after the service
app = Flask(__name__)


def fill():
    Base.metadata.create_all(engine)
    with Session() as session:
        if not session.query(func.count(Pledge.id)).scalar():
            session.add_all(Pledge(donor=i % 200, cause=f"cause {i % 20}", amount=1 + i % 90) for i in range(4000))
            session.commit()


@app.get("/donors/<int:donor>")
def show_donor(donor):
    with Session() as session:
        return jsonify([[p.cause, p.amount] for p in session.query(Pledge).filter_by(donor=donor).limit(20)])


@app.get("/causes/<int:cause>")
def show_cause(cause):
    """The mistake: where a cause has no pledges the session is left open, and what
    happened is kept with it."""
    session = Session()
    amount = session.query(func.sum(Pledge.amount)).filter_by(cause=f"cause {cause}").scalar()
    if amount is None:
        failed.append((cause, session))
        return jsonify({"error": "no such cause"}), 404
    session.close()
    return jsonify({"cause": cause, "amount": amount})


@app.get("/about")
def about():
    return jsonify({"charity": "pledges", "causes": [f"cause {i}" for i in range(20)]})


fill()
