"""A service as kafkaesk (Python) makes it.

    service.py SERVERS PREFIX GROUP COUNT

It publishes COUNT records to content.python, handles what comes on content.*, and writes JSON lines: {"handled": {...}, "schema": "..."}.
It ends when its standard input does.
"""
import asyncio
import json
import sys

import kafkaesk
from pydantic import BaseModel

servers, prefix, group, count = sys.argv[1:]
app = kafkaesk.Application(
    kafka_servers=servers.split(","),
    topic_prefix=prefix,
    kafka_settings={"metadata_max_age_ms": 1000, "heartbeat_interval_ms": 300},
)


@app.schema("Content", version=1)
class Content(BaseModel):
    title: str
    n: int


@app.subscribe("content.*", group)
async def handle(data: Content, schema: str):
    print(json.dumps({"handled": data.dict(), "schema": schema}), flush=True)


async def main():
    async with app:
        for n in range(int(count)):
            future = await app.publish("content.python", Content(title="from Python", n=n))
            await future
        work = asyncio.create_task(app.consume_forever())
        over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await asyncio.wait([work, over], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        await app.stop()
        await asyncio.gather(work, return_exceptions=True)


asyncio.run(main())
