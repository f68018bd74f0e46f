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
# Of kombu's Redis transport. A key has the commands of its type alone: a set in the place of a queue would end all who
# receive from that. A queue is a list, with one more for each priority; a binding is a set; what is not acknowledged is
# a hash with an index, and a lock under which messages of a dead worker are restored.
SEND, RECEIVE = ("lpush", "llen", "exists"), ("rpush", "rpop", "brpop", "del")
BIND, UNBIND = ("sadd", "smembers", "sismember", "exists"), ("srem", "del")
KEPT = ("hset", "hget", "hdel", "watch")
INDEX = ("zadd", "zrem", "zrange", "zrangebyscore", "zrevrangebyscore")
LOCK = ("watch", "set", "get", "del", "eval", "evalsha")


def unacknowledged(service: str) -> str:
    """The key under which a process keeps the messages that it has not acknowledged."""
    return f"unacked.{service}" if service else "unacked"


def rules(kind: str) -> str:
    """The rules of a kind of process: a permission on no key, and one for each family of keys."""
    queues = ("clock", "events.*") if kind in {WEB, WORKER} else (f"events.{kind}",)
    lists = tuple(key for queue in queues for key in (queue, f"{queue}??[0-9]"))
    bindings = tuple(f"_kombu.binding*.{queue}" for queue in queues)
    families: list[tuple[Iterable[str], Iterable[str]]] = [(CACHE, _cached(kind))]
    if kind == WEB:
        families += [(SEND, lists), (BIND, bindings)]
    else:
        own = unacknowledged("" if kind == WORKER else kind)
        families += [((*SEND, *RECEIVE), lists), ((*BIND, *UNBIND), bindings)]
        families += [(KEPT, (own,)), (INDEX, (f"{own}_index",)), (LOCK, (f"{own}_mutex",))]
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
