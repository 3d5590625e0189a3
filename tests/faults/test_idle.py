"""Ten thousand connections that do nothing cost little. UNDERSTUDY_IDLE_CONNECTIONS=N changes how many."""

import os
import resource
import socket

from wire import sanitized, until

WANTED = int(os.environ.get("UNDERSTUDY_IDLE_CONNECTIONS", "10000"))
# docs/operate/client-faults.md states it. Of the process itself, not of the kernel's sockets.
BYTES_EACH = 2048


def resident_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))


def test_idle_connections(make_gateway, record_property):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))   # of this process and of the gateway that it starts
    count = min(WANTED, hard - 500)
    held = []
    try:
        gateway = make_gateway()
        # What the first thousand costs (buffers that are made once) is not counted.
        warm = [open_used(gateway) for _ in range(1000)]
        for s in warm:
            s.close()
        assert until(lambda: connections(gateway) <= 1)
        before = resident_bytes(gateway.process.pid)
        for _ in range(count):
            held.append(open_used(gateway))
        assert connections(gateway) >= count, "all are open"
        each = (resident_bytes(gateway.process.pid) - before) / count
        print(f"{count} idle connections: {each:.0f} bytes each")
        record_property("connections", count)
        record_property("bytes_each", round(each))
        if sanitized():
            print("built with a sanitizer, whose own memory is in the figure: the bound does not apply")
        else:
            assert each < BYTES_EACH, f"{each:.0f} bytes for each of {count} idle connections"
        for s in held[::997]:
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert s.recv(4096).startswith(b"HTTP/1.1 200"), "they still work"
        if count < WANTED:
            print(f"the machine's limit of open files ({hard}) allows {count} of {WANTED} connections")
    finally:
        for s in held:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_used(gateway):
    """A connection that has had one request and waits for the next."""
    s = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    s.recv(4096)
    return s


def connections(gateway):
    text = gateway.raw("GET", "/metrics")[2].decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("understudy_connections "))
