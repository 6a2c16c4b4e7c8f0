"""The process that times one model: `python -m alcs_onnx.target.agent`.

Reads one JSON request per line from its standard input and answers each with one JSON
line on its standard output. It ends when its input does, so that it cannot outlive the
process that started it.

    {"do": "machine", "threads": n}                      -> {"machine": {...}}
    {"do": "load", "model": path, "threads": n, "library": bool, "profile": path|null,
     "feeds": path of an .npz|null, "inputs": [names of its arrays in order],
     "lead_in": n, "pause": seconds}                     -> {}
    {"do": "warm", "count": n}                           -> {}
    {"do": "run", "count": n}                            -> {"ms": [...]}
    {"do": "nodes"}                                      -> {"nodes": {...}, "op_types": {...},
                                                             "reads": {...}, "writes": {...}}

A failure is answered with {"error": class name, "text": one line}.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from alcs_onnx.errors import AlcsError, TargetError
from alcs_onnx.feeds import make_feeds
from alcs_onnx.ort import Feeds, SessionRunner, create_session
from alcs_onnx.target.machine import describe
from alcs_onnx.target.profile_log import read_profile

Message = dict[str, Any]


class Agent:
    """Answers requests about the one model it has loaded."""

    def __init__(self) -> None:
        self._runner: SessionRunner | None = None

    def answer(self, request: Message) -> Message:
        """Do what `request` says; raises an `AlcsError` if that fails."""
        match request.get("do"):
            case "machine":
                return {"machine": asdict(describe(int(request["threads"])))}
            case "load":
                return self._load(request)
            case "warm":
                self._loaded().warm(int(request["count"]))
                return {}
            case "run":
                return {"ms": self._loaded().run(int(request["count"])).tolist()}
            case "nodes":
                runner = self._loaded()
                times = read_profile(runner.session.end_profiling(), runner.turns)
                return asdict(times)
            case unknown:
                raise TargetError(f"the measuring agent does not know the request {unknown!r}")

    def _load(self, request: Message) -> Message:
        prefix = request.get("profile")
        session = create_session(
            Path(request["model"]),
            threads=int(request["threads"]),
            library=bool(request["library"]),
            profile_prefix=Path(prefix) if prefix else None,
        )
        if request.get("feeds"):
            with np.load(request["feeds"]) as stored:
                arrays = [stored[key] for key in stored.files]
            feeds: Feeds = dict(zip(request["inputs"], arrays, strict=True))
        else:
            feeds = make_feeds(session).feeds
        self._runner = SessionRunner(
            session, feeds, int(request["lead_in"]), float(request["pause"])
        )
        return {}

    def _loaded(self) -> SessionRunner:
        if self._runner is None:
            raise TargetError("the measuring agent has no model loaded")
        return self._runner


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more."""
    agent = Agent()
    for line in requests:
        try:
            reply = agent.answer(json.loads(line))
        except AlcsError as error:
            reply = {"error": type(error).__name__, "text": str(error)}
        except Exception as error:  # told to the caller, whose model or machine it is
            text = " ".join(str(error).split()) or "no reason given"
            reply = {"error": "TargetError", "text": f"{type(error).__name__}: {text}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def main() -> None:
    """Serve on the standard streams, where nothing but replies may be written."""
    # Native code that prints would break the replies: give it the error stream instead.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with replies:
        serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
