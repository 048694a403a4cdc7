"""Searches all mailboxes of all users of all domains, one call after the other.

Input: ``{"text": "invoice"}``. The services ``directory`` and ``mail`` are at ``SERVICE_BASE_URL``.
"""

from typing import Any

from sequential_adaptor.task import call_host_tool


async def main(input: dict[str, str]) -> dict[str, Any]:
    found: list[dict[str, str]] = []
    searched = 0
    for domain in await call_host_tool("directory", "domains.list"):
        for user in await call_host_tool("directory", "users.list", {"domain": domain}):
            for id in await call_host_tool("mail", "messages.list", {"user": user}):
                message = await call_host_tool("mail", "messages.get", {"id": id})
                searched += 1
                if input["text"].lower() in message["subject"].lower() + message["body"].lower():
                    found.append({"user": user, "id": id, "subject": message["subject"]})
        print(f"{domain}: {searched} messages so far, {len(found)} found")
    return {"searched": searched, "found": found}
