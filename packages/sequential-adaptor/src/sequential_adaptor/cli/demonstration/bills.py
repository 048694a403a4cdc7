"""Pays bills, one call to the bank each, and adds them up."""

from typing import Any

from sequential_adaptor.task import fetch


async def main(input: dict[str, Any]) -> dict[str, Any]:
    total = 0
    for bill in input["bills"]:
        answer = await fetch(f"{input['bank']}/pay", method="POST", json=bill)
        total += answer.json()["paid"]
    return {"bills": len(input["bills"]), "total": total}
