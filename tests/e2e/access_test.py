"""Clients, roles and secrets from the command line, and what one may do that has them."""

import json

from world import expect, expect_in

from queue_test import IDLE, as_json, create, refused, said


def record(text):
    """A record as people see it: {name: value or list}."""
    found, last = {}, None
    for line in text.splitlines():
        if line.startswith("  "):
            found[last].append(line.strip())
        else:
            last, _, value = line.partition(" ")
            found[last] = value.strip() or []
    return found


def as_client(client_id, token):
    return {"TASKCLUSTER_CLIENT_ID": client_id, "TASKCLUSTER_ACCESS_TOKEN": token}


def test_roles(world):
    made = said(world, "role", "set", "e2e/ci", "--scope", "queue:scheduler-id:-", "--scope", "queue:status:*",
                "--description", "for tests")
    expect(record(made.text)["scopes"], ["queue:scheduler-id:-", "queue:status:*"])
    # Set again: other scopes, the same description.
    said(world, "role", "set", "e2e/ci", "--scope", "queue:status:*")
    shown = record(said(world, "role", "show", "e2e/ci").text)
    expect((shown["roleId"], shown["description"], shown["scopes"]), ("e2e/ci", "for tests", ["queue:status:*"]))
    document = as_json(world, "role", "show", "e2e/ci")
    expect(sorted(document["expandedScopes"]), ["assume:e2e/ci", "queue:status:*"])
    lines = said(world, "role", "list").text.splitlines()
    expect(lines[0].split(), ["ROLE", "SCOPES", "DESCRIPTION"])
    expect(["e2e/ci", "queue:status:*", "for", "tests"] in [line.split() for line in lines], True, lines)
    expect_in("e2e/ci", [role["roleId"] for role in as_json(world, "role", "list")])
    expect_in("not a scope", refused(world, 1, "role", "set", "e2e/bad", "--scope", "a\nb"))
    expect(said(world, "role", "delete", "e2e/ci").err, "role e2e/ci: deleted\n")
    expect_in('there is no role "e2e/ci"', refused(world, 1, "role", "show", "e2e/ci"))


def test_a_client_from_creation_to_its_end(world):
    said(world, "role", "set", "e2e/maker", "--scope", "queue:scheduler-id:-", "--scope", "queue:create-task:project:none")
    made = said(world, "client", "create", "e2e/bot", "--scope", f"queue:create-task:low:{IDLE}", "--scope",
                "assume:e2e/maker", "--description", "a bot", "--expires", "2d")
    expect_in("not shown again", made.err)
    client = record(made.text)
    expect(client["scopes"], [f"queue:create-task:low:{IDLE}", "assume:e2e/maker"])
    expect_in("queue:scheduler-id:-", client["expandedScopes"])
    expect("accessToken" in said(world, "client", "show", "e2e/bot").text, False)
    bot = as_client("e2e/bot", client["accessToken"])

    # It may do what its scopes say, and is told which one it lacks.
    definition = json.dumps({
        "taskQueueId": IDLE, "payload": {}, "metadata": {
            "name": "n", "description": "", "owner": "a@b.c", "source": "https://example.com"}}).encode()
    expect(len(said(world, "task", "create", "-", stdin=definition, env=bot).text.strip()), 22)
    lacking = world.call("task", "cancel", create(world), env=bot)
    expect(lacking.code, 1)
    expect_in("queue:cancel-task", lacking.err)
    more = world.call("client", "create", "e2e/bigger", "--scope", "*", env=bot)
    expect(more.code, 1)
    expect_in("auth:create-client:e2e/bigger", more.err)

    # Kept out and let in again; a new token ends the old one.
    def may(env):
        return world.call("task", "create", "-", stdin=definition, env=env)

    expect(said(world, "client", "disable", "e2e/bot").err, "client e2e/bot: disabled\n")
    expect_in("disabled", may(bot).err)
    (row,) = [line for line in said(world, "client", "list", "e2e/b").text.splitlines() if line.startswith("e2e/bot ")]
    expect(row.split()[1], "disabled")
    said(world, "client", "enable", "e2e/bot")
    expect(may(bot).code, 0)
    fresh = as_json(world, "client", "reset-token", "e2e/bot")["accessToken"]
    expect_in("signature is wrong", may(bot).err)
    expect(may(as_client("e2e/bot", fresh)).code, 0)
    expect([one["clientId"] for one in as_json(world, "client", "list", "e2e/")], ["e2e/bot"])
    expect_in("already", refused(world, 1, "client", "create", "e2e/bot", "--scope", "other"))
    expect(said(world, "client", "delete", "e2e/bot").err, "client e2e/bot: deleted\n")
    expect_in("not known", may(as_client("e2e/bot", fresh)).err)
    expect_in('there is no client "e2e/bot"', refused(world, 1, "client", "show", "e2e/bot"))
    said(world, "role", "delete", "e2e/maker")


def test_secrets(world):
    name = "e2e/deploy key"
    value = {"password": "hunter2", "list": [1, {"deep": None}]}
    done = said(world, "secret", "set", name, stdin=json.dumps(value).encode())
    expect((done.text, done.err), ("", f"secret {name}: set\n"))
    expect(said(world, "secret", "get", name).json(), value)
    expect_in("password: hunter2", said(world, "secret", "get", name, "--output", "yaml").text)
    path = world.directory("secret") / "value.json"
    path.write_text('{"password": "changed"}')
    said(world, "secret", "set", name, "--file", path)
    expect(said(world, "secret", "get", name).json(), {"password": "changed"})
    expect_in(name, said(world, "secret", "list").text.splitlines())
    expect_in(name, as_json(world, "secret", "list"))
    for wrong in (b"hunter2", b'["hunter2"]'):
        bad = world.call("secret", "set", name, stdin=wrong)
        expect((bad.code, "hunter2" in bad.err), (1, False), bad.err)
    reader = as_json(world, "client", "create", "e2e/reader", "--scope", f"secrets:get:{name}")
    env = as_client("e2e/reader", reader["accessToken"])
    expect(said(world, "secret", "get", name, env=env).json(), {"password": "changed"})
    refusal = world.call("secret", "get", "e2e/other", env=env)
    expect((refusal.code, refusal.text), (1, ""))
    expect_in("secrets:get:e2e/other", refusal.err)
    expect_in("secrets:set:", world.call("secret", "set", name, stdin=b"{}", env=env).err)
    expect(said(world, "secret", "delete", name).err, f"secret {name}: deleted\n")
    expect_in(f'there is no secret "{name}"', refused(world, 1, "secret", "get", name))
    said(world, "client", "delete", "e2e/reader")
