"""A process of its own that writes one export, so that no call waits for it.

    python -m telephony.bulk.worker

Reads what to do as one line of JSON, and tells how far it is as lines of JSON: ``rows`` and
``done`` about once a second, at the end ``written`` or ``error``. Ends, and leaves nothing, when
nobody listens any more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from telephony.bulk import export
from telephony.bulk.tables import spec_of
from telephony.database import Database
from telephony.errors import HotlineError

BEAT_S = 1.0
NICE = 10


def tell(**what: Any) -> None:
    """One line to whoever started this."""
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


async def work(job: dict[str, Any]) -> None:
    """Write the export that the job describes."""
    database = Database(job["url"], area_code=job["area_code"], country_code=job["country_code"])
    progress = export.Progress()
    try:
        async with asyncio.TaskGroup() as group:
            beats = group.create_task(_beat(progress))
            written = await export.write(
                database,
                spec_of(job["spec"]),
                Path(job["target"]),
                progress=progress,
                keep_free=job["keep_free"],
            )
            beats.cancel()
    except* HotlineError as errors:
        error = errors.exceptions[0]
        assert isinstance(error, HotlineError)
        tell(error=error.code, detail=error.detail)
    else:
        tell(written={"rows": written.rows, "bytes": written.bytes, "digest": written.digest})
    finally:
        await database.close()


async def _beat(progress: export.Progress) -> None:
    while True:
        tell(rows=progress.rows, done=progress.done)
        await asyncio.sleep(BEAT_S)


def main() -> None:
    """Entry point."""
    os.nice(NICE)
    job = orjson.loads(sys.stdin.buffer.readline())
    asyncio.run(work(job))


if __name__ == "__main__":
    main()
