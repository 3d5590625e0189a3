"""A thousand cascading streams at once, with heartbeats; half of the drafts are rejected. Every byte that every client gets is looked at.
UNDERSTUDY_STREAMS=N changes how many."""

import asyncio
import os
import resource

from conftest import metric
from crowd import Barrier, Client, Upstreams, faults_of, rejected
from wire import sanitized, until

LEAVE = 20   # more clients, who go away while their drafts are held


async def wave(clients, r):
    return await asyncio.gather(*(client.ask(n, r) for n, client in enumerate(clients)))


async def crowd(make_gateway, count):
    drafts = Barrier(count + LEAVE, 2.5)
    answers = Barrier(sum(rejected(n, 0) for n in range(count)), 1.5)
    upstreams = Upstreams(drafts, answers)
    port = await upstreams.start()
    start = asyncio.get_running_loop().run_in_executor
    gateway = await start(None, lambda: make_gateway(f"http://127.0.0.1:{port}/student/v1", f"http://127.0.0.1:{port}/teacher/v1", workers=2, heartbeat_s=1))
    clients = [Client() for _ in range(count)]
    leaving = [Client() for _ in range(LEAVE)]
    for client in clients + leaving:
        await client.connect(gateway.port)
    gone = [asyncio.ensure_future(client.ask(count + i, 0)) for i, client in enumerate(leaving)]
    first = asyncio.ensure_future(wave(clients, 0))
    await asyncio.wait_for(drafts.all_here.wait(), 90)
    in_flight = await start(None, lambda: metric(gateway, "requests_in_flight"))
    for client in leaving:
        client.close()
    first = await asyncio.wait_for(first, 120)
    second = await asyncio.wait_for(wave(clients, 1), 120)     # on the same connections, in any order
    await asyncio.gather(*gone, return_exceptions=True)
    left = await start(None, lambda: until(lambda: upstreams.left == LEAVE and metric(gateway, "requests_in_flight") == 1))
    for client in clients:
        client.close()
    upstreams.close()
    return gateway, upstreams, in_flight, first, second, left


def test_a_thousand_streams_get_every_byte_of_their_own_and_none_of_a_rejected_draft(make_gateway, record_property):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = int(os.environ.get("UNDERSTUDY_STREAMS", "150" if sanitized() else "1000"))
    count = min(wanted, (hard - 500) // 3)
    try:
        gateway, upstreams, in_flight, first, second, left = asyncio.run(crowd(make_gateway, count))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    record_property("streams", count)
    assert in_flight >= count + LEAVE, "all drafts were held at the same time"
    for r, answers in ((0, first), (1, second)):
        wrong = [f"stream {n} of round {r}: {'; '.join(faults)}" for n, raw in enumerate(answers) if (faults := faults_of(n, r, raw, beats=2 if r == 0 else 0))]
        assert not wrong, f"{len(wrong)} of {count}\n" + "\n".join(wrong[:10])
    assert left, f"{upstreams.left} of {LEAVE} calls were cancelled"
    assert upstreams.asked["teacher"] == {(n, r) for n in range(count) for r in (0, 1) if rejected(n, r)}, "the teacher is asked for rejected drafts, and never for one who left"
    assert metric(gateway, "clients_gone_total") == LEAVE and metric(gateway, "records_dropped_total") == 0
