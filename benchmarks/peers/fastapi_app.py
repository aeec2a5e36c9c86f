"""POST /api/chatbot/leads with FastAPI and asyncpg, for `uvicorn fastapi_app:app`. Settings: DATABASE_URL, POOL."""

import contextlib
import json
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
from argument import answer, argument
from fastapi import Body, FastAPI, HTTPException, Response


@contextlib.asynccontextmanager
async def pool(app: FastAPI) -> AsyncIterator[None]:
    size = int(os.environ["POOL"])
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=size, max_size=size) as app.state.pool:
        yield


app = FastAPI(lifespan=pool)


@app.post("/api/chatbot/leads", status_code=201)
async def capture(body: Annotated[dict[str, Any], Body()]) -> Response:
    if not body.get("customerName"):
        raise HTTPException(400, "customerName is missing")
    # asyncpg prepares the statement once for each connection.
    reply = json.loads(await app.state.pool.fetchval("select public.capture_lead($1::jsonb)", argument(body)))
    return Response(answer(body, reply), 201 if reply["created"] else 200, media_type="application/json")
