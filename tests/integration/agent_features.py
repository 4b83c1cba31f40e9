#!/usr/bin/env python3
"""What tasks get from a worker beside their container, on a real engine: the proxy, the chain of trust, devices,
saved images, encrypted variables, tasks that make tasks."""

import hashlib
import os
import subprocess
import tempfile

from agent_world import *

ASK = "wget -q -O - $TASKCLUSTER_PROXY_URL"


def resolved(dev, task, state="completed"):
    ended = dev.wait_resolved(task)
    expect_equal(ended["state"], state, dev.log(task).decode(errors="replace"))
    return ended


# taskclusterProxy


def test_a_task_asks_the_server_in_its_own_name():
    with Dev() as dev:
        features = {"taskclusterProxy": True}
        task = dev.shell(f"{ASK}/api/queue/v1/task/$TASK_ID", features=features, scopes=["queue:get-task:*"])
        resolved(dev, task)
        definition = json.loads(dev.output(task))
        expect_equal(definition["metadata"]["name"], "test")
        older = dev.shell(f"{ASK}/queue/v1/task/$TASK_ID && {ASK}/127.0.0.1:{dev.port}/queue/v1/ping", features=features,
                          scopes=["queue:get-task:*"])
        resolved(dev, older)
        expect(b'"taskQueueId"' in dev.output(older), dev.log(older))
        # With a body, and back: an artifact of its own run, and of no other.
        body = json.dumps({"storageType": "reference", "expires": definition["deadline"],
                           "url": "http://localhost/x", "contentType": "text/plain"})
        own = dev.shell(f"wget -q -O - --header 'Content-Type: application/json' --post-data '{body}' "
                        "$TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/runs/0/artifacts/public%2Fmine",
                        features=features)
        resolved(dev, own)
        expect_equal(dev.artifacts(own)["public/mine"]["storageType"], "reference")
        others = dev.shell(f"wget -S -O - --header 'Content-Type: application/json' --post-data '{body}' "
                           f"$TASKCLUSTER_PROXY_URL/api/queue/v1/task/{own}/runs/0/artifacts/public%2Fyours",
                           features=features)
        resolved(dev, others, "failed")
        expect(b"403" in dev.output(others), dev.log(others))
        dev.expect_nothing_left()


def test_a_tasks_scopes_are_the_bounds_of_what_its_proxy_signs():
    with Dev() as dev:
        for name in ("mine", "yours"):
            dev.call("PUT", f"/api/secrets/v1/secret/{name}", {
                "secret": {"word": f"of {name}"}, "expires": stamp(datetime.now(timezone.utc) + timedelta(hours=1))})
        script = f"{ASK}/api/secrets/v1/secret/mine; echo; wget -S -O - $TASKCLUSTER_PROXY_URL/api/secrets/v1/secret/yours"
        task = dev.shell(script, scopes=["secrets:get:mine"], features={"taskclusterProxy": True})
        resolved(dev, task, "failed")
        output = dev.output(task)
        expect(b"of mine" in output and b"of yours" not in output and b"403" in output, output)
        # Nor what the run's own credentials may do beyond them.
        report = dev.shell("wget -S -O - --header 'Content-Type: application/json' --post-data '{}' "
                           "$TASKCLUSTER_PROXY_URL/api/queue/v1/task/$TASK_ID/runs/0/completed",
                           features={"taskclusterProxy": True})
        resolved(dev, report, "failed")
        expect(b"403" in dev.output(report), dev.log(report))
        dev.expect_nothing_left()


def test_nobody_but_the_task_is_let_in():
    with Dev() as dev:
        admitted = dev.shell("echo at $TASKCLUSTER_PROXY_URL; grep taskcluster /etc/hosts; sleep 60",
                             features={"taskclusterProxy": True})
        dev.wait_running(admitted)
        wait_for(lambda: re.search(rb"\staskcluster\n", dev.output(admitted)), 10, "it tells where the proxy is")
        lines = dev.output(admitted).decode().splitlines()
        url = next(line for line in lines if line.startswith("at ")).split()[1]
        address = next(line for line in lines if "\ttaskcluster" in line or " taskcluster" in line).split()[0]
        port = urllib.parse.urlsplit(url).port or 80
        ping = f"http://{address}:{port}/api/queue/v1/ping"
        # Another task's container, and this machine.
        other = dev.shell(f"wget -S -O - {ping}; test -z \"$TASKCLUSTER_PROXY_URL\"")
        resolved(dev, other)
        expect(b"403" in dev.output(other), dev.log(other))
        connection = http.client.HTTPConnection(address, port, timeout=10)
        connection.request("GET", "/api/queue/v1/ping")
        answer = connection.getresponse()
        expect_equal((answer.status, answer.headers["Connection"]), (403, "close"))
        # And no other host.
        elsewhere = dev.shell("wget -S -O - $TASKCLUSTER_PROXY_URL/localhost:1/api/queue/v1/ping",
                              features={"taskclusterProxy": True})
        resolved(dev, elsewhere, "failed")
        expect(b"404" in dev.output(elsewhere), dev.log(elsewhere))
        # A container cannot forge addresses.
        host = dev.engine.inspect(dev.wait_running(admitted))["HostConfig"]
        expect_equal(host["CapDrop"], ["NET_RAW"])
        dev.cancel(admitted)
        dev.expect_nothing_left()


def test_the_proxy_is_there_again_after_a_restart_and_a_new_claim():
    with Dev() as dev:
        script = ("until test -e /go; do sleep 0.1; done; i=0; "
                  f"until {ASK}/api/queue/v1/task/$TASK_ID; do i=$((i+1)); test $i -lt 50 || exit 9; sleep 0.2; done")
        task = dev.shell(script, features={"taskclusterProxy": True}, scopes=["queue:get-task:*"])
        container = dev.wait_running(task)
        dev.kill()
        dev.start()  # which gives the run new credentials
        wait_for(lambda: dev.state(task) == "running", 20, "it is taken up")
        subprocess.run(["docker", "exec", container, "touch", "/go"], check=True)
        resolved(dev, task)
        expect(b'"taskQueueId"' in dev.output(task), dev.log(task))
        dev.expect_nothing_left()


def test_a_bewit_for_those_who_cannot_sign():
    with Dev() as dev:
        task = dev.shell("wget -S -O - --post-data \"$TASKCLUSTER_ROOT_URL/api/auth/v1/scopes/current\" "
                         "$TASKCLUSTER_PROXY_URL/bewit", features={"taskclusterProxy": True})
        dev.wait_resolved(task)  # busybox follows the redirection, to where it may not get
        output = dev.output(task).decode()
        found = re.search(r"Location: http://127\.0\.0\.1:\d+(/api/auth/v1/scopes/current\?bewit=[\w-]+)", output)
        expect(found, output)
        dev.expect_nothing_left()


# chainOfTrust


def signing_key(directory):
    path = os.path.join(directory, "signing-key.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    os.chmod(path, 0o600)
    return path


def test_a_chain_of_trust_says_what_was_made_and_is_signed():
    with tempfile.TemporaryDirectory() as directory:
        key = signing_key(directory)
        with Dev(arguments=["--signing-key", key]) as dev:
            task = dev.shell("echo made; mkdir /out; echo one > /out/one; head -c 300000 /dev/zero > /out/two",
                             features={"chainOfTrust": True, "bulkLog": True},
                             artifacts={"public/out": {"type": "directory", "path": "/out"}})
            resolved(dev, task)
            text = dev.artifact(task, "public/chain-of-trust.json").read()
            signature = dev.artifact(task, "public/chain-of-trust.json.sig").read()
            expect_equal(len(signature), 64)
            record = json.loads(text)
            expect_equal((record["chainOfTrustVersion"], record["taskId"], record["runId"]), (1, task, 0))
            expect_equal(record["task"], dev.get(f"/api/queue/v1/task/{task}"), "the task's definition")
            expect_equal(set(record["artifacts"]), {"public/out/one", "public/out/two", "public/logs/certified.log",
                                                    "public/logs/terminal_bulk.log.gz"})
            for name, made in record["artifacts"].items():
                expect_equal(hashlib.sha256(dev.artifact(task, name).read()).hexdigest(), made["sha256"], name)
            certified = dev.artifact(task, "public/logs/certified.log").read()
            expect_equal(certified, dev.log(task), "the log")
            expect(record["environment"]["imageHash"].startswith("sha256:"), record["environment"])
            files = {name: os.path.join(directory, name) for name in ("record", "signature", "public")}
            for name, content in (("record", text), ("signature", signature), ("public", subprocess.run(
                    [GANTRY, "node", "public-key", key], check=True, stdout=subprocess.PIPE).stdout)):
                with open(files[name], "wb") as file:
                    file.write(content)
            verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", files["public"], "-rawin", "-in",
                      files["record"], "-sigfile", files["signature"]]
            expect_equal(subprocess.run(verify, stdout=subprocess.DEVNULL).returncode, 0, "openssl verifies it")
            with open(files["record"], "ab") as file:
                file.write(b" ")
            expect(subprocess.run(verify, stdout=subprocess.DEVNULL).returncode != 0, "and notices a change")
            dev.expect_nothing_left()


def not_set_up(dev, task, line):
    resolved(dev, task, "failed")
    log = dev.log(task).decode()
    expect(f"[taskcluster:error] A feature of the task could not be set up: {line}" in log, f"{line!r} in {log}")


def test_what_a_worker_is_not_set_up_for_is_refused():
    with Dev() as dev:
        not_set_up(dev, dev.create("true", features={"chainOfTrust": True}),
                   "this worker has no key to sign a chain of trust with; start its agent with --signing-key FILE")
        not_set_up(dev, dev.create("true", encryptedEnv=["aGVsbG8="]), "this worker has no key to read")
        device = "docker-worker:capability:device:"
        not_set_up(dev, dev.create("true", capabilities={"devices": {"cpu": True}}, scopes=[device + "kvm"]),
                   "Insufficient scopes to attach devices")
        not_set_up(dev, dev.create("true", capabilities={"devices": {"cpu": True}}, scopes=[device + "cpu"]),
                   "device cpu is not on this machine; its agent must be started with --restrict-cpu")
        not_set_up(dev, dev.create("true", features={"dind": True}), "this worker has no image for features.dind")
        not_set_up(dev, dev.create("true", sideContainers=["vpn"]), 'this worker has no side container "vpn"')
        dev.expect_nothing_left()


# capabilities.devices


def test_a_cpu_of_ones_own():
    scope = "docker-worker:capability:device:cpu"
    cpus = os.cpu_count()
    with Dev(slots=cpus + 3, arguments=["--restrict-cpu"]) as dev:
        tasks = [dev.shell("nproc; grep Cpus_allowed_list /proc/self/status; sleep 1",
                           capabilities={"devices": {"cpu": True}}, scopes=[scope]) for _ in range(cpus + 1)]
        most = 0
        while any(dev.state(task) in ("pending", "running") for task in tasks):
            most = max(most, len(dev.containers()))
        expect(most <= cpus, f"{most} tasks at once")
        seen = set()
        for task in tasks:
            resolved(dev, task)
            lines = dev.output(task).decode().splitlines()
            expect_equal(lines[0], "1", "processors that it sees")
            seen.add(lines[1].split()[1])
        expect_equal(seen, {str(cpu) for cpu in range(cpus)}, "the processors that were used")
        # It is kept over a restart of the agent, and given back.
        holder = dev.create("sleep", "60", capabilities={"devices": {"cpu": True}}, scopes=[scope])
        held = dev.engine.inspect(dev.wait_running(holder))["HostConfig"]["CpusetCpus"]
        dev.kill()
        dev.start()
        others = [dev.create("true", capabilities={"devices": {"cpu": True}}, scopes=[scope]) for _ in range(2)]
        for task in others:
            resolved(dev, task)
        expect_equal(dev.engine.inspect(dev.wait_running(holder))["HostConfig"]["CpusetCpus"], held)
        dev.cancel(holder)
        dev.expect_nothing_left()


def test_the_machines_shared_memory():
    name = f"/dev/shm/gantry-test-{os.getpid()}"
    with Dev() as dev:
        try:
            task = dev.shell(f"echo from the task > {name}", capabilities={"devices": {"hostSharedMemory": True}},
                             scopes=["docker-worker:capability:device:hostSharedMemory:local/default"])
            resolved(dev, task)
            expect(os.path.exists(name), "it is the machine's")
        finally:
            if os.path.exists(name):
                os.remove(name)
        dev.expect_nothing_left()


# dockerSave


def saved_images(task):
    return subprocess.run(["docker", "images", "-q", f"gantry/saved:run-{task}-0"], stdout=subprocess.PIPE,
                          check=True).stdout


def test_a_container_is_saved_as_an_image():
    with Dev() as dev:
        task = dev.shell("echo left behind > /left", features={"dockerSave": True})
        resolved(dev, task)
        made = dev.artifacts(task)["public/dockerImage.tar"]
        expires = datetime.fromisoformat(made["expires"].replace("Z", "+00:00"))
        expect(expires <= datetime.now(timezone.utc) + timedelta(days=7), made["expires"])
        packed = dev.artifact(task, "public/dockerImage.tar").read()
        # The agent's own goes away a little after the task's end; what is loaded now has the same name.
        wait_for(lambda: not saved_images(task), 10, "the agent removes its image")
        loaded = subprocess.run(["docker", "load"], input=packed, stdout=subprocess.PIPE, check=True).stdout.decode()
        image = re.search(r"Loaded image: (\S+)", loaded).group(1)
        try:
            said = subprocess.run(["docker", "run", "--rm", image, "cat", "/left"], stdout=subprocess.PIPE, check=True)
            expect_equal(said.stdout, b"left behind\n")
        finally:
            subprocess.run(["docker", "rmi", image], stdout=subprocess.DEVNULL, check=True)
        dev.expect_nothing_left()
        failing = dev.shell("echo > /left; exit 3", features={"dockerSave": True})
        resolved(dev, failing, "failed")
        expect("public/dockerImage.tar" in dev.artifacts(failing), "one that failed is kept, too")
        dev.expect_nothing_left()
        wait_for(lambda: not saved_images(failing), 10, "no image is left")


# encryptedEnv


def secret(home, task, variable, value, **changes):
    now = int(time.time() * 1000)
    text = json.dumps(dict({"messageVersion": 1, "taskId": task, "startTime": now - 60000, "endTime": now + 3600000,
                            "name": variable, "value": value}, **changes))
    packed = subprocess.run(["gpg", "--homedir", home, "--batch", "--quiet", "--trust-model", "always", "-r", "worker",
                             "--encrypt"], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    return base64.b64encode(packed).decode()


def test_variables_that_only_the_worker_can_read():
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o700)
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet"]
        subprocess.run(gpg + ["--passphrase", "", "--quick-generate-key", "worker", "rsa3072", "encrypt", "never"],
                       check=True, stderr=subprocess.DEVNULL)
        key = os.path.join(home, "key.asc")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(subprocess.run(gpg + ["--armor", "--export-secret-keys", "worker"], stdout=subprocess.PIPE,
                                      check=True).stdout)
        public = subprocess.run([GANTRY, "node", "public-key", key], stdout=subprocess.PIPE, check=True).stdout
        expect(public.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"), public)
        with Dev(arguments=["--secrets-key", key]) as dev:
            def run(task, entries, **payload):
                dev.shell("echo word is $WORD, other is $OTHER", task=task, encryptedEnv=entries, **payload)
                return dev.wait_resolved(task)

            task = make_slugid()
            ended = run(task, [secret(home, task, "WORD", "a b=c"), secret(home, task, "OTHER", "\u00e4")])
            expect_equal(ended["state"], "completed", dev.log(task))
            expect_equal(dev.output(task).decode(), "word is a b=c, other is \u00e4\n")
            now = int(time.time() * 1000)
            for changes in ({"taskId": make_slugid()}, {"endTime": now - 1000}, {"startTime": now + 600000},
                            {"messageVersion": 2}, {"name": "TASK_ID"}, {"name": "MINE"}):
                task = make_slugid()
                ended = run(task, [secret(home, task, "WORD", "unheard", **changes)], env={"MINE": "1"})
                expect_equal(ended["state"], "failed", str(changes))
                log = dev.log(task)
                expect(b"secret data violation" in log and b"unheard" not in log, log)
            task = make_slugid()
            expect_equal(run(task, ["aGVsbG8="])["state"], "failed")
            expect(b"secret data violation" in dev.log(task), dev.log(task))
            dev.expect_nothing_left()
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], stderr=subprocess.DEVNULL)


# graphs


def test_a_task_adds_tasks_to_its_group():
    with Dev() as dev:
        now = datetime.now(timezone.utc)
        first, second = make_slugid(), make_slugid()

        def definition(**more):
            return dict({
                "taskQueueId": "local/default", "created": stamp(now), "deadline": stamp(now + timedelta(minutes=30)),
                "payload": {"image": IMAGE, "command": ["echo", "added"], "maxRunTime": 60},
                "metadata": {"name": "added", "description": "", "owner": "test@localhost",
                             "source": "http://localhost/"}}, **more)

        graph = json.dumps({"tasks": [{"taskId": first, "task": definition()},
                                      {"taskId": second, "requires": [first], "task": definition()}]})
        rich = ["queue:create-task:*", "queue:scheduler-id:*"]
        task = dev.shell("echo \"$GRAPH\" > /graph.json; echo nonsense > /bad.json", env={"GRAPH": graph}, scopes=rich,
                         graphs=["/graph.json", "/missing.json", "/bad.json"])
        resolved(dev, task)
        log = dev.log(task).decode()
        expect(f"Successfully extended graph id: {task} with 2 task(s)" in log, log)
        expect('Graph "/missing.json" was not added' in log and 'Graph "/bad.json" was not added' in log, log)
        for added in (first, second):
            resolved(dev, added)
            expect_equal(dev.get(f"/api/queue/v1/task/{added}")["taskGroupId"], task)
        expect_equal(dev.get(f"/api/queue/v1/task/{second}")["dependencies"], [first])
        # Not beyond what the task may do; and that changes nothing for the task.
        stray = make_slugid()
        poor = dev.shell("echo \"$GRAPH\" > /graph.json", graphs=["/graph.json"],
                         env={"GRAPH": json.dumps({"tasks": [{"taskId": stray, "task": definition()}]})})
        resolved(dev, poor)
        expect('Graph "/graph.json" was not added' in dev.log(poor).decode(), dev.log(poor))
        dev.expect_nothing_left()


run_tests(globals())
