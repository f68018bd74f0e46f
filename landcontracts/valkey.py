"""The users of Valkey: one for each kind of process, with the commands and keys that it needs (Valkey manual, "ACL").

What a process must not do there: take or restore another's messages, read another's cache, run a command that has no
key, subscribe. Workers listen to no remote control, so that no channel is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from landcontracts.topology import SERVICES

WEB, WORKER = "web", "worker"
KINDS = (WEB, WORKER, *SERVICES)
# Connections, transactions of several commands, and what kombu asks the server before it begins.
SESSION = (
    *("ping", "hello", "auth", "select", "info", "client|setinfo", "client|setname"),
    *("multi", "exec", "discard", "unwatch", "script|load"),
)
CACHE = ("get", "mget", "set", "setex", "psetex", "del", "exists", "incrby", "incr", "expire", "pexpire", "persist")
# Of kombu's Redis transport: a queue is a list, with one more for each priority; a binding is a set.
SEND = ("lpush", "llen", "sadd", "smembers", "sismember", "exists")
RECEIVE = (
    *(*SEND, "rpush", "rpop", "brpop", "srem", "del"),
    *("zadd", "zrem", "zrange", "zrangebyscore", "zrevrangebyscore", "hset", "hget", "hdel"),
    *("watch", "set", "get", "eval", "evalsha"),  # the lock under which messages of a dead worker are restored
)
QUEUES = ("clock", "clock??[0-9]", "events.*", "_kombu.binding*.clock", "_kombu.binding*.events.*")


def unacknowledged(service: str) -> str:
    """The key under which a process keeps the messages that it has not acknowledged."""
    return f"unacked.{service}" if service else "unacked"


def rules(kind: str) -> str:
    """The rules of a kind of process: a permission on no key, and one for each family of keys."""
    families = [
        (CACHE, _cached(kind)),
        (SEND, QUEUES if kind in {WEB, WORKER} else ("events.*", "_kombu.binding*.events.*")),
    ]
    if kind == WORKER:
        families.append((RECEIVE, (*QUEUES, "unacked", "unacked_index", "unacked_mutex")))
    elif kind != WEB:
        own = unacknowledged(kind)
        queues = (f"events.{kind}", f"events.{kind}??[0-9]", f"_kombu.binding*.events.{kind}")
        families.append((RECEIVE, (*queues, own, f"{own}_index", f"{own}_mutex")))
    session = " ".join(f"+{command}" for command in SESSION)
    return f"resetkeys resetchannels -@all {session} {' '.join(_family(*family) for family in families)}"


def users(passwords: Mapping[str, str]) -> list[str]:
    """A line for each kind of process that has a password, as a file of users or a configuration takes it."""
    return [
        f"user {kind} on #{hashlib.sha256(passwords[kind].encode()).hexdigest()} {rules(kind)}"
        for kind in KINDS
        if kind in passwords
    ]


def template() -> list[str]:
    """The lines with the word PASSWORD in the place of what the server stores."""
    return [f"user {kind} on PASSWORD {rules(kind)}" for kind in KINDS]


def _cached(kind: str) -> tuple[str, ...]:
    """The keys in Django's cache: all of them, and for a service what tells whether a replica has a person's write."""
    return (":1:*",) if kind in {WEB, WORKER} else (":1:wrote:*",)


def _family(commands: Iterable[str], keys: Iterable[str]) -> str:
    return f"({' '.join(f'+{command}' for command in commands)} {' '.join(f'~{key}' for key in keys)})"


if __name__ == "__main__":
    print("\n".join(template()))
