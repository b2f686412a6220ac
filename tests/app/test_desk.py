"""One at a time at the model: a thousand clicks do not pile up."""

import asyncio
import threading
from typing import Any

import pytest

from gansmith.app.desk import BusyError, Desk, DisplacedError


def test_the_newest_wish_of_a_tab_is_made_and_others_wait_their_turn() -> None:
    done: list[str] = []

    async def clicks() -> list[Any]:
        desk, door = Desk(3), threading.Event()

        def task(name: str) -> Any:
            def work() -> str:
                door.wait(5)
                done.append(name)
                return name

            return work

        wishes = [asyncio.create_task(desk.work("a", task("a0")))]
        await asyncio.sleep(0)
        for number in range(1000):
            wishes.append(asyncio.create_task(desk.work("a", task(f"a{number + 1}"))))
        for who in "bcde":
            wishes.append(asyncio.create_task(desk.work(who, task(who))))
        await asyncio.sleep(0.05)
        door.set()
        found = await asyncio.gather(*wishes, return_exceptions=True)
        assert await desk.work("f", lambda: "f") == "f"
        desk.close()
        return found

    found = asyncio.run(clicks())
    assert done == ["a0", "a1000", "b", "c"], "what was running, then those that waited"
    assert sum(isinstance(one, DisplacedError) for one in found) == 999
    assert [isinstance(one, BusyError) for one in found[-2:]] == [True, True]


def test_a_task_that_fails_or_is_abandoned_leaves_the_place_free() -> None:
    async def use() -> None:
        desk, door = Desk(3), threading.Event()

        def fails() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await desk.work("a", fails)
        long = asyncio.create_task(desk.work("a", lambda: door.wait(5)))
        await asyncio.sleep(0)
        gone = asyncio.create_task(desk.work("b", lambda: 1))
        last = asyncio.create_task(desk.work("c", lambda: 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0)
        door.set()
        assert await long is True and await last == 2
        assert await desk.work("d", lambda: 3) == 3
        desk.close()

    asyncio.run(use())
