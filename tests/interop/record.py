"""Record all transcripts anew, with the software that `fetch.sh` fetched: python -m tests.interop.record"""

from __future__ import annotations

from tests.interop import record_clients, record_servers

if __name__ == "__main__":
    record_servers.record()
    record_clients.record()
