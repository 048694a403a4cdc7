"""An order: parallel regions, a timer of 30 days, an approval, retries, calls of services."""

from typing import Any

from sequential_adaptor.task import call_host_tool, log

MONTH = 30 * 24 * 3600 * 1000

graph = {
    "id": "order",
    "initial": "reserve",
    "context": {"order": {"$input": "order"}, "entries": 0},
    "output": {"order": {"$context": "order"}, "entries": {"$context": "entries"}, "how": {"$event": "output"}},
    "states": {
        "reserve": {"invoke": {"src": "reserve", "input": {"$context": "order"}, "onDone": "handling"}},
        "handling": {
            "type": "parallel",
            "entry": "count",
            "onDone": "shipped",
            "states": {
                "payment": {
                    "initial": "waiting",
                    "states": {
                        "waiting": {
                            "tags": ["waiting"],
                            "description": "for an approval",
                            "on": {"APPROVED": {"target": "charging", "guard": "enough"}},
                            "after": {MONTH: "#order.expired"},
                        },
                        "charging": {
                            "invoke": {
                                "src": "charge",
                                "retry": {"attempts": 4, "delay": 5, "errors": ["ServiceError", "ValueError"]},
                                "onDone": "paid",
                            }
                        },
                        "paid": {"type": "final"},
                    },
                },
                "packing": {
                    "initial": "pack",
                    "states": {
                        "pack": {
                            "invoke": {"src": "pack", "input": ["lamp", "cable"], "map": 2, "onDone": "packed"},
                        },
                        "packed": {"type": "final"},
                    },
                },
            },
        },
        "shipped": {"type": "final", "output": "shipped"},
        "expired": {"type": "final", "output": "expired"},
    },
}


def enough(context: dict[str, Any], event: dict[str, Any], params: Any) -> bool:
    return int(event.get("amount", 0)) >= 10


def count(context: dict[str, Any], event: Any, params: Any) -> dict[str, Any]:
    return {"entries": context["entries"] + 1}


async def reserve(order: Any) -> Any:
    log("reserving", order)
    return await call_host_tool("shop", "reserve", order)


async def charge(input: Any, context: dict[str, Any]) -> Any:
    first = await call_host_tool("shop", "charge", context["order"])
    if first == "declined":
        raise ValueError(first)
    return first


async def pack(item: str) -> Any:
    return await call_host_tool("shop", "pack", item)
