#!/usr/bin/env python3
"""A small disk: what an agent clears away when it runs short and in which order, that nothing is claimed meanwhile, and that
nothing of others, and nothing in use, goes.

The engine is a dockerd of the test's own whose data is on a small file system in a file; the images come from a registry
of its own (Debian: docker-registry), in the dockerd's network namespace. Needs root."""

import concurrent.futures
import contextlib
import io
import subprocess
import tarfile

from agent_world import *
from own_dockerd import Dockerd

GB = 1_000_000_000
DISK_BYTES = 5 * GB  # sparse
NEEDED = GB          # for each free slot
PIECE = 100_000_000  # of each thing that may go
REGISTRY_PORT = 5000  # nobody else is in that namespace
CACHE = ["docker-worker:cache:*"]


class SmallDisk(Dockerd):
    """With a registry beside it."""

    def __enter__(self):
        self.disk = os.path.join(self.directory, "disk")
        self.data = os.path.join(self.directory, "data")
        os.mkdir(self.data)
        with open(self.disk, "wb") as file:
            file.truncate(DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-F", self.disk], check=True)
        subprocess.run(["mount", "-o", "loop", self.disk, self.data], check=True)
        self.filler = os.path.join(self.data, "filler")
        self.start()
        self.make_image()
        config = os.path.join(self.directory, "registry.yml")
        with open(config, "w") as file:
            file.write("version: 0.1\nlog: {level: error}\n"
                       f"storage: {{filesystem: {{rootdirectory: {self.directory}/registry}}}}\n"
                       f"http: {{addr: '127.0.0.1:{REGISTRY_PORT}'}}\n")
        with open(os.path.join(self.directory, "registry-messages"), "wb") as messages:
            self.registry = subprocess.Popen(["nsenter", "--net", "--target", str(self.holder.pid), "docker-registry",
                                              "serve", config], stdout=messages, stderr=messages)
        return self

    def __exit__(self, *_):
        self.registry.terminate()
        self.registry.wait(20)
        self.end()

    def free(self):
        space = os.statvfs(self.data)
        return space.f_bavail * space.f_frsize

    def leave_free(self, free_bytes):
        self.clear()
        subprocess.run(["fallocate", "-l", str(self.free() - free_bytes), self.filler], check=True)

    def clear(self):
        if os.path.exists(self.filler):
            os.remove(self.filler)

    def has_image(self, name):
        return self.call("GET", f"/images/{name}/json")[0] == 200

    def add_image(self, name, size=0):
        """One of the registry that the engine does not have; its name."""
        full = f"127.0.0.1:{REGISTRY_PORT}/{name}"
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "input.tar")
            with tarfile.open(path, "w") as tar:
                entry = tarfile.TarInfo("bytes")
                entry.size = size
                # Of its own, for images share layers that are the same.
                tar.addfile(entry, io.BytesIO(secrets.token_bytes(1000) * (size // 1000)))
            environment = dict(os.environ, DOCKER_HOST=f"unix://{self.path}")
            subprocess.run([os.path.join(ROOT, "scripts/lib/busybox-image.sh"), full, path], env=environment, check=True)
        repository, tag = full.rsplit(":", 1)
        wait_for(lambda: self.streams(f"/images/{repository}/push?tag={tag}"), 20, f"push of {full}")
        expect_equal(self.call("DELETE", f"/images/{full}")[0], 200)
        return full

    def pull(self, name):
        """As somebody would who is not the agent."""
        repository, tag = name.rsplit(":", 1)
        expect(self.streams(f"/images/create?fromImage={repository}&tag={tag}"), f"pull of {name}")

    def streams(self, target):
        """Whether what the engine tells meanwhile ends without an error."""
        connection = UnixConnection(self.path, 60)
        with contextlib.closing(connection):
            connection.request("POST", target, headers={"X-Registry-Auth": "e30="})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status == 200 and b'"error"' not in body

    def make(self, target, body):
        connection = UnixConnection(self.path, 30)
        with contextlib.closing(connection):
            connection.request("POST", target, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = json.loads(answer.read())
            expect(answer.status < 300, f"{target}: {data}")
            return data


def messages(dev):
    with open(os.path.join(dev.directory, "messages"), errors="replace") as file:
        return file.read()


def removed(dev):
    """What the agent has cleared away, in that order."""
    return [image or cache for image, cache in
            re.findall(r'garbage: (?:image (\S+)|cache "([^"]*)" \S+) removed', messages(dev))]


def run(dev, script, cache=None, **payload):
    if cache:
        payload.update(cache={cache: "/cache"}, scopes=CACHE)
    task = dev.create("sh", "-c", script, **payload)
    expect_equal(dev.wait_resolved(task)["state"], "completed", dev.log(task))
    return task


def fill_cache(dev, name, **payload):
    run(dev, f"head -c {PIECE} /dev/zero > /cache/zeros", cache=name, **payload)


def cache_names(engine):
    return sorted(volume["Labels"]["gantry.cache"] for volume in engine.volumes("gantry.cache"))


def trouble(dev):
    return dev.get("/v1/nodes")["nodes"][0].get("trouble", "")


def a_short_disk_is_cleared_in_order_and_stops_claims():
    with SmallDisk() as engine:
        ours = [engine.add_image(f"ours/{n}:1", PIECE) for n in "ab"]
        in_use = engine.add_image("ours/used:1", PIECE)
        theirs = engine.add_image("theirs/pulled:1")
        engine.pull(theirs)
        engine.make("/volumes/create", {"Name": "theirs"})
        engine.make("/containers/create?name=theirs", {"Image": IMAGE, "Cmd": ["true"]})
        with Dev(engine, slots=2) as dev:
            run(dev, "true", image=theirs)
            for image in ours:
                run(dev, "true", image=image)
            fill_cache(dev, "build")
            busy = dev.create("sh", "-c", "echo x > /cache/x; sleep 600", image=in_use, cache={"held": "/cache"},
                              scopes=CACHE)
            dev.wait_running(busy)
            expect(all(engine.has_image(image) for image in ours + [in_use, theirs]), "all are there")
            expect_equal(cache_names(engine), ["build", "held"])
            expect_equal(removed(dev), [])

            # One piece is missing: an image goes, for caches are dearer, and no more than that. With the end of a task
            # the agent looks again.
            engine.leave_free(NEEDED - PIECE // 2)
            run(dev, "true")
            wait_for(lambda: removed(dev), 40, "something is cleared away")
            expect(removed(dev) in (ours[:1], ours[1:]), removed(dev))
            wait_for(lambda: engine.free() >= NEEDED, 5, "there is room")
            expect_equal(trouble(dev), "")
            expect_equal(dev.wait_resolved(dev.shell("true"))["state"], "completed")

            # All that may go is not enough.
            engine.leave_free(NEEDED - 3 * PIECE)
            run(dev, "true")
            wait_for(lambda: trouble(dev), 40, "the node says that its disk is short")
            expect(re.match(r"disk: 0\.[0-9] GB free of 1\.0 GB needed on " + engine.data, trouble(dev)), trouble(dev))
            expect_equal((set(removed(dev)[:2]), removed(dev)[2:]), (set(ours), ["build"]), "the cache last")
            expect_equal(cache_names(engine), ["held"])
            waiting = dev.shell("echo hello")
            time.sleep(7)  # more than the agent waits between two looks
            expect_equal(dev.state(waiting), "pending")
            expect_equal(dev.state(busy), "running")
            expect(engine.has_image(in_use), "what a run uses stays")

            # Others' things are there, and there is room again.
            expect(engine.has_image(theirs) and engine.has_image(IMAGE), "images of others")
            expect_equal(engine.call("GET", "/volumes/theirs")[0], 200)
            expect_equal(engine.inspect("theirs")["Name"], "/theirs")
            engine.clear()
            expect_equal(dev.wait_resolved(waiting, 20)["state"], "completed")
            wait_for(lambda: not trouble(dev), 20, "the trouble is over")
            expect_equal(messages(dev).count("no tasks are taken: disk"), 1, "told once")
            dev.cancel(busy)
            dev.expect_nothing_left()


def what_was_not_used_for_long_goes():
    with SmallDisk() as engine:
        old, young = engine.add_image("ours/old:1"), engine.add_image("ours/young:1")
        used = engine.add_image("ours/of-a-container:1")
        with Dev(engine, slots=1) as dev:
            for image in (old, young, used):
                run(dev, "true", image=image)
            engine.make("/containers/create?name=theirs", {"Image": used, "Cmd": ["true"]})
            dev.expect_nothing_left()
            dev.kill()
            # As if hours had passed.
            path = os.path.join(dev.directory, "agent/images.json")
            with open(path) as file:
                known = json.load(file)
            for entry in known["images"]:
                if entry["reference"] in (old, used):
                    entry["lastUsed"] = stamp(datetime.now(timezone.utc) - timedelta(hours=3))
            with open(path, "w") as file:
                json.dump(known, file)
            dev.start()
            wait_for(lambda: not engine.has_image(old), 90, "the old one goes")
            expect(engine.has_image(young) and engine.has_image(used), "those in use, and the young one, stay")
            wait_for(lambda: removed(dev) == [old], 5, "the log says so, and of no other")
            run(dev, "true", image=old)  # and comes back when it is wanted


def test_both_at_once():
    """The second one waits a minute for the agent to look."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in [pool.submit(a_short_disk_is_cleared_in_order_and_stops_claims),
                     pool.submit(what_was_not_used_for_long_goes)]:
            done.result()


run_tests(globals())
