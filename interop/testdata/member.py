"""A member of a consumer group, as aiokafka makes it.

    member.py SERVERS GROUP TOPIC...

It writes JSON lines: {"assigned": [[topic, partition], ...]} after each rebalance, and {"handled": "value"} for each record, which it
commits. It ends, and leaves the group, when its standard input does.
"""
import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor


def say(what):
    print(json.dumps(what), flush=True)


class Listener(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        pass

    async def on_partitions_assigned(self, assigned):
        say({"assigned": sorted([tp.topic, tp.partition] for tp in assigned)})


async def consume(consumer):
    while True:
        batches = await consumer.getmany(timeout_ms=200)
        for records in batches.values():
            for record in records:
                say({"handled": record.value.decode()})
        if batches:
            await consumer.commit()


async def main(servers, group, *topics):
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=1000,
        heartbeat_interval_ms=300,
        session_timeout_ms=10000,
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
    )
    consumer.subscribe(topics=topics, listener=Listener())
    await consumer.start()
    work = asyncio.create_task(consume(consumer))
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([work, over], return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await consumer.stop()
    say({"left": True})


asyncio.run(main(*sys.argv[1:]))
